//! A custom `SessionStore`: one around another, which keeps an audit of logins and logouts.
//! Run it: `cargo run -p authproxy-examples --bin custom_store`

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use authproxy_core::{
    Credentials, MemoryStore, RefreshToken, SessionKey, SessionStore, TokenManager,
    error::StoreError,
    session::Session,
    store::{
        Abort, Aborted, Begin, Begun, Commit, Committed, CreateError, Exchanged, HandedOut, Lease, NewSession, Removed,
    },
};
use authproxy_embedded::EmbeddedAuth;
use authproxy_examples::{Error, start};

struct Audited {
    inner: MemoryStore,
    audit: Mutex<Vec<String>>,
}

impl Audited {
    fn note(&self, line: String) {
        self.audit.lock().expect("no holder panics").push(line);
    }
}

#[async_trait]
impl SessionStore for Audited {
    async fn create(&self, key: &SessionKey, new: NewSession) -> Result<(), CreateError> {
        let line = format!("login of {} as session {key:?}", new.session.user);
        self.inner.create(key, new).await?;
        self.note(line);
        Ok(())
    }

    async fn remove(&self, key: &SessionKey) -> Result<Option<Removed>, StoreError> {
        let removed = self.inner.remove(key).await?;
        if let Some(removed) = &removed {
            self.note(format!("logout of {} from session {key:?}", removed.session.user));
        }
        Ok(removed)
    }

    fn peek(&self, key: &SessionKey) -> Option<Session> {
        self.inner.peek(key)
    }

    async fn load(&self, key: &SessionKey) -> Result<Option<Session>, StoreError> {
        self.inner.load(key).await
    }

    async fn begin(&self, key: &SessionKey, begin: Begin) -> Result<Begun, StoreError> {
        self.inner.begin(key, begin).await
    }

    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<Committed, StoreError> {
        self.inner.commit(lease, commit).await
    }

    async fn abort(&self, lease: &Lease, abort: Abort) -> Result<Aborted, StoreError> {
        self.inner.abort(lease, abort).await
    }

    async fn find_handed_out(&self, refresh_token: &RefreshToken) -> Result<Option<HandedOut>, StoreError> {
        self.inner.find_handed_out(refresh_token).await
    }

    async fn exchange(&self, presented: &RefreshToken) -> Result<Exchanged, StoreError> {
        self.inner.exchange(presented).await
    }

    fn maintain(&self) {
        self.inner.maintain();
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let service = EmbeddedAuth::builder().cheap_passwords().build();
    let (backend, _) = start(&service).await?;
    let store = Arc::new(Audited { inner: MemoryStore::new(100), audit: Mutex::default() });
    let manager = TokenManager::builder(Arc::new(backend), store.clone()).build();
    let opened = manager.open(Credentials::password("user@example.com", "password123")).await?;
    manager.close(&opened.id.key()).await?;
    let audit = store.audit.lock().expect("no holder panics").join("; ");
    assert!(audit.contains("login of") && audit.contains("logout of"));
    println!("{audit}");
    manager.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
