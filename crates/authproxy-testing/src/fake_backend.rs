//! [`FakeBackend`]: a small auth service in memory that counts every presentation of every refresh token.

mod play;
mod script;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use authproxy_core::{
    backend::RotationContract,
    clock::{Clock, Timestamp},
    token::{AccessToken, RefreshToken},
};

pub use self::script::{Call, CallFault, Scripted};
use crate::{
    Gate,
    service::{Lifetimes, Service},
};

/// The password that a [`FakeBackend`] refuses; it accepts every other.
pub const WRONG_PASSWORD: &str = "wrong";

/// An auth service in memory. Clones share it, also as `Arc<dyn AuthBackend>`.
///
/// It rotates by its contract to the letter: a spent refresh token that is presented outside it is reuse and ends its
/// family (RFC 9700, section 4.14.2). Expiries are on the clock that it was made with; calls take no time unless told.
#[derive(Clone)]
pub struct FakeBackend {
    inner: Arc<Mutex<Inner>>,
    clock: Arc<dyn Clock>,
    contract: RotationContract,
}

struct Inner {
    service: Service,
    script: VecDeque<Scripted>,
    call_script: HashMap<Call, VecDeque<CallFault>>,
    login_gate: Option<Gate>,
    down: bool,
    calls: HashMap<Call, usize>,
    presentations: HashMap<String, u32>,
    presented_at: Vec<Timestamp>,
    revocations: u32,
    under_way: usize,
    most_under_way: usize,
    dropped: usize,
}

impl FakeBackend {
    /// A service with strict rotation, access tokens of 2 minutes and refresh tokens of an hour.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_contract(clock, RotationContract::Strict)
    }

    /// A service that keeps to this contract, and punishes what the contract forbids by revoking the family.
    pub fn with_contract(clock: Arc<dyn Clock>, contract: RotationContract) -> Self {
        let lifetimes = Lifetimes { access: Some(Duration::from_mins(2)), refresh: Some(Duration::from_hours(1)) };
        let inner = Inner {
            service: Service::new(contract, lifetimes),
            script: VecDeque::new(),
            call_script: HashMap::new(),
            login_gate: None,
            down: false,
            calls: HashMap::new(),
            presentations: HashMap::new(),
            presented_at: Vec::new(),
            revocations: 0,
            under_way: 0,
            most_under_way: 0,
            dropped: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)), clock, contract }
    }

    /// The life of tokens issued from now on.
    #[must_use]
    pub fn ttls(self, access: Duration, refresh: Duration) -> Self {
        self.set_lifetimes(Lifetimes { access: Some(access), refresh: Some(refresh) });
        self
    }

    /// The life of tokens issued from now on, and whether the service tells it.
    pub fn set_lifetimes(&self, lifetimes: Lifetimes) {
        self.lock().service.lifetimes = lifetimes;
    }

    /// Queues what the next refreshes do, one entry a call; when the queue is empty they work.
    pub fn script(&self, script: impl IntoIterator<Item = Scripted>) {
        self.lock().script.extend(script);
    }

    /// Queues what the next calls of another kind do, one entry a call; when the queue is empty they work.
    ///
    /// # Panics
    ///
    /// With [`Call::Refresh`]: see [`script`](Self::script).
    pub fn script_call(&self, call: Call, faults: impl IntoIterator<Item = CallFault>) {
        assert!(call != Call::Refresh, "refreshes have a script of their own");
        self.lock().call_script.entry(call).or_default().extend(faults);
    }

    /// Holds logins at a gate, after the service has issued the tokens.
    pub fn hold_logins(&self, gate: Gate) {
        self.lock().login_gate = Some(gate);
    }

    /// While down, no call reaches the service, every call says so, and nothing that is queued is used up.
    pub fn set_down(&self, down: bool) {
        self.lock().down = down;
    }

    /// Ends everything that the login led to which this refresh token stems from.
    pub fn end_family_of(&self, token: &RefreshToken) {
        self.lock().service.kill_family_of(token.expose_secret());
    }

    /// Forgets every token that was issued, as a restart without a disk does.
    pub fn forget_tokens(&self) {
        self.lock().service.forget_tokens();
    }

    /// How many calls of this kind were made, those that never reached the service included.
    pub fn calls(&self, call: Call) -> usize {
        self.lock().calls.get(&call).copied().unwrap_or(0)
    }

    /// How many presentations of refresh tokens the service saw.
    pub fn presentations(&self) -> usize {
        self.lock().presented_at.len()
    }

    /// How many presentations of this token the service saw.
    pub fn presentations_of(&self, token: &RefreshToken) -> u32 {
        self.lock().presentations.get(token.expose_secret()).copied().unwrap_or(0)
    }

    /// How often the most often presented token was presented.
    pub fn most_presentations_of_one_token(&self) -> u32 {
        self.lock().presentations.values().copied().max().unwrap_or(0)
    }

    /// When each presentation came, in order.
    pub fn presented_at(&self) -> Vec<Timestamp> {
        self.lock().presented_at.clone()
    }

    /// The most refreshes that were under way at once.
    pub fn most_refreshes_at_once(&self) -> usize {
        self.lock().most_under_way
    }

    /// How many refreshes were dropped by their caller before they had an answer.
    pub fn dropped_refreshes(&self) -> usize {
        self.lock().dropped
    }

    /// How often a spent token was presented outside the contract and cost a family its life.
    pub fn reuses_detected(&self) -> usize {
        self.lock().service.reuses()
    }

    /// How many revocations the service was asked for.
    pub fn revocations(&self) -> u32 {
        self.lock().revocations
    }

    /// Whether this refresh token was named in a revocation that reached the service.
    pub fn is_revoked(&self, token: &RefreshToken) -> bool {
        self.lock().service.was_revoked(token.expose_secret())
    }

    /// Whether the service would accept this access token now.
    pub fn accepts(&self, token: &AccessToken) -> bool {
        self.lock().service.accepts_access(token.expose_secret(), self.now())
    }

    /// The refresh tokens that are unspent, unexpired and unrevoked now.
    pub fn live_refresh_tokens(&self) -> Vec<RefreshToken> {
        let texts = self.lock().service.live_refresh_tokens(self.now());
        texts.iter().map(|text| RefreshToken::new(text).expect("well-formed")).collect()
    }

    /// How many families still have a refresh token that works.
    pub fn live_families(&self) -> usize {
        self.lock().service.live_families(self.now())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic while the service is locked")
    }

    fn next_refresh(&self) -> Scripted {
        let mut inner = self.lock();
        if inner.down {
            return Scripted::NotProcessed(None);
        }
        inner.script.pop_front().unwrap_or(Scripted::Work)
    }

    fn next_call(&self, call: Call) -> CallFault {
        let mut inner = self.lock();
        *inner.calls.entry(call).or_default() += 1;
        if inner.down {
            return CallFault::Unreachable;
        }
        inner.call_script.get_mut(&call).and_then(VecDeque::pop_front).unwrap_or(CallFault::Work)
    }
}

/// A refresh under way; dropped without an answer, it was cut off by its caller or by a panic.
struct UnderWay<'a> {
    backend: &'a FakeBackend,
    answered: bool,
}

impl<'a> UnderWay<'a> {
    fn begin(backend: &'a FakeBackend) -> Self {
        let mut inner = backend.lock();
        *inner.calls.entry(Call::Refresh).or_default() += 1;
        inner.under_way += 1;
        inner.most_under_way = inner.most_under_way.max(inner.under_way);
        Self { backend, answered: false }
    }

    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut inner = self.backend.lock();
        inner.under_way -= 1;
        inner.dropped += usize::from(!self.answered && !std::thread::panicking());
    }
}
