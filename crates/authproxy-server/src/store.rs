//! The session store that the configuration names, checked before anybody is served.

use std::{
    fs,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use authproxy_core::{
    clock::{Clock, SystemClock},
    store::{
        ConnectError, ConnectProblem, Durability as RedisDurability, Envelope, InvalidRedisTls, InvalidRedisUrl,
        InvalidSecrets, MemoryStore, RedisStore, RedisTls, SessionStore,
    },
};
use tokio::time::{Instant, sleep, timeout};

use crate::config::{Config, Durability, StoreTlsConfig, duration};

/// Between two looks at a Redis that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Between two lines that say what is waited for, when it stays the same.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Where sessions live, and the clock that their expiries are on.
#[derive(Clone)]
pub struct Store {
    pub(crate) sessions: Arc<dyn SessionStore>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Why there is no store. Each names what to change, and none holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// `store.capacity` is zero.
    #[error("`store.capacity` must be at least 1")]
    NoCapacity,
    /// `store.url` names no store.
    #[error("`store.url` is not usable: {0}")]
    Url(#[from] InvalidRedisUrl),
    /// `store.secrets` are missing or weak.
    #[error("`store.secrets` cannot seal sessions in Redis: {0}")]
    Secrets(#[from] InvalidSecrets),
    /// One of the certificates' files cannot be read.
    #[error("`{key}`: cannot read {}: {error}", path.display())]
    File {
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// What the certificates' files hold cannot be used.
    #[error("`store.tls`: {0}")]
    Tls(#[from] InvalidRedisTls),
    /// One of `store.tls.cert` and `store.tls.key` is missing.
    #[error("`store.tls.cert` and `store.tls.key` must be set together")]
    HalfConfigured,
    /// Redis cannot be used now.
    #[error("the session store cannot be used: {0}")]
    Connect(#[from] ConnectError),
}

impl Store {
    /// Opens the store of `store.*` and makes sure that it can be used; `None` when `shutdown` resolves before that.
    ///
    /// With `store.wait`, what time may heal is waited for, and the log says what that is.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connections that it made.
    pub async fn open(
        config: &Config,
        shutdown: Pin<&mut (impl Future<Output = ()> + ?Sized)>,
    ) -> Result<Option<Self>, StoreError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        if config.store.is_memory() {
            if config.store.capacity == 0 {
                return Err(StoreError::NoCapacity);
            }
            let sessions = Arc::new(MemoryStore::with_clock(config.store.capacity, clock.clone()));
            return Ok(Some(Self { sessions, clock }));
        }
        let redis = redis(config, clock.clone())?;
        match unless(shutdown, until_ready(&redis, config.store.wait)).await {
            None => Ok(None),
            Some(Err(error)) => Err(error.into()),
            Some(Ok(())) => Ok(Some(Self { sessions: Arc::new(redis), clock })),
        }
    }

    /// Whether `store.*` names a store that can be asked for; nobody is asked.
    pub(crate) fn check(config: &Config) -> Result<(), StoreError> {
        if config.store.is_memory() {
            return Ok(());
        }
        redis(config, Arc::new(SystemClock::new())).map(drop)
    }
}

fn redis(config: &Config, clock: Arc<dyn Clock>) -> Result<RedisStore, StoreError> {
    let store = &config.store;
    RedisStore::check_url(&store.url)?;
    let envelope = Envelope::new(store.secrets.iter().map(|secret| secret.as_str()))?;
    let durability = match store.durability {
        Durability::Async => RedisDurability::Async,
        Durability::Replica => RedisDurability::Replica,
    };
    let mut builder = RedisStore::builder(&store.url, envelope)?
        .durability(durability)
        .near_ttl(store.near_ttl)
        .stale_max(store.stale_max)
        .idle_timeout(config.session.idle_timeout)
        .clock(clock);
    if let Some(tls) = certificates(&store.tls)? {
        builder = builder.tls(tls);
    }
    Ok(builder.build()?)
}

fn certificates(config: &StoreTlsConfig) -> Result<Option<RedisTls>, StoreError> {
    let read = |key, path: &Path| {
        fs::read_to_string(path).map_err(|error| StoreError::File { key, path: path.to_owned(), error })
    };
    let mut tls = None;
    if let Some(path) = &config.ca {
        tls = Some(RedisTls::default().authority(&read("store.tls.ca", path)?)?);
    }
    match (&config.cert, &config.key) {
        (None, None) => Ok(tls),
        (Some(cert), Some(key)) => {
            let key = zeroize::Zeroizing::new(read("store.tls.key", key)?);
            Ok(Some(tls.unwrap_or_default().client(&read("store.tls.cert", cert)?, &key)?))
        }
        _ => Err(StoreError::HalfConfigured),
    }
}

/// Resolves when Redis can be used, or when it cannot and waiting is over or of no use.
async fn until_ready(redis: &RedisStore, wait: Option<Duration>) -> Result<(), ConnectError> {
    let Some(wait) = wait else { return redis.ready().await };
    let deadline = Instant::now() + wait;
    let mut said: Option<(ConnectError, Instant)> = None;
    loop {
        // Redis may hang; what was said last is then the reason.
        let error = match (timeout(deadline.saturating_duration_since(Instant::now()), redis.ready()).await, &said) {
            (Ok(Ok(())), _) => return Ok(()),
            (Ok(Err(error)), _) => error,
            (Err(_), Some((error, _))) => return Err(error.clone()),
            (Err(_), None) => return redis.ready().await,
        };
        if !may_pass(error.problem()) || Instant::now() + LOOK_EVERY >= deadline {
            return Err(error);
        }
        let is_news = said.as_ref().is_none_or(|(earlier, at)| *earlier != error || at.elapsed() >= SAY_EVERY);
        if is_news {
            let left = duration::format(Duration::from_secs((deadline - Instant::now()).as_secs()));
            tracing::warn!(%error, %left, "waiting for the session store");
            said = Some((error, Instant::now()));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Whether time alone may heal it. Nobody should wait for a password to become right.
fn may_pass(problem: &ConnectProblem) -> bool {
    use ConnectProblem as P;
    !matches!(
        problem,
        P::Credentials | P::NoPermission | P::Tls(_) | P::TooOld(_) | P::NotACluster | P::ACluster | P::NoSuchDatabase
    )
}

/// What `work` brings, unless `end` comes first. `end` can be waited for again when it did not.
async fn unless<T>(end: Pin<&mut (impl Future<Output = ()> + ?Sized)>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = end => None,
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
