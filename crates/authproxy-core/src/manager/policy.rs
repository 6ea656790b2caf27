//! The refresh policy: pure functions of a session, a moment and the settings. No I/O, no async, no clock.

use std::time::Duration;

use crate::{
    backend::RotationContract,
    clock::Timestamp,
    error::Unavailability,
    manager::ManagerConfig,
    session::{DeathReason, Session, SessionKey, Standing, Zones},
    token::TokenSet,
};

/// Where an access token stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Zone {
    Fresh,
    Ahead,
    Late,
    Expired,
}

/// What to do for a caller that wants an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Hand out the token at hand.
    Serve,
    /// Hand out the token at hand and have it refreshed in the background.
    ServeAndRefresh,
    /// Wait for a refresh; if it fails, the token at hand may still do (see [`usable`]).
    Refresh,
    /// The user must log in again.
    LogInAgain(DeathReason),
}

/// A caller's demands and what the process knows about the session besides its record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    pub(crate) now: Timestamp,
    /// The life the caller needs the token to have.
    pub(crate) min_validity: Duration,
    /// Whether an upstream has refused this very token.
    pub(crate) refused: bool,
    pub(crate) contract: RotationContract,
}

pub(crate) fn zone(zones: &Zones, now: Timestamp) -> Zone {
    if now < zones.refresh_at {
        Zone::Fresh
    } else if now < zones.wait_at {
        Zone::Ahead
    } else if now < zones.expires_at {
        Zone::Late
    } else {
        Zone::Expired
    }
}

pub(crate) fn decide(session: &Session, at: Situation) -> Decision {
    if at.now >= session.ends_at {
        return Decision::LogInAgain(DeathReason::Expired);
    }
    let zone = zone(&session.zones, at.now);
    match session.standing {
        Standing::Dead(reason) => return Decision::LogInAgain(reason),
        Standing::InDoubt { since } if !may_present_again(at.contract, since, at.now) => {
            return if zone == Zone::Expired {
                Decision::LogInAgain(DeathReason::OutcomeLost)
            } else {
                Decision::Serve
            };
        }
        Standing::InDoubt { .. } | Standing::Live => {}
    }
    // Nobody can demand more than half of what the service gives, or every call would refresh.
    let life = session.zones.expires_at.since(session.issued_at);
    let too_short = at.now.plus(at.min_validity.min(life / 2)) >= session.zones.expires_at;
    match zone {
        _ if at.refused || too_short => Decision::Refresh,
        Zone::Fresh => Decision::Serve,
        Zone::Ahead => Decision::ServeAndRefresh,
        Zone::Late | Zone::Expired => Decision::Refresh,
    }
}

/// Whether a token that could not be refreshed may be handed out after all.
pub(crate) fn usable(session: &Session, now: Timestamp, needed: Duration) -> bool {
    let dead = matches!(session.standing, Standing::Dead(_));
    !dead && now < session.ends_at && now.plus(needed) < session.zones.expires_at
}

/// Whether the contract allows to present a token again whose first intent was stored at `first_intent`.
///
/// The service's grace began when it rotated, which was not before that intent, so counting from the intent is safe.
/// A quarter of the grace, at most three seconds, is kept for the way there.
pub(crate) fn may_present_again(contract: RotationContract, first_intent: Timestamp, now: Timestamp) -> bool {
    match contract {
        RotationContract::Strict => false,
        RotationContract::Reusable | RotationContract::Idempotent => true,
        RotationContract::Grace(grace) => {
            let margin = (grace / 4).min(Duration::from_secs(3));
            now.since(first_intent) + margin < grace
        }
    }
}

/// The limits of a token set's zones, at the moment it is published.
///
/// The jitter moves only the soft limit, always towards an earlier refresh, and is the same on every node.
pub(crate) fn zones(config: &ManagerConfig, key: &SessionKey, tokens: &TokenSet, now: Timestamp) -> Zones {
    let expires_at = tokens.access_expires_at.unwrap_or_else(|| now.plus(config.access_ttl));
    let life = expires_at.since(now);
    let wait_ahead = config.wait_ahead.unwrap_or_else(|| (life / 10).min(Duration::from_secs(30))).min(life);
    let wait_at = expires_at.minus(wait_ahead);
    let refresh_ahead = config.refresh_ahead.unwrap_or_else(|| (life / 5).min(Duration::from_mins(5))).min(life);
    let soft = match tokens.refresh_in {
        Some(refresh_in) => now.plus(refresh_in),
        None => expires_at.minus(refresh_ahead),
    };
    let refresh_at = soft.minus(jitter(key, life)).max(now).min(wait_at);
    Zones { refresh_at, wait_at, expires_at }
}

fn jitter(key: &SessionKey, life: Duration) -> Duration {
    let window = (life / 10).min(Duration::from_mins(1)).as_millis();
    let window = u64::try_from(window).expect("at most a minute").max(1);
    Duration::from_millis(key.spread() % window)
}

/// When a session ends whose tokens were issued at `now`.
///
/// `previous` is the end before this rotation: it stands where the service kept the refresh token and gave no new expiry.
pub(crate) fn ends_at(
    config: &ManagerConfig,
    tokens: &TokenSet,
    opened_at: Timestamp,
    previous: Option<Timestamp>,
    now: Timestamp,
) -> Timestamp {
    let by_refresh_token = match (&tokens.refresh_expires_at, &tokens.refresh_token, previous) {
        (Some(expires_at), Some(_), _) | (Some(expires_at), None, Some(_)) => *expires_at,
        (None, None, Some(previous)) => previous,
        (None, Some(_), _) => now.plus(config.refresh_ttl).max(tokens.access_expires_at.unwrap_or(now)),
        (_, None, None) => tokens.access_expires_at.unwrap_or_else(|| now.plus(config.access_ttl)),
    };
    by_refresh_token.min(opened_at.plus(config.max_lifetime))
}

/// How long to leave a session alone after its `failures`-th failure in a row: 250 ms doubling up to 30 s, of which a
/// part between half and all is waited, so that sessions that failed together do not come back together. Up to one second
/// for want of the store: it is the auth service that is to be left alone, and a store that is back is to be used again.
///
/// While the token at hand lives, at most a third of what is `left` of it, so that there are further tries.
pub(crate) fn back_off(
    key: &SessionKey,
    reason: Unavailability,
    failures: u32,
    left: Duration,
    asked: Option<Duration>,
) -> Duration {
    const FIRST: Duration = Duration::from_millis(250);
    let most = Duration::from_secs(if reason == Unavailability::Store { 1 } else { 30 });
    let full = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(most);
    let draw = key.spread().rotate_left(failures.wrapping_mul(7)) % 1024;
    let part = full / 2 + full.mul_f64(f64::from(u32::try_from(draw).expect("below 1024")) / 2048.0);
    let part = if left.is_zero() { part } else { part.min(left / 3).max(FIRST) };
    part.max(asked.unwrap_or_default().min(Duration::from_mins(5)))
}

/// How long a session is left alone after a refresh whose token arrived dying, or due for the next refresh at once.
///
/// Tokens that live half a second or longer pace themselves by their zones.
pub(crate) fn pause_after_success(session: &Session, now: Timestamp) -> Option<Duration> {
    let left = session.zones.expires_at.since(now);
    let dying = left < Duration::from_millis(500);
    let due = session.zones.refresh_at.since(now) < Duration::from_millis(250);
    (dying || due).then(|| (left / 4).max(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests;
