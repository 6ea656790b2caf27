//! Why the published sessions stand in an index of their own beside moka: a lookup of the same sessions in each, a
//! million in all, of which one, a thousand scattered ones, or all are in use.
//! `cargo bench -p authproxy-core --bench index`
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::disallowed_methods, missing_docs)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use authproxy_core::{
    AccessToken, MemoryStore, RefreshToken, SessionId, SessionKey, SessionStore,
    clock::{Clock, SystemClock},
    session::{Session, Zones},
    store::NewSession,
};

const SESSIONS: usize = 1_000_000;
const ROUNDS: usize = 100_000;
const REPEATS: usize = 20;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = MemoryStore::new(SESSIONS);
    let moka: moka::sync::Cache<SessionKey, Session> =
        moka::sync::Cache::builder().time_to_live(Duration::from_hours(1)).build();
    let papaya: papaya::HashMap<SessionKey, Session> = papaya::HashMap::new();
    let mut keys = Vec::new();
    for number in 0..SESSIONS {
        let key = SessionId::random().key();
        runtime.block_on(store.create(&key, new_session(number))).unwrap();
        let session = store.peek(&key).unwrap();
        moka.insert(key, session.clone());
        papaya.pin().insert(key, session);
        keys.push(key);
    }
    moka.run_pending_tasks();
    for hot in [1, 1_000, SESSIONS] {
        let hot: Vec<_> = keys.iter().step_by(SESSIONS / hot).collect();
        measure("moka", &hot, |key| moka.get(key));
        measure("papaya", &hot, |key| papaya.pin().get(key).cloned());
        measure("MemoryStore", &hot, |key| store.peek(key));
    }
}

fn new_session(number: usize) -> NewSession {
    let now = SystemClock::new().now();
    let later = now.plus(Duration::from_hours(1));
    let zones = Zones { refresh_at: later, wait_at: later, expires_at: later };
    let access_token = AccessToken::new(&format!("{number:0800}")).unwrap();
    let session = Session::new("user@example.com".into(), &access_token, zones, now, later);
    NewSession { session, refresh_token: RefreshToken::new(&format!("{number:0800}")).ok(), handed_out: false }
}

fn measure(what: &str, keys: &[&SessionKey], mut look_up: impl FnMut(&SessionKey) -> Option<Session>) {
    let mut times: Vec<_> = (0..REPEATS)
        .map(|_| {
            let began = Instant::now();
            for key in keys.iter().cycle().take(ROUNDS) {
                black_box(look_up(key)).unwrap();
            }
            began.elapsed().as_nanos() as f64 / ROUNDS as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "{what}, {} of {SESSIONS} in use: median {:.0} ns, fastest {:.0} ns",
        keys.len(),
        times[REPEATS / 2],
        times[0]
    );
}
