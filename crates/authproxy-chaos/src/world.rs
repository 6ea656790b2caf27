//! Everything that runs: nodes, Redis behind relays, the auth service, the upstream, the browsers.

mod acts;
mod last_look;

use std::{
    io,
    net::SocketAddr,
    ops::RangeInclusive,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use authproxy_testing::redis::{RedisOptions, RedisServer};
use futures_util::future::try_join_all;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{
    auth::{
        AuthService, Contract,
        ledger::{Ledger, Lives},
    },
    balancer::Balancer,
    browser::{Browser, Habits, Shared},
    census::Census,
    incident::Incident,
    judge::{Case, Judgement, Limits},
    node::{Node, Settings},
    random::Random,
    relay::Relays,
    upstream::Upstream,
};

/// What a world is made of.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// The program under test.
    pub(crate) program: PathBuf,
    /// For configurations, logs and results.
    pub(crate) directory: PathBuf,
    pub(crate) nodes: usize,
    pub(crate) store: StoreKind,
    pub(crate) contract: Contract,
    pub(crate) lives: Lives,
    /// Milliseconds that the auth service takes for an answer.
    pub(crate) auth_delay: RangeInclusive<u64>,
    pub(crate) backend_timeout: Duration,
    pub(crate) near_ttl: Duration,
    pub(crate) stale_max: Duration,
    /// How long a logout may take to be known everywhere while nothing happens.
    pub(crate) calm_logout: Duration,
    pub(crate) browsers: u64,
    pub(crate) habits: Habits,
    pub(crate) log_level: String,
}

/// Where the nodes keep their sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    /// Each in its own memory: for one node.
    Memory,
    /// In one Redis, which keeps its data on disk.
    Redis,
}

/// Everything that runs. It ends with this.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) nodes: Vec<Node>,
    pub(crate) auth: AuthService,
    pub(crate) redis: Option<RedisServer>,
    pub(crate) relays: Option<Relays>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) incidents: Vec<Incident>,
    pub(crate) began: Instant,
    stopping: watch::Sender<bool>,
    browsers: JoinSet<()>,
    _upstream: Upstream,
}

/// A store's own timeout, of which a lease has four: see `ManagerConfig`.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a request may take: a node that stands still is not waited for.
const PATIENCE: Duration = Duration::from_secs(8);

impl Plan {
    /// How long a node may hold the permission to present a token.
    pub(crate) fn lease(&self) -> Duration {
        2 * self.backend_timeout + 4 * STORE_TIMEOUT
    }
}

impl World {
    /// Starts everything but the load.
    pub(crate) async fn start(plan: Plan) -> io::Result<Self> {
        std::fs::create_dir_all(&plan.directory)?;
        let ledger = Ledger::new(plan.contract, plan.lives);
        let auth = AuthService::start(plan.nodes, ledger, plan.auth_delay.clone(), plan.seed).await?;
        let upstream = Upstream::start().await?;
        let (redis, relays) = match plan.store {
            StoreKind::Memory => (None, None),
            StoreKind::Redis => {
                let redis = RedisOptions::default().appendonly().start().await;
                let address = SocketAddr::from(([127, 0, 0, 1], redis.port()));
                (Some(redis), Some(Relays::start(plan.nodes, address).await?))
            }
        };
        let mut nodes = Vec::new();
        for place in 0..plan.nodes {
            let settings = settings(&plan, place, &auth, upstream.address, relays.as_ref());
            nodes.push(Node::prepare(&format!("node-{place}"), &settings)?);
        }
        try_join_all(nodes.iter_mut().map(Node::start)).await?;
        let shared = Arc::new(Shared {
            balancer: Balancer::new(nodes.iter().map(Node::address), PATIENCE),
            census: Mutex::new(Census::default()),
            idle: Mutex::default(),
            habits: plan.habits.clone(),
        });
        Ok(Self {
            plan,
            nodes,
            auth,
            redis,
            relays,
            shared,
            incidents: Vec::new(),
            began: Instant::now(),
            stopping: watch::Sender::new(false),
            browsers: JoinSet::new(),
            _upstream: upstream,
        })
    }

    /// Lets the browsers begin.
    pub(crate) fn load(&mut self) {
        let seed = Random::new(self.plan.seed, "browsers");
        for name in 0..self.plan.browsers {
            let browser = Browser::new(name, &seed, self.shared.clone(), self.stopping.subscribe());
            self.browsers.spawn(browser.run());
        }
    }

    /// Becomes true when the load is to end.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// What each node's process takes of the memory, in KiB.
    pub(crate) fn memory(&self) -> Vec<u64> {
        self.nodes.iter().map(Node::memory).collect()
    }

    /// Lets the browsers finish what they are at.
    pub(crate) async fn unload(&mut self) {
        self.stopping.send_replace(true);
        while self.browsers.join_next().await.is_some() {}
    }

    /// Holds everything that was counted against the promises.
    pub(crate) fn judge(&self) -> Judgement {
        let census = self.shared.census();
        let ledger = self.auth.ledger();
        let limits = Limits {
            calm: self.plan.calm_logout,
            near_ttl: self.plan.near_ttl,
            stale_max: self.plan.stale_max,
            lease: self.plan.lease(),
            backend_timeout: self.plan.backend_timeout,
        };
        let commits = self.relays.as_ref().map(Relays::commits);
        Case {
            began: self.began,
            census: &census,
            ledger: &ledger,
            commits: commits.as_ref(),
            incidents: &self.incidents,
            limits,
        }
        .judge()
    }
}

fn settings(plan: &Plan, place: usize, auth: &AuthService, upstream: SocketAddr, relays: Option<&Relays>) -> Settings {
    let store = match relays {
        None => String::new(),
        Some(relays) => format!(
            "url = \"redis://{}\"\nsecrets = [\"{}\"]\nwait = \"10s\"\nnear_ttl = \"{}ms\"\nstale_max = \"{}ms\"",
            relays.address(place),
            "a secret of the harness, which guards nothing",
            plan.near_ttl.as_millis(),
            plan.stale_max.as_millis(),
        ),
    };
    Settings {
        program: plan.program.clone(),
        directory: plan.directory.clone(),
        auth_url: auth.url(place),
        upstream,
        rotation: plan.contract.to_string(),
        backend_timeout: plan.backend_timeout,
        store,
        log_level: plan.log_level.clone(),
    }
}
