//! A suite that checks a [`SessionStore`] against its contract. Run it against your own store:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use authproxy_core::{clock::ManualClock, store::MemoryStore};
//! use authproxy_testing::store_contract::{StoreUnderTest, check_store};
//!
//! # async fn example() {
//! let report = check_store(async || {
//!     let clock = ManualClock::default();
//!     let store = MemoryStore::with_clock(100, Arc::new(clock.clone()));
//!     StoreUnderTest::on_manual_clock(Arc::new(store), clock).holding(100)
//! })
//! .await;
//! assert!(report.skipped.iter().all(|claim| claim.contains("forgotten")), "{report:?}");
//! # }
//! ```
//!
//! Every claim is a function of its own, to be run alone with a fresh store. A claim that does not hold panics with a
//! message that names it.

mod case;
mod commits;
mod concurrency;
mod leases;
mod life;
mod lineage;
mod model;
mod random;

use std::{pin::Pin, sync::Arc, time::Duration};

use authproxy_core::{
    clock::{Clock, ManualClock},
    store::SessionStore,
};

pub use self::{commits::*, concurrency::*, leases::*, life::*, lineage::*, random::*};
pub use crate::report::Report;

/// A store, empty and with room for at least 50 sessions, and what the suite must know about it.
pub struct StoreUnderTest {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) clock: Arc<dyn Clock>,
    time: Time,
    capacity: Option<usize>,
    forgets: bool,
}

enum Time {
    Real,
    Moved(Box<dyn Fn(Duration) + Send + Sync>),
}

impl StoreUnderTest {
    /// A store whose leases run in real time. `clock` is the one that its sessions' expiries are on.
    ///
    /// Claims about leases then wait for fractions of a second, and those about long times are skipped.
    pub fn in_real_time(store: Arc<dyn SessionStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, time: Time::Real, capacity: None, forgets: false }
    }

    /// A store whose time is this clock.
    pub fn on_manual_clock(store: Arc<dyn SessionStore>, clock: ManualClock) -> Self {
        let moved = clock.clone();
        Self::in_real_time(store, Arc::new(clock)).moved_by(move |by| moved.advance(by))
    }

    /// How to move the time of the store and of its clock forward.
    #[must_use]
    pub fn moved_by(mut self, advance: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.time = Time::Moved(Box::new(advance));
        self
    }

    /// How many sessions the store holds. Without it the claims about a full store are skipped. Keep it small.
    ///
    /// # Panics
    ///
    /// With fewer than 50: so many are open at a time, and the store would be blamed for refusing them.
    #[must_use]
    #[track_caller]
    pub fn holding(mut self, capacity: usize) -> Self {
        let least = concurrency::ROUNDS;
        assert!(capacity >= least, "the suite opens {least} sessions at a time, and this store holds {capacity}");
        self.capacity = Some(capacity);
        self
    }

    /// Says that the store forgets sessions by the time that the suite moves. Without it that claim is skipped.
    #[must_use]
    pub fn forgetting(mut self) -> Self {
        self.forgets = true;
        self
    }

    pub(crate) async fn advance(&self, by: Duration) {
        match &self.time {
            Time::Real => tokio::time::sleep(by).await,
            Time::Moved(advance) => advance(by),
        }
    }

    /// A lease that the suite can wait for.
    pub(crate) fn short_lease(&self) -> Duration {
        match self.time {
            Time::Real => Duration::from_millis(300),
            Time::Moved(_) => Duration::from_secs(30),
        }
    }

    pub(crate) fn moves_time(&self) -> bool {
        matches!(self.time, Time::Moved(_))
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    fn meets(&self, needs: Needs) -> bool {
        match needs {
            Needs::Nothing => true,
            Needs::Capacity => self.capacity.is_some(),
            Needs::MovedTime => self.moves_time(),
            Needs::Forgetting => self.moves_time() && self.forgets,
        }
    }
}

/// Checks every claim, each with a fresh store.
///
/// # Panics
///
/// With the name of the first claim that does not hold.
pub async fn check_store(make: impl AsyncFn() -> StoreUnderTest) -> Report {
    let mut report = Report::default();
    for claim in CLAIMS {
        let store = make().await;
        if store.meets(claim.needs) {
            (claim.check)(&store).await;
            report.held.push(claim.name);
        } else {
            report.skipped.push(claim.name);
        }
    }
    report
}

type Checking<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

struct Claim {
    name: &'static str,
    needs: Needs,
    check: for<'a> fn(&'a StoreUnderTest) -> Checking<'a>,
}

#[derive(Clone, Copy)]
enum Needs {
    Nothing,
    Capacity,
    MovedTime,
    Forgetting,
}

const fn claim(name: &'static str, check: for<'a> fn(&'a StoreUnderTest) -> Checking<'a>) -> Claim {
    Claim { name, needs: Needs::Nothing, check }
}

impl Claim {
    const fn needing(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }
}

const CLAIMS: &[Claim] = &[
    claim("a session is loaded as it was created", |store| Box::pin(a_session_is_loaded_as_it_was_created(store))),
    claim("a taken key is refused", |store| Box::pin(a_taken_key_is_refused(store))),
    claim("an unknown key is found by no verb", |store| Box::pin(an_unknown_key_is_found_by_no_verb(store))),
    claim("a removed session is gone", |store| Box::pin(a_removed_session_is_gone(store))),
    claim("a full store refuses and keeps everybody", |store| {
        Box::pin(a_full_store_refuses_and_keeps_everybody(store))
    })
    .needing(Needs::Capacity),
    claim("an ended session is still found", |store| Box::pin(an_ended_session_is_still_found(store)))
        .needing(Needs::MovedTime),
    claim("a long ended session is forgotten", |store| Box::pin(a_long_ended_session_is_forgotten(store)))
        .needing(Needs::Forgetting),
    claim("maintenance frees nothing that lives", |store| Box::pin(maintenance_frees_nothing_that_lives(store))),
    claim("peek shows what this process has written", |store| {
        Box::pin(peek_shows_what_this_process_has_written(store))
    }),
    claim("the first attempt is granted", |store| Box::pin(the_first_attempt_is_granted(store))),
    claim("a live lease makes others wait", |store| Box::pin(a_live_lease_makes_others_wait(store))),
    claim("a lease lasts as long as was asked", |store| Box::pin(a_lease_lasts_as_long_as_was_asked(store)))
        .needing(Needs::MovedTime),
    claim("leases are per session", |store| Box::pin(leases_are_per_session(store))),
    claim("a repeated begin is answered the same", |store| Box::pin(a_repeated_begin_is_answered_the_same(store))),
    claim("a lease that ran out leaves doubt", |store| Box::pin(a_lease_that_ran_out_leaves_doubt(store))),
    claim("a grant in doubt keeps the first intent", |store| Box::pin(a_grant_in_doubt_keeps_the_first_intent(store))),
    claim("a grant in doubt is exclusive", |store| Box::pin(a_grant_in_doubt_is_exclusive(store))),
    claim("an attempt on an older version gets the newer", |store| {
        Box::pin(an_attempt_on_an_older_version_gets_the_newer(store))
    }),
    claim("a session without a refresh token is never granted", |store| {
        Box::pin(a_session_without_a_refresh_token_is_never_granted(store))
    }),
    claim("an untouched abort frees the session", |store| Box::pin(an_untouched_abort_frees_the_session(store))),
    claim("an untouched abort leaves an earlier doubt", |store| {
        Box::pin(an_untouched_abort_leaves_an_earlier_doubt(store))
    }),
    claim("a doubtful abort records the doubt", |store| Box::pin(a_doubtful_abort_records_the_doubt(store))),
    claim("a dead session stays dead", |store| Box::pin(a_dead_session_stays_dead(store))),
    claim("a stranger's abort changes nothing", |store| Box::pin(a_strangers_abort_changes_nothing(store))),
    claim("a fenced owner's abort changes nothing", |store| Box::pin(a_fenced_owners_abort_changes_nothing(store))),
    claim("a repeated abort spares the next holder", |store| Box::pin(a_repeated_abort_spares_the_next_holder(store))),
    claim("an abort leaves a newer version alone", |store| Box::pin(an_abort_leaves_a_newer_version_alone(store))),
    claim("a commit is the next version", |store| Box::pin(a_commit_is_the_next_version(store))),
    claim("a commit without a refresh token keeps the present one", |store| {
        Box::pin(a_kept_refresh_token_is_committed_again(store))
    }),
    claim("a repeated commit is answered the same", |store| Box::pin(a_repeated_commit_is_answered_the_same(store))),
    claim("a repeated commit spares the next holder", |store| {
        Box::pin(a_repeated_commit_spares_the_next_holder(store))
    }),
    claim("a commit repeated after a newer one is answered the same", |store| {
        Box::pin(a_commit_repeated_after_a_newer_one_is_answered_the_same(store))
    }),
    claim("a late commit is accepted", |store| Box::pin(a_late_commit_is_accepted(store))),
    claim("a commit ends a recorded doubt", |store| Box::pin(a_commit_ends_a_recorded_doubt(store))),
    claim("the second commit on a version is superseded", |store| {
        Box::pin(the_second_commit_on_a_version_is_superseded(store))
    }),
    claim("a commit revives what a verdict on its version killed", |store| {
        Box::pin(a_commit_revives_what_a_verdict_on_its_version_killed(store))
    }),
    claim("a repeated commit revives nothing", |store| Box::pin(a_repeated_commit_revives_nothing(store))),
    claim("a commit revives no removed session", |store| Box::pin(a_commit_revives_no_removed_session(store))),
    claim("a commit repeated after a removal revives nothing", |store| {
        Box::pin(a_commit_repeated_after_a_removal_revives_nothing(store))
    }),
    claim("a handed-out token is found", |store| Box::pin(a_handed_out_token_is_found(store))),
    claim("a token that was not handed out is unknown", |store| {
        Box::pin(a_token_that_was_not_handed_out_is_unknown(store))
    }),
    claim("a handed-out token is exchanged once", |store| Box::pin(a_handed_out_token_is_exchanged_once(store))),
    claim("a handed-out token outlives its session", |store| Box::pin(a_handed_out_token_outlives_its_session(store))),
    claim("a refused create hands nothing out", |store| Box::pin(a_refused_create_hands_nothing_out(store))),
    claim("of many attempts one is granted", |store| Box::pin(of_many_attempts_one_is_granted(store))),
    claim("of many attempts in doubt one is granted", |store| {
        Box::pin(of_many_attempts_in_doubt_one_is_granted(store))
    }),
    claim("of many creates of a key one succeeds", |store| Box::pin(of_many_creates_of_a_key_one_succeeds(store))),
    claim("of many exchanges of a token one succeeds", |store| {
        Box::pin(of_many_exchanges_of_a_token_one_succeeds(store))
    }),
    claim("of many removals one is told what to revoke", |store| {
        Box::pin(of_many_removals_one_is_told_what_to_revoke(store))
    }),
    claim("a commit that arrives many times is stored once", |store| {
        Box::pin(a_commit_that_arrives_many_times_is_stored_once(store))
    }),
    claim("a removal wins over a commit at the same time", |store| {
        Box::pin(a_removal_wins_over_a_commit_at_the_same_time(store))
    }),
    claim("random histories agree with the model", |store| Box::pin(random_histories_agree_with_the_model(store))),
    claim("refreshes at once never overlap", |store| Box::pin(refreshes_at_once_never_overlap(store))),
];
