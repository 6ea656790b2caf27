//! Auto-refresh made visible: tokens that live one second, many tasks that use them for five, few refreshes.
//! Run it: `cargo run -p authproxy-examples --bin auto_refresh`

use std::{sync::Arc, time::Duration};

use authproxy_core::{Credentials, MemoryStore, TokenManager, backend::AuthBackend};
use authproxy_embedded::EmbeddedAuth;
use authproxy_examples::{Error, start};
use tokio::{task::JoinSet, time::Instant};

const TASKS: usize = 200;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let service = EmbeddedAuth::builder()
        .access_ttl(Duration::from_secs(1))
        .refresh_ttl(Duration::from_secs(60))
        .cheap_passwords()
        .build();
    let (backend, _) = start(&service).await?;
    let backend = Arc::new(backend);
    let manager = TokenManager::builder(backend.clone(), Arc::new(MemoryStore::new(100))).build();
    let opened = manager.open(Credentials::password("user@example.com", "password123")).await?;
    let key = opened.id.key();

    let end = Instant::now() + Duration::from_secs(5);
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (manager, backend) = (manager.clone(), backend.clone());
        tasks.spawn(async move {
            let (mut calls, mut refused) = (0_u64, 0_u64);
            while Instant::now() < end {
                let token = manager.access_token(&key).await?;
                let reply = backend.protected(&token.access_token()).await?;
                calls += 1;
                refused += u64::from(!reply.status.is_success());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok::<_, Error>((calls, refused))
        });
    }
    let (mut calls, mut refused) = (0, 0);
    while let Some(task) = tasks.join_next().await {
        let (more, more_refused) = task??;
        (calls, refused) = (calls + more, refused + more_refused);
    }
    let stats = service.stats();
    assert_eq!(refused, 0, "every call carried a token that the service took");
    assert_eq!(stats.presentations, stats.rotations, "no refresh token was presented twice");
    println!(
        "{TASKS} tasks made {calls} calls in 5 s on tokens of 1 s: {} refreshes, {refused} refused",
        stats.rotations
    );
    manager.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
