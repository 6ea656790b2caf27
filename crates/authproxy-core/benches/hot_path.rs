//! What a request pays for its token: time, allocations, memory. `cargo bench -p authproxy-core --bench hot_path`.
//!
//! `SESSIONS=100000` in the environment makes it smaller. Judges no time; that a hit allocates nothing is asserted.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::disallowed_methods, missing_docs)]

use std::{
    hint::black_box,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Waker},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use authproxy_core::{
    AccessToken, AuthBackend, Credentials, MemoryStore, RefreshToken, SessionKey, TokenManager, TokenSet,
    backend::{BackendError, Cause, IssuedTokens, Login, RefreshError, RefreshRequest, Registration, Reply},
    clock::{Clock, SystemClock},
};

const ROUNDS: usize = 2_100_000;
const REPEATS: usize = 7;

/// Issues tokens of 800 bytes that live for hours, and remembers none.
struct Issuer {
    issued: AtomicU64,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl AuthBackend for Issuer {
    async fn register(&self, _: &Registration) -> Result<Reply, BackendError> {
        Err(BackendError::TimedOut)
    }

    async fn login(&self, _: &Credentials) -> Result<Login, BackendError> {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let tokens = TokenSet {
            access_token: AccessToken::new(&format!("{number:0800}")).unwrap(),
            access_expires_at: Some(self.clock.now().plus(Duration::from_hours(6))),
            refresh_token: RefreshToken::new(&format!("{number:0800}")).ok(),
            refresh_expires_at: Some(self.clock.now().plus(Duration::from_hours(12))),
            refresh_in: None,
        };
        Ok(Login::Issued(IssuedTokens { tokens, extra: <_>::default() }))
    }

    async fn refresh(&self, _: RefreshRequest<'_>) -> Result<TokenSet, RefreshError> {
        Err(RefreshError::NotProcessed { retry_after: None, cause: Cause::new("no refresh is due") })
    }

    async fn protected(&self, _: &AccessToken) -> Result<Reply, BackendError> {
        Err(BackendError::TimedOut)
    }
}

fn main() {
    let sessions = std::env::var("SESSIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = Arc::new(MemoryStore::with_clock(sessions, clock.clone()));
    let backend = Arc::new(Issuer { issued: AtomicU64::new(0), clock: clock.clone() });
    let manager = {
        let _inside = runtime.enter();
        TokenManager::builder(backend, store).clock(clock).build()
    };
    let mut keys = Vec::with_capacity(sessions);
    let resident = resident_bytes();
    let memory = allocation_counter::measure(|| {
        runtime.block_on(async {
            for _ in 0..sessions {
                let opened = manager.open(Credentials::password("user@example.com", "p"), false).await.unwrap();
                keys.push(opened.id.key());
            }
        });
    });
    let allocated = usize::try_from(memory.bytes_current).unwrap() / sessions;
    let resident = (resident_bytes() - resident).saturating_sub(sessions * size_of::<SessionKey>()) / sessions;
    println!("{sessions} sessions of two 800-byte tokens: {allocated} bytes a session allocated, {resident} resident");

    for hot in [1, 1_000, sessions] {
        measure(&format!("peek, {hot} of {sessions} in use"), &keys[..hot.min(sessions)], |key| {
            black_box(manager.peek(key)).expect("fresh");
        });
    }
    let mut context = Context::from_waker(Waker::noop());
    for hot in [1, 1_000, sessions] {
        measure(&format!("access_token, ready, {hot} of {sessions} in use"), &keys[..hot.min(sessions)], |key| {
            assert!(pin!(manager.access_token(key)).poll(&mut context).is_ready());
        });
    }
}

fn measure(what: &str, keys: &[SessionKey], mut call: impl FnMut(&SessionKey)) {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        &keys[usize::try_from(random >> 33).unwrap() % keys.len()]
    };
    for _ in 0..ROUNDS / 10 {
        call(next());
    }
    let mut times = [0.0; REPEATS];
    let allocations = allocation_counter::measure(|| {
        for time in &mut times {
            let began = Instant::now();
            for _ in 0..ROUNDS / REPEATS {
                call(next());
            }
            *time = began.elapsed().as_nanos() as f64 / (ROUNDS / REPEATS) as f64;
        }
    });
    assert_eq!(allocations.count_total, 0, "{what} allocates");
    times.sort_by(f64::total_cmp);
    println!(
        "{what}: median {:.0} ns ({:.0} to {:.0}), no allocation",
        times[REPEATS / 2],
        times[0],
        times[REPEATS - 1]
    );
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
