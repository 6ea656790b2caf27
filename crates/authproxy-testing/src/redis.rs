//! Real Redis servers as children of the test: one, a Cluster, or a primary with replicas under Sentinels.
//!
//! Every server is started by the test that uses it, in a directory of its own, keeps nothing on disk unless asked to,
//! and is killed by its process id when it is dropped. It also dies when the thread that has started it ends, however
//! that happens: start servers on the test's own thread, not in `spawn_blocking`.
//!
//! Without a `redis-server` on the `PATH` a test fails and names what is to be installed. It never passes silently.

mod cluster;
mod directory;
mod options;
mod process;
mod sentinel;
mod server;
mod tls;

use std::time::Duration;

pub use self::{
    cluster::RedisCluster, options::RedisOptions, sentinel::RedisSentinel, server::RedisServer, tls::RedisTlsFiles,
};

/// How long anything that was started or stopped may take to be so.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks every few milliseconds until there is an answer.
///
/// # Panics
///
/// After half a minute without one, with `what` was waited for.
pub async fn ask_until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
