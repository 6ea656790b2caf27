//! The store in Redis, against real servers that each test starts for itself.

mod contract;

use std::sync::Arc;

use authproxy_core::store::{Envelope, RedisStore};

const SECRET: &str = "a secret of the tests, longer than 32 characters";

fn envelope() -> Envelope {
    Envelope::new([SECRET]).unwrap()
}

/// A node's store, connected.
async fn store(url: &str) -> Arc<RedisStore> {
    let store = RedisStore::builder(url, envelope()).unwrap().build().unwrap();
    store.ready().await.unwrap();
    Arc::new(store)
}
