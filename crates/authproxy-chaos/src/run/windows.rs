//! kill -9 of the refreshing node at each step of a refresh, under each contract: what becomes of the session.
//!
//! The node is killed at exactly that moment: the harness holds up the one message that comes next, the relay's to or
//! from Redis or the auth service's answer, and kills the node while it is held.

use std::{fmt, io, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep, timeout};

use super::plan;
use crate::{
    args::Args,
    auth::{Contract, DUE_SOON, Point, ledger::Lives},
    census::{Outcome, Session},
    relay::{Side, Verb},
    report::Report,
    world::World,
};

/// Worlds side by side: they wait for a lease to run out, and do little else.
const AT_ONCE: usize = 12;
/// The node that is killed, and the one that is left.
const VICTIM: usize = 0;
const SURVIVOR: usize = 1;
const ACCESS_LIFE: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(10);
const CONTRACTS: [Contract; 4] =
    [Contract::Strict, Contract::Grace(Duration::from_secs(60)), Contract::Reusable, Contract::Idempotent];
/// How many of them a short run has.
const SHORT: usize = 2;

/// A step of a refresh; the node dies right behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Window {
    /// The request for the lease never reaches the store.
    BeforeIntent,
    /// The lease is in the store; the token is not sent.
    IntentStored,
    /// The token is at the service, which has not acted yet.
    Sent,
    /// The service has rotated; its answer is lost.
    Acted,
    /// The answer is at the node; its commit never reaches the store.
    Answered,
    /// The new version is in the store; the node never hears.
    Committed,
}

const WINDOWS: [Window; 6] =
    [Window::BeforeIntent, Window::IntentStored, Window::Sent, Window::Acted, Window::Answered, Window::Committed];

/// What became of the session, and how often its refresh token was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    lives: bool,
    presentations: usize,
}

pub(super) async fn windows(args: &Args) -> io::Result<Report> {
    let began = Instant::now();
    let contracts = if args.short { SHORT } else { CONTRACTS.len() };
    let cases = CONTRACTS[..contracts].iter().flat_map(|contract| WINDOWS.iter().map(|window| (*contract, *window)));
    let ends: Vec<_> = stream::iter(cases)
        .map(|(contract, window)| async move { Ok((contract, window, one(args, contract, window).await?)) })
        .buffered(AT_ONCE)
        .try_collect()
        .await
        .map_err(|error: io::Error| error)?;
    let seed = args.seed.unwrap_or_default();
    let mut report = Report::new("windows", seed, "2 nodes, the refreshing one killed at each step of a refresh");
    for (contract, window, end) in ends {
        report.figure(&format!("{contract}, killed {window}"), &end);
        if !window.allows(contract, end) {
            report.broke(format!("{contract}, killed {window}: {end}"));
        }
    }
    report.took(began.elapsed());
    Ok(report)
}

impl Window {
    /// The outcome table: what each contract can save, and how often the token may have been presented by then.
    fn allows(self, contract: Contract, end: End) -> bool {
        let unknown = matches!(self, Self::Sent | Self::Acted | Self::Answered);
        let lives = !(contract == Contract::Strict && (unknown || self == Self::IntentStored));
        let presentations = match (contract, self) {
            // It is presented again with every later refresh.
            (Contract::Reusable, _) => end.presentations.max(1),
            (Contract::Strict, Self::IntentStored) => 0,
            (Contract::Strict, _) => 1,
            _ if unknown => 2,
            _ => 1,
        };
        end == End { lives, presentations }
    }

    /// Lets the victim refresh up to this step, and kills it there.
    async fn strike(self, world: &mut World, session: &Session) -> io::Result<()> {
        let relays = world.relays.as_ref().expect("this run has a Redis");
        let in_relay = match self {
            Self::BeforeIntent => Some((Verb::Begin, Side::Command)),
            Self::IntentStored => Some((Verb::Begin, Side::Answer)),
            Self::Answered => Some((Verb::Commit, Side::Command)),
            Self::Committed => Some((Verb::Commit, Side::Answer)),
            Self::Sent | Self::Acted => None,
        };
        let held = in_relay.map(|(verb, side)| relays.hold(VICTIM, verb, side));
        let point = if self == Self::Sent { Point::Arrived } else { Point::Acted };
        let gate = in_relay.is_none().then(|| world.auth.hold(point));
        let shared = world.shared.clone();
        sleep((session.opened_at + DUE_SOON).saturating_duration_since(Instant::now())).await;
        // The token is due: the victim serves it and refreshes behind it.
        shared.ask_node(session, VICTIM).await;
        let arrived = async {
            match (&held, &gate) {
                (Some(held), _) => held.arrived().await,
                (None, Some(gate)) => gate.arrived().await,
                (None, None) => {}
            }
        };
        timeout(PATIENCE, arrived).await.map_err(|_| io::Error::other(format!("never came {self}")))?;
        world.kill_for_good(VICTIM).await;
        // What was held in a relay is lost with the node; the service goes on with what it has.
        if let Some(gate) = gate {
            gate.open();
        }
        Ok(())
    }
}

async fn one(args: &Args, contract: Contract, window: Window) -> io::Result<End> {
    let mut plan = plan(args, &format!("windows-{contract}-{window:?}").replace(':', "-"))?;
    plan.nodes = 2;
    plan.browsers = 0;
    plan.contract = contract;
    plan.lives = Lives::due_soon(ACCESS_LIFE);
    let mut world = World::start(plan).await?;
    let user = "w".to_owned();
    let session = world.shared.log_in(user, SURVIVOR).await.ok_or_else(|| io::Error::other("no login"))?;
    window.strike(&mut world, &session).await?;
    let (_, outcome) = world.shared.ask_node(&session, SURVIVOR).await;
    if outcome != Outcome::Good {
        return Err(io::Error::other(format!("{contract}, killed {window}: a good token is not served: {outcome:?}")));
    }
    sleep((session.opened_at + ACCESS_LIFE).saturating_duration_since(Instant::now())).await;
    let deadline = Instant::now() + world.plan.lease() + PATIENCE;
    loop {
        let (_, outcome) = world.shared.ask_node(&session, SURVIVOR).await;
        let lives = match outcome {
            Outcome::Good => true,
            Outcome::LoggedOut(_) => false,
            Outcome::Failed(_) if Instant::now() < deadline => {
                sleep(Duration::from_millis(100)).await;
                continue;
            }
            other => return Err(io::Error::other(format!("{contract}, killed {window}: {other:?}"))),
        };
        let presentations = world.auth.ledger().presentations_of_first(&session.user);
        return Ok(End { lives, presentations });
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeforeIntent => "before the intent is stored",
            Self::IntentStored => "before sending",
            Self::Sent => "after sending",
            Self::Acted => "after the service has rotated",
            Self::Answered => "after the answer, before the commit",
            Self::Committed => "after the commit",
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.lives { "the session lives" } else { "a new login" };
        write!(f, "{end}, {} presentation(s)", self.presentations)
    }
}
