//! What a dump of Redis gives away: nothing.

use std::fs;

use authproxy_core::{SessionId, SessionStore};
use authproxy_testing::{CANARY, redis::RedisServer};

use super::{USER, new_session, refresh, store};

#[tokio::test]
async fn a_dump_holds_no_token_no_session_id_no_user_and_nothing_that_tells_whose_a_session_is() {
    let server = RedisServer::start().await;
    let store = store(&server.url()).await;
    let id = SessionId::random();
    let key = id.key();
    let new = new_session(true);
    let handed_out = new.refresh_token.clone().unwrap();
    store.create(&key, new).await.unwrap();
    refresh(&store, &key).await;
    store.exchange(&handed_out).await.unwrap();
    assert_eq!(server.cli(&["CONFIG", "SET", "rdbcompression", "no"]).await, "OK");
    assert_eq!(server.cli(&["SAVE"]).await, "OK");
    let dump = fs::read(server.directory().join("dump.rdb")).unwrap();
    assert!(dump.windows(3).any(|window| window == b"ap:"), "the dump is not of this store");
    for secret in [CANARY.as_bytes(), USER.as_bytes(), id.expose_secret().as_bytes(), &key.expose_secret(), &key.name()]
    {
        assert!(!dump.windows(secret.len()).any(|window| window == secret));
    }
}
