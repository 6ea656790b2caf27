//! Graceful shutdown: a refresh in the air lands, what comes later is told so, and a report says what was left.
//! Run it: `cargo run -p authproxy-examples --bin graceful_shutdown`

use std::{sync::Arc, time::Duration};

use authproxy_core::{Credentials, MemoryStore, TokenManager, manager::ShutdownReport};
use authproxy_embedded::EmbeddedAuth;
use authproxy_examples::{Error, start};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let service = EmbeddedAuth::builder()
        .access_ttl(Duration::from_secs(1))
        .refresh_ttl(Duration::from_secs(60))
        .cheap_passwords()
        .build();
    let (backend, _) = start(&service).await?;
    let manager = TokenManager::builder(Arc::new(backend), Arc::new(MemoryStore::new(100))).build();
    let opened = manager.open(Credentials::password("user@example.com", "password123")).await?;
    let key = opened.id.key();
    tokio::time::sleep(Duration::from_millis(1100)).await;

    let waiting = {
        let manager = manager.clone();
        tokio::spawn(async move { manager.access_token(&key).await })
    };
    while service.stats().presentations == 0 {
        tokio::task::yield_now().await;
    }
    let report = manager.shutdown(Duration::from_secs(5)).await;
    let token = waiting.await??;
    assert_eq!(report, ShutdownReport::default());
    println!("the refresh in the air landed as version {}; left behind: {report:?}", token.version().0);

    tokio::time::sleep(Duration::from_millis(1100)).await;
    let refused = manager.access_token(&key).await.expect_err("nothing new is begun");
    println!("later: {refused}");
    Ok(())
}
