//! The faults of a run: which, in which order, for how long. The seed says.

use std::{fmt, io, time::Duration};

use crate::{
    auth::Mood,
    random::Random,
    relay::Traffic,
    world::{StoreKind, World},
};

/// One fault, with everything that was drawn for it.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    kind: FaultKind,
    node: usize,
    length: Duration,
    /// How long things are left alone afterwards.
    pub(crate) rest: Duration,
}

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    KillNode,
    StopNode,
    /// Longer than a lease.
    StopNodeForLong,
    RollingRestart,
    AuthSlow,
    /// Slower than the nodes' patience.
    AuthTooSlow,
    AuthResets,
    AuthFails,
    AuthOverloaded,
    AuthDown,
    RedisRestart,
    RedisEmpty,
    RedisPause,
    RedisReset,
    RedisSlow,
    RedisHalfOpen,
    RedisRefuses,
    RedisFull,
    RedisCrowded,
    /// A node is killed while Redis is away.
    KillWithoutRedis,
    /// A node is killed while the auth service is slow.
    KillWhileSlow,
}

use FaultKind as K;

const NODES: [FaultKind; 3] = [K::KillNode, K::StopNode, K::RollingRestart];
const AUTH: [FaultKind; 6] = [K::AuthSlow, K::AuthTooSlow, K::AuthResets, K::AuthFails, K::AuthOverloaded, K::AuthDown];
const REDIS: [FaultKind; 9] = [
    K::RedisRestart,
    K::RedisEmpty,
    K::RedisPause,
    K::RedisReset,
    K::RedisSlow,
    K::RedisHalfOpen,
    K::RedisRefuses,
    K::RedisFull,
    K::RedisCrowded,
];
const BOTH: [FaultKind; 3] = [K::KillWithoutRedis, K::KillWhileSlow, K::StopNodeForLong];

/// The faults of so many rounds; each round has every kind once, in an order of its own.
pub(crate) fn plan(seed: u64, rounds: u64, short: bool, nodes: usize, store: StoreKind) -> Vec<Fault> {
    let mut random = Random::new(seed, "faults");
    let mut faults = Vec::new();
    for _ in 0..rounds {
        let mut kinds = AUTH.to_vec();
        if store == StoreKind::Redis {
            kinds.extend(NODES);
            kinds.extend(REDIS);
            if !short {
                kinds.extend(BOTH);
            }
        } else {
            kinds.push(K::StopNode);
        }
        random.shuffle(&mut kinds);
        // First what may fail no request: leases of killed nodes still run after the others.
        kinds.sort_by_key(|kind| !kind.is_harmless());
        faults.extend(kinds.into_iter().map(|kind| Fault::draw(kind, short, nodes, &mut random)));
    }
    faults
}

impl Fault {
    fn draw(kind: FaultKind, short: bool, nodes: usize, random: &mut Random) -> Self {
        let usual = if short { 300..=800 } else { 500..=4000 };
        let length = match kind {
            K::KillNode | K::StopNode => random.millis(50..=1500),
            K::RedisReset | K::RedisHalfOpen => random.millis(1..=200),
            K::RollingRestart => Duration::ZERO,
            K::StopNodeForLong => random.millis(10_000..=13_000),
            K::RedisRefuses if !short => Duration::from_secs(30),
            _ => random.millis(usual),
        };
        let rest = if short { random.millis(300..=600) } else { random.millis(2500..=4000) };
        Self { kind, node: random.place(nodes), length, rest }
    }

    /// Whether requests may not fail while it happens.
    pub(crate) fn is_harmless(&self) -> bool {
        self.kind.is_harmless()
    }

    /// Whether Redis keeps its sessions.
    pub(crate) fn spares_sessions(&self) -> bool {
        self.kind != K::RedisEmpty
    }

    /// Does it, and undoes it.
    pub(crate) async fn happen(&self, world: &mut World) -> io::Result<()> {
        let (node, length) = (self.node, self.length);
        match self.kind {
            K::KillNode => world.kill(node, length).await?,
            K::StopNode | K::StopNodeForLong => world.stop(node, length).await,
            K::RollingRestart => world.roll().await?,
            K::AuthSlow => world.misbehave(Mood::Slow(world.plan.backend_timeout / 2), "slow", length).await,
            K::AuthTooSlow => world.misbehave(Mood::Slow(world.plan.backend_timeout * 2), "too slow", length).await,
            K::AuthResets => world.misbehave(Mood::Resets, "resets", length).await,
            K::AuthFails => world.misbehave(Mood::Fails, "fails", length).await,
            K::AuthOverloaded => world.misbehave(Mood::Overloaded, "overloaded", length).await,
            K::AuthDown => world.misbehave(Mood::Down, "down", length).await,
            K::RedisRestart => world.restart_redis(length).await,
            K::RedisEmpty => world.empty_redis(length).await,
            K::RedisPause => world.pause_redis(length).await,
            K::RedisReset => world.disturb(Traffic::Reset, "connections reset", length).await,
            K::RedisSlow => world.disturb(Traffic::Slow(Duration::from_millis(150)), "slow", length).await,
            K::RedisHalfOpen => world.disturb(Traffic::Swallowed, "half-open", length).await,
            K::RedisRefuses => world.disturb(Traffic::Refused, "refuses connections", length).await,
            K::RedisFull => world.fill_redis(length).await,
            K::RedisCrowded => world.crowd_redis(length).await,
            K::KillWithoutRedis => world.kill_without_redis(node, length).await?,
            K::KillWhileSlow => world.kill_while_slow(node, length).await?,
        }
        Ok(())
    }
}

impl FaultKind {
    fn is_harmless(self) -> bool {
        self == Self::RollingRestart
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)?;
        match self.kind {
            K::KillNode | K::StopNode | K::StopNodeForLong | K::KillWithoutRedis | K::KillWhileSlow => {
                write!(f, " {}", self.node)?;
            }
            _ => {}
        }
        write!(f, " {} ms", self.length.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_plans_every_kind_once_a_round_and_always_the_same() {
        let text = |seed| {
            let faults = plan(seed, 2, false, 3, StoreKind::Redis);
            faults.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(text(5), text(5));
        assert_ne!(text(5), text(6));
        assert_eq!(text(5).len(), 2 * (NODES.len() + AUTH.len() + REDIS.len() + BOTH.len()));
    }
}
