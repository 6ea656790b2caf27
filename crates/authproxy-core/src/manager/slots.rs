//! What this process knows about a session beyond its record: the flight, the pause after a failure, a refused token,
//! a token set that the store does not have yet. Sessions with nothing of the kind have no slot.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    backend::Reply,
    clock::Timestamp,
    error::Unavailability,
    manager::admission::{Declined, Urgency},
    session::{DeathReason, Session, SessionKey, Version},
    token::RefreshToken,
};

/// An upstream that refuses a token so soon after the last forced refresh is not believed.
const FORCED_AT_MOST_EVERY: Duration = Duration::from_secs(10);
/// How long a failure is remembered after its pause, so that the next one pauses longer.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);

/// How a flight ended, for everybody who waited for it.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// This is the session now.
    Ready(Session),
    /// The session is over; the service's answer, where this very flight got it.
    Dead(DeathReason, Option<Reply>),
    /// The session is gone, or has no refresh token.
    Missing,
    /// The refresh token was possibly presented, and the contract forbids to do it again.
    InDoubt,
    /// No new token for now.
    Failed(Declined),
}

/// The outcome of a flight, once there is one.
pub(crate) type Landing = watch::Receiver<Option<Outcome>>;

#[derive(Default)]
struct Slot {
    flight: Option<Landing>,
    pause: Option<Pause>,
    failures: u32,
    refused: Option<Version>,
    forced_at: Option<Timestamp>,
    unsaved: Option<Unsaved>,
    closed: bool,
}

#[derive(Clone, Copy)]
struct Pause {
    until: Timestamp,
    reason: Unavailability,
    /// Whether it holds for refreshes that somebody waits for, too.
    for_all: bool,
}

/// A token set that was received and is not in the store yet.
#[derive(Clone)]
pub(crate) struct Unsaved {
    pub(crate) session: Session,
    pub(crate) refresh_token: RefreshToken,
}

/// What came of the wish to refresh.
pub(crate) enum Joined {
    Flight(Landing),
    Paused(Declined),
}

/// What a flight leaves behind.
#[derive(Clone, Copy)]
pub(crate) enum Aftermath {
    /// Nothing, or a pause when the new token is already old.
    Success { pause: Option<Duration> },
    /// A pause that grows with every failure in a row.
    Failure { pause: Duration, reason: Unavailability },
    /// There was no room for a background refresh: a pause for those, which nobody else need keep.
    NoRoom { pause: Duration },
}

#[derive(Default)]
pub(crate) struct Slots {
    slots: Mutex<HashMap<SessionKey, Slot>>,
    /// How many slots say something that [`Slots::override_of`] must be asked for.
    overrides: AtomicUsize,
}

impl Slots {
    /// Joins the session's flight, or starts one unless it is to be left alone.
    ///
    /// `start` runs under the lock of all slots, so it may spawn but not look.
    pub(crate) fn join(
        &self,
        key: &SessionKey,
        now: Timestamp,
        urgency: Urgency,
        start: impl FnOnce() -> Landing,
    ) -> Joined {
        let mut slots = self.lock();
        let slot = slots.entry(*key).or_default();
        if let Some(flight) = &slot.flight {
            return Joined::Flight(flight.clone());
        }
        let holds = |pause: &Pause| now < pause.until && (pause.for_all || urgency == Urgency::Background);
        if let Some(pause) = slot.pause.filter(holds) {
            return Joined::Paused(Declined { reason: pause.reason, retry_after: pause.until.since(now) });
        }
        let flight = start();
        slot.flight = Some(flight.clone());
        Joined::Flight(flight)
    }

    /// Whether a flight is in the air or the session is to be left alone; what a background refresh asks first.
    pub(crate) fn is_busy(&self, key: &SessionKey, now: Timestamp) -> bool {
        let slots = self.lock();
        slots.get(key).is_some_and(|slot| slot.flight.is_some() || slot.pause.is_some_and(|pause| now < pause.until))
    }

    /// Ends the session's flight. Whoever comes after this starts anew.
    pub(crate) fn land(&self, key: &SessionKey, now: Timestamp, aftermath: Aftermath) {
        let mut slots = self.lock();
        let Some(slot) = slots.get_mut(key) else { return };
        slot.flight = None;
        self.counted(slot, |slot| slot.refused = None);
        match aftermath {
            Aftermath::Success { pause } => {
                slot.failures = 0;
                let (reason, for_all) = (Unavailability::Backend, true);
                slot.pause = pause.map(|pause| Pause { until: now.plus(pause), reason, for_all });
            }
            Aftermath::Failure { pause, reason } => {
                slot.failures = slot.failures.saturating_add(1);
                slot.pause = Some(Pause { until: now.plus(pause), reason, for_all: true });
            }
            Aftermath::NoRoom { pause } => {
                let (reason, for_all) = (Unavailability::Overloaded, false);
                slot.pause = Some(Pause { until: now.plus(pause), reason, for_all });
            }
        }
        if slot.is_spent(now) {
            slots.remove(key);
        }
    }

    /// How many flights of this session failed in a row.
    pub(crate) fn failures(&self, key: &SessionKey) -> u32 {
        self.lock().get(key).map_or(0, |slot| slot.failures)
    }

    /// Notes that an upstream refused this version's access token; false when that is known or not believed.
    pub(crate) fn refuse(&self, key: &SessionKey, version: Version, now: Timestamp) -> bool {
        let mut slots = self.lock();
        let slot = slots.entry(*key).or_default();
        let newer = slot.unsaved.as_ref().is_some_and(|unsaved| unsaved.session.version > version);
        let recent = slot.forced_at.is_some_and(|forced_at| now.since(forced_at) < FORCED_AT_MOST_EVERY);
        if newer || recent {
            return false;
        }
        slot.forced_at = Some(now);
        self.counted(slot, |slot| slot.refused = Some(version));
        true
    }

    /// The refused token was not refreshed after all; it may be handed out again.
    pub(crate) fn forgive(&self, key: &SessionKey) {
        let mut slots = self.lock();
        if let Some(slot) = slots.get_mut(key) {
            self.counted(slot, |slot| slot.refused = None);
        }
    }

    /// The refused token was an old one: nothing came of the report.
    pub(crate) fn forget_refused(&self, key: &SessionKey) {
        let mut slots = self.lock();
        if let Some(slot) = slots.get_mut(key) {
            self.counted(slot, |slot| slot.refused = None);
            slot.forced_at = None;
        }
    }

    /// Whether [`Slots::override_of`] has something to say of this session: one atomic load while no session has.
    pub(crate) fn has_override(&self, key: &SessionKey) -> bool {
        self.overrides.load(Ordering::Acquire) > 0 && self.lock().get(key).is_some_and(Slot::has_override)
    }

    /// The newer session that the store does not have yet, and the version whose token was refused.
    pub(crate) fn override_of(&self, key: &SessionKey) -> (Option<Session>, Option<Version>) {
        let slots = self.lock();
        let Some(slot) = slots.get(key) else { return (None, None) };
        (slot.unsaved.as_ref().map(|unsaved| unsaved.session.clone()), slot.refused)
    }

    /// The token set that the store does not have yet.
    pub(crate) fn unsaved(&self, key: &SessionKey) -> Option<Unsaved> {
        self.lock().get(key)?.unsaved.clone()
    }

    /// Keeps a token set that the store could not take; false when the session was closed meanwhile.
    pub(crate) fn keep_unsaved(&self, key: &SessionKey, unsaved: Unsaved) -> bool {
        let mut slots = self.lock();
        let slot = slots.entry(*key).or_default();
        if slot.closed {
            return false;
        }
        self.counted(slot, |slot| slot.unsaved = Some(unsaved));
        true
    }

    /// The store has it now, or has something better, or has no such session any more.
    pub(crate) fn forget_unsaved(&self, key: &SessionKey) {
        let mut slots = self.lock();
        if let Some(slot) = slots.get_mut(key) {
            self.counted(slot, |slot| slot.unsaved = None);
        }
    }

    /// The flight in the air, for one who will not start another.
    pub(crate) fn flight_of(&self, key: &SessionKey) -> Option<Landing> {
        self.lock().get(key)?.flight.clone()
    }

    /// The session was removed: nothing of it may be handed out any more. Returns what the store never had.
    pub(crate) fn close(&self, key: &SessionKey) -> Option<Unsaved> {
        let mut slots = self.lock();
        let slot = slots.get_mut(key)?;
        let unsaved = slot.unsaved.clone();
        self.counted(slot, |slot| {
            slot.unsaved = None;
            slot.refused = None;
        });
        slot.closed = true;
        if slot.flight.is_none() {
            slots.remove(key);
        }
        unsaved
    }

    /// Drops slots that say nothing any more.
    pub(crate) fn sweep(&self, now: Timestamp) {
        self.lock().retain(|_, slot| {
            let reported = slot.refused.is_some() && slot.flight.is_none();
            if reported && slot.forced_at.is_none_or(|forced_at| now.since(forced_at) >= FORCED_AT_MOST_EVERY) {
                self.counted(slot, |slot| slot.refused = None); // nobody has asked for a token since
            }
            !slot.is_spent(now)
        });
    }

    /// Changes a slot and keeps the count of overrides true.
    fn counted(&self, slot: &mut Slot, change: impl FnOnce(&mut Slot)) {
        let before = slot.has_override();
        change(slot);
        match (before, slot.has_override()) {
            (false, true) => drop(self.overrides.fetch_add(1, Ordering::Release)),
            (true, false) => drop(self.overrides.fetch_sub(1, Ordering::Release)),
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, Slot>> {
        // Every change of a slot is complete before anything that could panic.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn has_override(&self) -> bool {
        self.unsaved.is_some() || self.refused.is_some()
    }

    fn is_spent(&self, now: Timestamp) -> bool {
        let paused = self.pause.is_some_and(|pause| {
            let remembered = if self.failures > 0 { REMEMBERED_FOR } else { Duration::ZERO };
            now < pause.until.plus(remembered)
        });
        let forced = self.forced_at.is_some_and(|forced_at| now.since(forced_at) < FORCED_AT_MOST_EVERY);
        let holds = self.flight.is_some() || self.has_override();
        self.closed && self.flight.is_none() || !(holds || paused || forced)
    }
}
