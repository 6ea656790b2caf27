//! [`RedisStore`]: sessions in Redis or Valkey (7.0 or later), shared by a fleet of nodes.
//!
//! One key a session, and every verb is one script on that key, so a Cluster needs nothing else. Leases run on the
//! server's clock. What is stored is sealed by an [`Envelope`]; names are one-way.

mod cached;
mod cluster;
mod connect_error;
mod dial;
mod endpoint;
mod failure;
mod journal;
mod key_hasher;
mod link;
mod listener;
mod names;
mod near;
mod node;
mod record;
mod script;
mod server_clock;
mod servers;
mod slots;
mod tls;
mod url;
mod verbs;
mod vetting;

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch};

pub use self::{
    connect_error::{ConnectError, ConnectProblem},
    tls::{InvalidRedisTls, RedisTls},
    url::InvalidRedisUrl,
};
use self::{
    dial::{Dialer, Owned},
    journal::Journal,
    listener::Listener,
    near::{NearCache, NearLimits},
    script::Scripts,
    servers::Servers,
    url::Target,
};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    store::Envelope,
};

/// How long a session is kept after its end, so that its browser is told "expired" and not "unknown".
const LINGER: Duration = Duration::from_mins(5);

/// Sessions in Redis or Valkey.
///
/// ```no_run
/// # use authproxy_core::store::{Envelope, RedisStore};
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let envelope = Envelope::new(["a secret of at least thirty-two characters"])?;
/// let store = RedisStore::builder("redis://localhost", envelope)?.build()?;
/// store.ready().await?;
/// # Ok(()) }
/// ```
///
/// It connects when it is first used and keeps its connections by tasks of its own, which end when it is dropped. They
/// run on the tokio runtime that it is made in or, where there is none, that of its first use.
///
/// What was read is remembered for a short time, access tokens only, so that most requests cost no command
/// ([`near_ttl`](RedisStoreBuilder::near_ttl)).
pub struct RedisStore {
    records: Arc<Records>,
    near: Arc<NearCache>,
    listener: Listener,
    /// Writes again what a failover may have lost.
    healer: OnceLock<Owned>,
}

/// The sessions as Redis has them: every verb is a command.
struct Records {
    servers: Arc<Servers>,
    scripts: Scripts,
    envelope: Envelope,
    durability: Durability,
    idle_timeout: Option<Duration>,
    clock: Arc<dyn Clock>,
    unreadable: AtomicU64,
    journal: Arc<Journal>,
}

/// Makes a [`RedisStore`].
#[must_use]
pub struct RedisStoreBuilder {
    target: Target,
    envelope: Envelope,
    tls: Option<RedisTls>,
    durability: Durability,
    near: NearLimits,
    idle_timeout: Option<Duration>,
    clock: Option<Arc<dyn Clock>>,
}

/// When an intent to present a refresh token, or the tokens that it brought, count as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When the primary has them. A failover may lose the last moments: a lost intent can lead to a second presentation,
    /// a lost token set to one that only the node that won it has until it is stored again.
    #[default]
    Async,
    /// When a replica has them too (`WAIT 1`). Without a replica nothing is refreshed: an intent that none confirms is
    /// taken back, and access tokens are served until they expire. Tokens that none confirms are kept by the primary
    /// alone. A failover that promotes a replica which has confirmed neither may still lose both.
    Replica,
}

impl RedisStore {
    /// Begins to make a store for `redis://` or `rediss://host:port/database`, `redis+unix:///path`,
    /// `redis-cluster://host:port,host:port`, or `redis-sentinel://host:port,host:port/name`, each with `user:password@`
    /// before the hosts where it is needed. `rediss-cluster` and `rediss-sentinel` speak TLS. Sentinels are given the
    /// same user and password if they ask for one.
    ///
    /// # Errors
    ///
    /// [`InvalidRedisUrl`].
    pub fn builder(url: &str, envelope: Envelope) -> Result<RedisStoreBuilder, InvalidRedisUrl> {
        let target = Target::parse(url)?;
        let (near, durability) = (NearLimits::default(), Durability::default());
        Ok(RedisStoreBuilder { target, envelope, tls: None, durability, near, idle_timeout: None, clock: None })
    }

    /// Whether [`builder`](Self::builder) takes this URL.
    ///
    /// # Errors
    ///
    /// [`InvalidRedisUrl`].
    pub fn check_url(url: &str) -> Result<(), InvalidRedisUrl> {
        Target::parse(url).map(drop)
    }

    /// Whether Redis can be reached and used now. Takes no longer than a few seconds.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], which says what an operator can do.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing; connecting goes on in the background.
    pub async fn ready(&self) -> Result<(), ConnectError> {
        self.listen();
        self.records.servers.ready().await?;
        self.listener.listens().await;
        Ok(())
    }

    /// How many records could not be opened since the start: sealed with an unknown secret, damaged, or not ours at all.
    /// Each counted as no session.
    pub fn unreadable_records(&self) -> u64 {
        self.records.unreadable.load(Ordering::Relaxed)
    }
}

impl RedisStoreBuilder {
    /// Certificates for a URL with TLS. Default: the system's authorities, no client certificate.
    pub fn tls(mut self, tls: RedisTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Default [`Durability::Async`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The manager's [`idle_timeout`](crate::manager::ManagerConfig::idle_timeout), where it has one: what was written
    /// longer ago is not written again after a failover, for that would count as a use. Default none.
    pub fn idle_timeout(mut self, idle_timeout: Option<Duration>) -> Self {
        self.idle_timeout = idle_timeout;
        self
    }

    /// The clock that sessions' expiries are on: the manager's. Default [`SystemClock`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// How long a session is served without asking Redis after it was last asked for: the longest time for which a
    /// logout on another node may go unnoticed when its message is lost. Zero: Redis is asked for every request, and
    /// nothing is served while it is away. Default 5 seconds.
    pub fn near_ttl(mut self, near_ttl: Duration) -> Self {
        self.near.near_ttl = near_ttl;
        self
    }

    /// How long a valid access token goes on being served after Redis was last asked for its session, while Redis cannot
    /// be reached. Default 60 seconds.
    pub fn stale_max(mut self, stale_max: Duration) -> Self {
        self.near.stale_max = stale_max;
        self
    }

    /// How much memory the remembered sessions may take, about, in bytes. What was not used for longest is forgotten
    /// first. Default 256 MiB: a hundred and fifty thousand sessions whose access tokens have a kilobyte.
    pub fn near_memory(mut self, bytes: u64) -> Self {
        self.near.memory = bytes;
        self
    }

    /// Makes the store. Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`InvalidRedisTls`] when there are no certificate authorities for a URL with TLS, or certificates for one without.
    pub fn build(self) -> Result<RedisStore, InvalidRedisTls> {
        let Target { layout, tls, credentials, database } = self.target;
        let tls = match (tls, self.tls) {
            (true, own) => Some(own.unwrap_or_default().config()?),
            (false, Some(_)) => return Err(InvalidRedisTls::NotAsked),
            (false, None) => None,
        };
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let near = Arc::new(NearCache::new(self.near, clock.clone()));
        let dialer = Dialer {
            credentials,
            database,
            tls,
            runtime: Handle::try_current().ok(),
            primaries: watch::Sender::new(Timestamp::from_millis(0)),
        };
        let records = Arc::new(Records {
            servers: Arc::new(Servers::new(layout, dialer, clock.clone())),
            scripts: Scripts::new(),
            envelope: self.envelope,
            durability: self.durability,
            idle_timeout: self.idle_timeout,
            clock,
            unreadable: AtomicU64::new(0),
            journal: Arc::default(),
        });
        Ok(RedisStore { records, near, listener: Listener::new(), healer: OnceLock::new() })
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("durability", &self.records.durability)
            .field("unreadable_records", &self.unreadable_records())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder").field("target", &self.target).finish_non_exhaustive()
    }
}
