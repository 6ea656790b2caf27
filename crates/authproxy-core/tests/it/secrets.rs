//! No secret in any Debug, error or trace. Scenario 52.

use authproxy_core::{
    AccessToken, Credentials, RefreshToken, SessionId,
    backend::{RefreshRequest, Registration, RevokeRequest},
    clock::Timestamp,
    session::{Session, Zones},
};
use authproxy_testing::{CANARY, FakeBackend, Scripted, canary::Traces};

use crate::world::{World, pass, settle};

#[tokio::test(start_paused = true)]
async fn nothing_that_is_traced_or_debugged_holds_a_secret() {
    let traces = Traces::collect();
    let world = World::new();
    let login = Credentials::password(format!("{CANARY}@example.com"), format!("{CANARY}-password"));
    let opened = world.manager.open_handing_out(login.clone()).await.unwrap();
    let key = opened.id.key();
    world.backend.script([
        Scripted::NotProcessed(None),
        Scripted::ClientRejected,
        Scripted::Work,
        Scripted::LostAfter,
        Scripted::PanicAfter,
        Scripted::Rejected,
    ]);
    assert!(format!("{opened:?}").contains(&format!("{key:?}")), "a session can be followed through a log: {opened:?}");
    let mut debugged = vec![format!("{login:?} {opened:?} {key:?} {:?}", world.manager)];
    for _ in 0..8 {
        pass(121).await;
        debugged.push(format!("{:?}", world.manager.access_token(&key).await));
        debugged.push(format!("{:?}", world.manager.exchange(opened.tokens.refresh_token.clone().unwrap()).await));
        settle().await;
    }
    world.manager.close(&key).await.unwrap();
    debugged.push(format!("{:?}", world.manager.shutdown(std::time::Duration::from_secs(1)).await));
    traces.assert_clean(&[opened.id.expose_secret()]);
    assert!(traces.text().contains("brought no tokens"), "the scan saw the flights: {}", traces.text());
    // The user's name is no secret, and only it may be there.
    for text in debugged {
        let text = text.replace(&format!("{CANARY}@example.com"), "");
        assert!(!text.contains(CANARY) && !text.contains(opened.id.expose_secret()), "{text}");
    }
}

#[test]
fn no_debug_of_a_secret_type_shows_it() {
    let access = AccessToken::new(CANARY).unwrap();
    let refresh = RefreshToken::new(CANARY).unwrap();
    let id = SessionId::random();
    let registration = Registration { email: CANARY.into(), password: CANARY.to_owned().into() };
    let request =
        RefreshRequest { refresh_token: &refresh, idempotency_key: "key", timeout: std::time::Duration::from_secs(1) };
    let revoke = RevokeRequest { refresh_token: Some(&refresh), access_token: &access };
    let credentials = Credentials::password(CANARY, CANARY);
    let shown = format!("{access:?} {refresh:?} {id:?} {registration:?} {request:?} {revoke:?} {credentials:?}");
    assert!(!shown.contains(CANARY) && !shown.contains(id.expose_secret()), "{shown}");
    assert!(access.authorization().is_sensitive());
    let at = Timestamp::from_secs(1);
    let zones = Zones { refresh_at: at, wait_at: at, expires_at: at };
    let session = Session::new("user".into(), &access, zones, at, at);
    assert!(!format!("{session:?} {:?}", session.access_token()).contains(CANARY));
    assert!(session.access_token().authorization().is_sensitive());
    assert_eq!(
        (session.expose_secret(), session.expose_authorization()),
        (CANARY, format!("Bearer {CANARY}").as_bytes())
    );
    let _ = FakeBackend::new(std::sync::Arc::new(authproxy_core::clock::ManualClock::default()));
}

#[test]
fn a_session_key_names_a_session_and_tells_nothing_of_its_id() {
    let id = SessionId::random();
    let again = SessionId::parse(id.expose_secret()).unwrap();
    assert!(id.key() == again.key());
    assert_eq!(format!("{:?}", id.key()).len(), 8);
    assert_ne!(id.key().name(), id.key().expose_secret());
}

#[test]
fn only_well_formed_ids_and_tokens_are_taken() {
    let long = "a".repeat(100_000);
    for junk in
        ["", "x", " ", "é", long.as_str(), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "../../../../etc/passwd"]
    {
        assert!(SessionId::parse(junk).is_none(), "{junk:.20}");
    }
    for junk in ["", " ", "a\r\nb", "a\nSet-Cookie: x", "a\0b", "é", " padded", "padded "] {
        assert!(AccessToken::new(junk).is_err() && RefreshToken::new(junk).is_err(), "{junk:?}");
    }
}
