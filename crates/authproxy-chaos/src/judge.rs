//! The judge: holds what was counted against the six promises of the refresh protocol. What no incident explains is a
//! broken promise.
//!
//! - *At most one presentation.* A strict service sees each refresh token once, whatever happens. A service with a
//!   grace may see one again, inside the grace and only where the first outcome could be unknown: the very node that
//!   presented it was killed or stopped with that refresh under way, the service did not answer in time, or the store
//!   misbehaved meanwhile; and never when its successor was stored meanwhile.
//! - *Nobody is logged out.* With a grace, or where nothing was killed: no session is lost. With a strict service only
//!   those whose last refresh was under way on a node when that was killed or stopped, or was not answered. With a grace
//!   the same, where nobody asked for the session again before the grace was over: without the cookie no node can open
//!   its record. A store that comes back empty takes its sessions with it.
//! - *Logout is final*: see [`Limits`].
//! - *One user's token never reaches another*: never.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    auth::{
        Contract,
        ledger::{Ledger, Outcome, Presentation, Presented},
    },
    census::{Census, Lost, Revival},
    incident::{Incident, Kind, RECOVERY},
    relay::{Name, name_of},
};

/// A machine that stands still for a moment makes a few logouts slow: not one in so many, and none by so many times.
const SLOW_LOGOUTS: usize = 10;
const SLOWEST: u32 = 10;
/// What a node does not use of a grace: three seconds for the way, and it counts from its intent.
const ON_THE_WAY: Duration = Duration::from_secs(4);
/// How long what a node has sent before its end may be on its way to the service.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How fast a logout must be known everywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// While nothing happens to nodes or store.
    pub(crate) calm: Duration,
    /// `store.near_ttl`: when messages may be lost.
    pub(crate) near_ttl: Duration,
    /// `store.stale_max`: while the store cannot be reached.
    pub(crate) stale_max: Duration,
    /// How long a permission to present lasts: so long an incident may take to show.
    pub(crate) lease: Duration,
    /// How long a node waits for the auth service.
    pub(crate) backend_timeout: Duration,
}

/// What the judge found.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    pub(crate) most_presentations: usize,
    /// Repeats that the contract and an incident allow.
    pub(crate) allowed_repeats: u64,
    pub(crate) lost: u64,
    /// Lost, and an incident explains why.
    pub(crate) excused: u64,
    /// Of these: asked for again only after the grace.
    pub(crate) late: u64,
    pub(crate) revived: u64,
    /// Logouts that were not known everywhere as soon as they should, and soon after.
    pub(crate) slow_logouts: usize,
    /// What was promised and did not hold, in words.
    pub(crate) broken: Vec<String>,
}

/// Everything there is to judge by.
pub(crate) struct Case<'a> {
    pub(crate) began: Instant,
    pub(crate) census: &'a Census,
    pub(crate) ledger: &'a Ledger,
    /// When new versions of each session were stored, where somebody has read along.
    pub(crate) commits: Option<&'a HashMap<Name, Vec<Instant>>>,
    pub(crate) incidents: &'a [Incident],
    pub(crate) limits: Limits,
}

impl Case<'_> {
    /// Judges.
    pub(crate) fn judge(&self) -> Judgement {
        let mut judgement = Judgement::default();
        for token in self.ledger.presented() {
            self.judge_presentations(&token, &mut judgement);
        }
        for lost in &self.census.lost {
            judgement.lost += 1;
            if self.explains(lost) {
                judgement.excused += 1;
                judgement.late += u64::from(self.came_back_too_late(lost));
                continue;
            }
            let (user, node, said) = (&lost.session.user, lost.node, &lost.said);
            let why = if self.ledger.was_reused(user) { "; the service saw a reuse" } else { "" };
            let (at, story) = (self.since(lost.at), self.story(user));
            judgement.broken.push(format!("lost: {user} at {at}, by node {node}: {said}{why}; {story}"));
        }
        let (mut revived, mut slow) = (HashSet::new(), HashSet::new());
        for revival in &self.census.revivals {
            let (limit, late) = (self.limit(revival), revival.at - revival.closed.at);
            if late <= limit {
                continue;
            }
            if limit == self.limits.calm && late < SLOWEST * limit {
                slow.insert(&revival.closed.session.user);
            } else if revived.insert(&revival.closed.session.user) {
                judgement.revived += 1;
                judgement.broken.push(format!(
                    "revived: {} was logged out on node {} and taken by node {} {:?} later",
                    revival.closed.session.user,
                    revival.closed.node,
                    revival.node,
                    revival.at - revival.closed.at
                ));
            }
        }
        judgement.slow_logouts = slow.len();
        if slow.len() * SLOW_LOGOUTS > self.census.closed.len() {
            let (all, calm) = (self.census.closed.len(), self.limits.calm);
            judgement.broken.push(format!("{} of {all} logouts were not known everywhere within {calm:?}", slow.len()));
        }
        if self.census.wrong_user > 0 {
            judgement.broken.push(format!("{} answers for another user", self.census.wrong_user));
        }
        for (what, times) in &self.census.bad_manners {
            judgement.broken.push(format!("{what}: {times}"));
        }
        judgement
    }

    fn judge_presentations(&self, token: &Presented<'_>, judgement: &mut Judgement) {
        // What the service has declined unprocessed may be presented again under every contract.
        let counted: Vec<_> = token.presentations.iter().filter(|one| one.outcome != Outcome::Declined).collect();
        judgement.most_presentations = judgement.most_presentations.max(counted.len());
        for pair in counted.windows(2) {
            let (before, again) = (pair[0], pair[1]);
            let reason = match self.ledger.contract {
                Contract::Strict => Some("the service is strict"),
                Contract::Grace(grace) if again.at >= counted[0].at + grace => Some("the grace was over"),
                Contract::Grace(_) if self.was_succeeded(token.user, before.at, again.at) => {
                    Some("its successor was stored")
                }
                Contract::Grace(_) if !self.was_disturbed(token.user, before, again) => Some("nothing had happened"),
                Contract::Grace(_) | Contract::Reusable | Contract::Idempotent => None,
            };
            match reason {
                None => judgement.allowed_repeats += 1,
                Some(reason) => judgement.broken.push(format!(
                    "presented again: a token of {} by node {}, {:?} after node {} ({:?}): {reason}",
                    token.user,
                    again.node,
                    again.at - before.at,
                    before.node,
                    before.outcome,
                )),
            }
        }
    }

    /// What happened to the last refresh token of a user that was presented; by its name the nodes' logs know a session.
    fn story(&self, user: &str) -> String {
        let Some(last) = self.newest(user) else { return "never refreshed".to_owned() };
        let one = |one: &Presentation| format!("node {} at {}: {:?}", one.node, self.since(one.at), one.outcome);
        let last: Vec<_> = last.iter().map(one).collect();
        let name = self.census.names.get(user);
        let stored = name.and_then(|name| self.commits?.get(name)?.last());
        let stored = stored.map_or("never".to_owned(), |at| self.since(*at));
        let under_way =
            self.incidents.iter().filter(|incident| name.is_some_and(|name| incident.in_flight.contains(name)));
        let under_way: Vec<_> =
            under_way.map(|incident| format!("{} at {}", incident.kind, self.since(incident.from))).collect();
        format!(
            "{} last presented by {}; last stored {stored}; under way at {}",
            name.map_or("?", |name| &name[..8]),
            last.join(", "),
            under_way.join(", ")
        )
    }

    /// Seconds since the run began.
    fn since(&self, at: Instant) -> String {
        format!("{:.3} s", (at - self.began).as_secs_f64())
    }

    /// Whether the token that a presentation brought was stored before the next one, in a store that lost nothing.
    fn was_succeeded(&self, user: &str, from: Instant, until: Instant) -> bool {
        let is_of_store = |kind| matches!(kind, Kind::Store(_) | Kind::Emptied);
        let mut incidents = self.incidents.iter().filter(|incident| is_of_store(incident.kind));
        !incidents.any(|incident| incident.touches(from, until, Duration::ZERO))
            && self.was_stored(self.census.names.get(user), from, until)
    }

    /// Whether a new version of a session was stored between two moments.
    fn was_stored(&self, name: Option<&Name>, from: Instant, until: Instant) -> bool {
        let commits = name.and_then(|name| self.commits?.get(name));
        commits.is_some_and(|commits| commits.iter().any(|at| from < *at && *at < until))
    }

    /// Whether anything happened by which the outcome of a presentation could have become unknown. A node that waits in
    /// vain for as long as it may is not the harness' doing, and as good a reason. What is done to one node is no reason
    /// for another's; a node that stands still may present late. Whoever is told to end presents nothing twice.
    fn was_disturbed(&self, user: &str, before: &Presentation, again: &Presentation) -> bool {
        let (from, until, name) = (before.at, again.at, self.census.names.get(user));
        let unanswered = !self.was_answered_in_time(before);
        (unanswered && until - from >= self.limits.backend_timeout)
            || self.incidents.iter().any(|incident| match incident.kind {
                Kind::Killed(node) => {
                    node == before.node
                        && self.was_in_flight(incident, name)
                        && incident.touches(from, until, LAST_WORDS)
                }
                Kind::Stopped(node) => {
                    [before.node, again.node].contains(&node)
                        && self.was_in_flight(incident, name)
                        && incident.touches(from, until, LAST_WORDS)
                }
                Kind::Terminated(_) => false,
                Kind::Auth(_) => unanswered && incident.touches(from, until, Duration::ZERO),
                Kind::Store(_) | Kind::Emptied => incident.touches(from, until, RECOVERY),
            })
    }

    /// Whether the service has answered a presentation well before its node gave up waiting.
    fn was_answered_in_time(&self, one: &Presentation) -> bool {
        matches!(one.outcome, Outcome::Answered(at) if at - one.at < self.limits.backend_timeout / 2)
    }

    /// Whether a session's refresh was under way on the node that something was done to, as far as anybody knows.
    fn was_in_flight(&self, incident: &Incident, name: Option<&Name>) -> bool {
        self.commits.is_none() || name.is_some_and(|name| incident.in_flight.contains(name))
    }

    /// Whether an incident explains why a session was lost. After a kill that a new version has followed it does not.
    fn explains(&self, lost: &Lost) -> bool {
        let name = name_of(&lost.session.cookie);
        let name = name.as_ref();
        let may_end = self.ledger.contract == Contract::Strict || self.came_back_too_late(lost);
        self.incidents.iter().filter(|incident| incident.from <= lost.at).any(|incident| match incident.kind {
            Kind::Emptied => lost.session.opened_at <= incident.until,
            Kind::Killed(_) | Kind::Stopped(_) => {
                may_end && self.was_in_flight(incident, name) && !self.was_stored(name, incident.from, lost.at)
            }
            Kind::Auth(_) => may_end && self.was_left_unanswered(lost, incident),
            Kind::Store(_) | Kind::Terminated(_) => false,
        })
    }

    /// Whether nobody asked for a session from the moment at which its token could be presented again to the end of the
    /// grace.
    fn came_back_too_late(&self, lost: &Lost) -> bool {
        let (Contract::Grace(grace), Some(left_at)) = (self.ledger.contract, lost.left_at) else { return false };
        let Some([first, .., latest] | [first @ latest]) = self.newest(&lost.session.user) else { return false };
        left_at < latest.at + self.limits.lease && first.at + grace.saturating_sub(ON_THE_WAY) <= lost.at
    }

    /// Whether the service withheld the answer to the last refresh, or gave it too late, while it misbehaved.
    fn was_left_unanswered(&self, lost: &Lost, incident: &Incident) -> bool {
        self.newest(&lost.session.user).unwrap_or_default().iter().any(|one| {
            let until = match one.outcome {
                Outcome::Answered(_) if self.was_answered_in_time(one) => return false,
                Outcome::Answered(at) => at,
                Outcome::Declined | Outcome::Refused => return false,
                Outcome::Pending | Outcome::Issued => lost.at,
            };
            incident.touches(one.at, until, Duration::ZERO)
        })
    }

    /// The presentations of the refresh token of a user that was presented last.
    fn newest(&self, user: &str) -> Option<&[Presentation]> {
        let tokens = self.ledger.presented().filter(|token| token.user == user);
        tokens.max_by_key(|token| token.presentations[0].at).map(|token| token.presentations)
    }

    /// How long after a logout its cookie may still be taken there. What is done to another node tells this one no less.
    fn limit(&self, revival: &Revival) -> Duration {
        let (closed, at) = (revival.closed.at, revival.at);
        let since = closed.checked_sub(Duration::from_secs(1)).unwrap_or(closed);
        let mut limit = self.limits.calm;
        for incident in self.incidents.iter().filter(|incident| incident.touches(since, at, Duration::from_secs(1))) {
            limit = limit.max(match incident.kind {
                Kind::Store(_) | Kind::Emptied => {
                    let told_again = incident.until + RECOVERY + self.limits.near_ttl;
                    (self.limits.near_ttl + self.limits.stale_max).min(told_again.saturating_duration_since(closed))
                }
                Kind::Stopped(node) if node == revival.node => self.limits.near_ttl,
                Kind::Killed(_) | Kind::Stopped(_) | Kind::Terminated(_) | Kind::Auth(_) => self.limits.calm,
            });
        }
        limit
    }
}

#[cfg(test)]
mod tests;
