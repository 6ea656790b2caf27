//! The judge convicts what no incident explains, and nothing else.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    auth::ledger::Lives,
    census::{Closed, Session},
};

const SECOND: Duration = Duration::from_secs(1);
const GRACE: Contract = Contract::Grace(Duration::from_secs(60));
/// The cookie of a session, and its name in Redis.
const COOKIE: &str = "session_id=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct Scene {
    ledger: Ledger,
    census: Census,
    incidents: Vec<Incident>,
    commits: HashMap<Name, Vec<Instant>>,
    began: Instant,
}

impl Scene {
    fn new(contract: Contract) -> Self {
        let ledger = Ledger::new(contract, Lives::due_soon(SECOND));
        let mut census = Census::default();
        census.names.insert("u".into(), name());
        let (incidents, commits) = Default::default();
        Self { ledger, census, incidents, commits, began: Instant::now() }
    }

    /// A token that node 0 presents at the beginning, and node 1 again after so long.
    fn presented_twice(contract: Contract, after: Duration) -> Self {
        Self::presented_and_answered(contract, after, None)
    }

    /// The same, where the first time was answered after so long.
    fn presented_and_answered(contract: Contract, after: Duration, answered: Option<Duration>) -> Self {
        let mut scene = Self::new(contract);
        let token = scene.ledger.log_in("u").refresh_token.unwrap();
        for (node, at) in [(0, scene.began), (1, scene.began + after)] {
            let place = scene.ledger.arrived(&token, node, at).unwrap();
            scene.ledger.refresh(&token, place, Some("key"), at);
        }
        if let Some(answered) = answered {
            scene.ledger.settle(&token, 0, Outcome::Answered(scene.began + answered));
        }
        scene
    }

    /// A session that was lost after ten seconds.
    fn lost(contract: Contract) -> Self {
        let mut scene = Self::new(contract);
        let lost = Lost {
            session: scene.session(),
            at: scene.began + 10 * SECOND,
            node: 0,
            said: String::new(),
            left_at: None,
        };
        scene.census.lost.push(lost);
        scene
    }

    /// A session that was taken so long after its logout.
    fn revived(after: Duration) -> Self {
        let mut scene = Self::new(GRACE);
        let closed = Closed { session: scene.session(), at: scene.began, node: 0 };
        scene.census.revivals.push(Revival { closed, at: scene.began + after, node: 1 });
        scene
    }

    fn session(&self) -> Session {
        Session { user: "u".into(), cookie: COOKIE.into(), opened_at: self.began }
    }

    fn with(mut self, kind: Kind, in_flight: &[Name]) -> Self {
        let in_flight = in_flight.iter().cloned().collect();
        self.incidents.push(Incident { kind, from: self.began, until: self.began, in_flight });
        self
    }

    fn broken(&self) -> usize {
        let limits = Limits {
            calm: SECOND / 10,
            near_ttl: 5 * SECOND,
            stale_max: 60 * SECOND,
            lease: 9 * SECOND,
            backend_timeout: 2 * SECOND,
        };
        let case = Case {
            census: &self.census,
            ledger: &self.ledger,
            commits: Some(&self.commits),
            incidents: &self.incidents,
            limits,
            began: self.began,
        };
        case.judge().broken.len()
    }
}

fn name() -> Name {
    name_of(COOKIE).unwrap()
}

#[test]
fn a_strict_service_never_sees_a_token_twice_whatever_happened() {
    assert_eq!(Scene::presented_twice(Contract::Strict, SECOND).broken(), 1);
    assert_eq!(Scene::presented_twice(Contract::Strict, SECOND).with(Kind::Killed(0), &[name()]).broken(), 1);
}

#[test]
fn a_repeat_needs_a_grace_and_an_incident() {
    assert_eq!(Scene::presented_twice(GRACE, SECOND).broken(), 1);
    for (kind, broken) in [
        (Kind::Killed(0), 0),
        (Kind::Killed(1), 1),
        (Kind::Stopped(1), 0),
        (Kind::Stopped(2), 1),
        (Kind::Terminated(0), 1),
        (Kind::Auth("resets"), 0),
        (Kind::Store("paused"), 0),
    ] {
        assert_eq!(Scene::presented_twice(GRACE, SECOND).with(kind, &[name()]).broken(), broken, "{kind}");
    }
    assert_eq!(Scene::presented_twice(GRACE, SECOND).with(Kind::Killed(0), &[]).broken(), 1, "nothing was under way");
    assert_eq!(Scene::presented_twice(GRACE, 60 * SECOND).with(Kind::Killed(0), &[name()]).broken(), 1);
    let mut stored = Scene::presented_twice(GRACE, 3 * SECOND).with(Kind::Killed(0), &[name()]);
    stored.commits.insert(name(), vec![stored.began + SECOND]);
    assert_eq!(stored.broken(), 1);
    assert_eq!(Scene::presented_twice(Contract::Idempotent, SECOND).broken(), 0);
}

#[test]
fn a_repeat_after_an_answer_is_not_excused_by_time_or_by_the_service() {
    let answered = |after| Scene::presented_and_answered(GRACE, 3 * SECOND, after);
    assert_eq!(answered(None).broken(), 0, "the node's time-out");
    assert_eq!(answered(Some(2 * SECOND)).broken(), 0, "too late for its time-out");
    assert_eq!(answered(Some(SECOND / 10)).broken(), 1);
    assert_eq!(answered(Some(SECOND / 10)).with(Kind::Auth("resets"), &[]).broken(), 1);
    assert_eq!(answered(Some(SECOND / 10)).with(Kind::Killed(0), &[name()]).broken(), 0, "and not stored");
}

#[test]
fn a_kill_explains_no_loss_after_a_later_version_was_stored() {
    let lost = |stored_at: Duration| {
        let mut scene = Scene::lost(Contract::Strict).with(Kind::Killed(0), &[name()]);
        scene.commits.insert(name(), vec![scene.began + stored_at]);
        scene.broken()
    };
    assert_eq!((lost(SECOND), lost(11 * SECOND)), (1, 0));
}

#[test]
fn an_answer_that_was_withheld_once_explains_no_loss_after_the_next_refresh() {
    let mut scene = Scene::lost(Contract::Strict).with(Kind::Auth("resets"), &[]);
    let first = scene.ledger.log_in("u").refresh_token.unwrap();
    let place = scene.ledger.arrived(&first, 0, scene.began).unwrap();
    let next = scene.ledger.refresh(&first, place, None, scene.began).unwrap().refresh_token.unwrap();
    assert_eq!(scene.broken(), 0);
    let later = scene.began + 2 * SECOND;
    let place = scene.ledger.arrived(&next, 0, later).unwrap();
    scene.ledger.settle(&next, place, Outcome::Answered(later));
    assert_eq!(scene.broken(), 1);
}

#[test]
fn a_session_is_lost_only_where_its_refresh_was_under_way_and_the_service_is_strict() {
    assert_eq!(Scene::lost(Contract::Strict).broken(), 1);
    assert_eq!(Scene::lost(Contract::Strict).with(Kind::Killed(0), &[]).broken(), 1);
    assert_eq!(Scene::lost(Contract::Strict).with(Kind::Killed(0), &[name()]).broken(), 0);
    assert_eq!(Scene::lost(GRACE).with(Kind::Killed(0), &[name()]).broken(), 1);
    assert_eq!(Scene::lost(GRACE).with(Kind::Emptied, &[]).broken(), 0);
    assert_eq!(Scene::lost(GRACE).with(Kind::Store("paused"), &[]).broken(), 1);
    assert_eq!(Scene::lost(GRACE).with(Kind::Terminated(0), &[name()]).broken(), 1);
}

/// The token was presented in the beginning; the node was killed.
#[test]
fn a_grace_ends_where_nobody_asks_again_before_it_is_over() {
    let ends = |left: Option<Duration>, came_back: Duration, in_flight: &[Name]| {
        let mut scene = Scene::lost(GRACE).with(Kind::Killed(0), in_flight);
        let token = scene.ledger.log_in("u").refresh_token.unwrap();
        scene.ledger.arrived(&token, 0, scene.began).unwrap();
        let (began, lost) = (scene.began, &mut scene.census.lost[0]);
        (lost.left_at, lost.at) = (left.map(|left| began + left), began + came_back);
        scene.broken() == 0
    };
    let (lease, grace) = (9 * SECOND, 60 * SECOND);
    assert!(ends(Some(SECOND), grace, &[name()]));
    assert!(ends(Some(SECOND), grace.saturating_sub(3 * SECOND), &[name()]), "a node leaves time for the way");
    assert!(!ends(Some(SECOND), grace.saturating_sub(5 * SECOND), &[name()]), "it was asked for in time");
    assert!(!ends(Some(lease), grace, &[name()]), "it was asked for when its lease had run out");
    assert!(!ends(None, grace, &[name()]), "it was asked for all the time");
    assert!(!ends(Some(SECOND), grace, &[]), "nothing was under way");
}

#[test]
fn a_withheld_answer_of_a_strict_service_explains_a_loss() {
    for (kind, broken) in [(Kind::Auth("resets"), 0), (Kind::Store("paused"), 1)] {
        let mut scene = Scene::lost(Contract::Strict).with(kind, &[]);
        let token = scene.ledger.log_in("u").refresh_token.unwrap();
        scene.ledger.arrived(&token, 0, scene.began).unwrap();
        assert_eq!(scene.broken(), broken, "{kind}");
    }
}

#[test]
fn a_logout_is_known_at_once_when_all_is_well_and_soon_when_not() {
    assert_eq!(Scene::revived(SECOND / 20).broken(), 0);
    assert_eq!(Scene::revived(SECOND).broken(), 1);
    assert_eq!(Scene::revived(SECOND).with(Kind::Auth("slow"), &[]).broken(), 1);
    let mut one_of_many = Scene::revived(SECOND / 2);
    let closed = one_of_many.census.revivals[0].closed.clone();
    one_of_many.census.closed = vec![closed; SLOW_LOGOUTS];
    assert_eq!(one_of_many.broken(), 0, "a machine may stand still");
    one_of_many.census.closed.pop();
    assert_eq!(one_of_many.broken(), 1);
    assert_eq!(Scene::revived(SECOND).with(Kind::Stopped(1), &[]).broken(), 0);
    assert_eq!(Scene::revived(6 * SECOND).with(Kind::Stopped(1), &[]).broken(), 1);
    assert_eq!(Scene::revived(SECOND).with(Kind::Stopped(0), &[]).broken(), 1, "another node");
    assert_eq!(Scene::revived(SECOND).with(Kind::Killed(1), &[]).broken(), 1, "it has forgotten everything");
    assert_eq!(Scene::revived(6 * SECOND).with(Kind::Store("paused"), &[]).broken(), 0);
    assert_eq!(Scene::revived(8 * SECOND).with(Kind::Store("paused"), &[]).broken(), 1, "it was back long before");
}
