//! Admission: which refreshes may call the auth service now, so that no herd of sessions can overrun it.
//!
//! Refreshes that somebody waits for queue, in order, within a bound. Background refreshes never queue and never
//! take more than half of the places: their callers have a good token and will be back.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    clock::{Clock, Timestamp},
    error::Unavailability,
    manager::{
        ManagerConfig,
        breaker::{Breaker, Gate, IsProbe},
    },
};

/// Whether somebody waits for the refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    Awaited,
    Background,
}

/// Why a refresh may not call the auth service now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Declined {
    pub(crate) reason: Unavailability,
    pub(crate) retry_after: Duration,
}

pub(crate) struct Admission {
    places: Arc<Semaphore>,
    background_places: Arc<Semaphore>,
    waiting: AtomicUsize,
    max_waiting: usize,
    breaker: Mutex<Breaker>,
    pace: Mutex<Pace>,
    clock: Arc<dyn Clock>,
}

/// The permission to call the auth service once. Dropped without a verdict, it leaves no trace.
pub(crate) struct Permit<'a> {
    admission: &'a Admission,
    _places: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
    probe: IsProbe,
    settled: bool,
}

impl Admission {
    pub(crate) fn new(config: &ManagerConfig, clock: Arc<dyn Clock>) -> Self {
        let places = config.max_concurrent_refreshes.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(places)),
            background_places: Arc::new(Semaphore::new((places / 2).max(1))),
            waiting: AtomicUsize::new(0),
            max_waiting: config.max_waiting_refreshes,
            breaker: Mutex::default(),
            pace: Mutex::new(Pace::new(config.max_refreshes_per_second)),
            clock,
        }
    }

    /// Waits for a place and a moment in which the auth service may be called.
    pub(crate) async fn enter(&self, urgency: Urgency) -> Result<Permit<'_>, Declined> {
        self.look()?;
        let places = self.place(urgency).await?;
        let pause = lock(&self.pace).take(urgency, self.clock.now()).ok_or_else(overloaded)?;
        // The timer's shortest sleep is a millisecond, also for no time at all.
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let admitted = lock(&self.breaker).admit(self.clock.now());
        let probe = admitted.map_err(|left| {
            lock(&self.pace).give_back();
            backend_failing(left)
        })?;
        Ok(Permit { admission: self, _places: places, probe, settled: false })
    }

    /// Whether a call would be declined out of hand.
    pub(crate) fn look(&self) -> Result<(), Declined> {
        match lock(&self.breaker).gate(self.clock.now()) {
            Gate::Open | Gate::Probe => Ok(()),
            Gate::Shut(left) => Err(backend_failing(left)),
        }
    }

    async fn place(&self, urgency: Urgency) -> Result<(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>), Declined> {
        if urgency == Urgency::Background {
            let background = self.background_places.clone().try_acquire_owned().map_err(|_| overloaded())?;
            let place = self.places.clone().try_acquire_owned().map_err(|_| overloaded())?;
            return Ok((place, Some(background)));
        }
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok((place, None));
        }
        let _waiting = Waiting::enter(self).ok_or_else(overloaded)?;
        let place = self.places.clone().acquire_owned().await.map_err(|_| overloaded())?;
        Ok((place, None))
    }
}

impl Permit<'_> {
    /// The auth service answered: it works.
    pub(crate) fn succeeded(mut self) {
        self.settled = true;
        lock(&self.admission.breaker).succeeded(self.probe);
    }

    /// The call was made, and what came of it may be its own fault.
    pub(crate) fn told_nothing(mut self) {
        self.settled = true;
        lock(&self.admission.breaker).unused(self.probe);
    }

    /// The auth service did not work. `asked` is its Retry-After.
    pub(crate) fn failed(mut self, asked: Option<Duration>) {
        self.settled = true;
        lock(&self.admission.breaker).failed(self.admission.clock.now(), self.probe, asked);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.settled {
            lock(&self.admission.breaker).unused(self.probe);
            lock(&self.admission.pace).give_back();
        }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(admission: &'a Admission) -> Option<Self> {
        let room = |waiting: usize| (waiting < admission.max_waiting).then_some(waiting + 1);
        admission.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        Some(Self(&admission.waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// At most so many calls a second, in bursts of at most one second's worth (the generic cell rate algorithm).
struct Pace {
    between: Duration,
    next: Timestamp,
    /// What the millisecond clock cannot hold of `next`, in nanoseconds.
    rest: u64,
}

impl Pace {
    fn new(per_second: u32) -> Self {
        Self { between: Duration::from_secs(1) / per_second.max(1), next: Timestamp::from_millis(0), rest: 0 }
    }

    /// Takes the next turn and says how long to wait for it. A background refresh takes none that is not now.
    fn take(&mut self, urgency: Urgency, now: Timestamp) -> Option<Duration> {
        const BURST: Duration = Duration::from_secs(1);
        if self.next < now {
            (self.next, self.rest) = (now, 0);
        }
        let pause = self.next.since(now).saturating_sub(BURST);
        if urgency == Urgency::Background && !pause.is_zero() {
            return None;
        }
        let step = self.between + Duration::from_nanos(self.rest);
        self.next = self.next.plus(step);
        self.rest = u64::from(step.subsec_nanos() % 1_000_000);
        Some(pause)
    }

    /// Returns a turn that was not used.
    fn give_back(&mut self) {
        self.next = self.next.minus(self.between);
    }
}

fn overloaded() -> Declined {
    Declined { reason: Unavailability::Overloaded, retry_after: Duration::from_secs(1) }
}

fn backend_failing(left: Duration) -> Declined {
    Declined { reason: Unavailability::Backend, retry_after: left }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What these locks hold is changed in single steps; a panic elsewhere spoils nothing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
