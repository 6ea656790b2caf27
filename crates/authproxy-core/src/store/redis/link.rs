//! [`Link`]: the way to one server, kept open by one task.
//!
//! While there is no connection, only that task tries to make one, after a pause that grows and is never the same on two
//! nodes. Callers wait for its first try after a loss, and from then on are told at once that there is none.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use redis::{Cmd, Pipeline, Value};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use super::{
    connect_error::{ConnectError, ConnectProblem},
    dial::{CONNECT_TIMEOUT, Connection, Dialer, Heard, Owned, Primary, Purpose},
    endpoint::Endpoint,
    failure::{Failure, Refusal},
    server_clock::ServerClock,
    url::Address,
};
use crate::clock::{Clock, Timestamp};

/// The pause between two tries to connect, at first and at most. Redis counts as back within two seconds.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// How long a server that has left a command unanswered has to answer a PING.
const LAST_CHANCE: Duration = Duration::from_millis(400);

/// The way to one server.
pub(super) struct Link {
    inner: Arc<Inner>,
    keeper: OnceLock<Owned>,
}

struct Inner {
    endpoint: Endpoint,
    dialer: Arc<Dialer>,
    clock: Arc<dyn Clock>,
    server_clock: ServerClock,
    state: watch::Sender<State>,
    /// What the keeper has to look at, the worst of it.
    doubt: Mutex<Option<(Connection, Doubt)>>,
    doubted: Notify,
    /// Where the data of the last server came from.
    history: Mutex<Option<String>>,
}

#[derive(Clone)]
enum State {
    /// The first try since the start or the last loss is under way.
    Connecting,
    Up(Connection),
    Down(ConnectError),
}

/// What makes a connection doubtful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// A command was not answered in time.
    Silent,
    /// It broke, or its server is no primary any more.
    Useless,
}

impl Link {
    /// A link that connects when it is first used.
    pub(super) fn new(endpoint: Endpoint, dialer: Arc<Dialer>, clock: Arc<dyn Clock>) -> Self {
        let inner = Inner {
            endpoint,
            dialer,
            clock,
            server_clock: ServerClock::new(),
            state: watch::Sender::new(State::Connecting),
            doubt: Mutex::new(None),
            doubted: Notify::new(),
            history: Mutex::new(None),
        };
        Self { inner: Arc::new(inner), keeper: OnceLock::new() }
    }

    /// Where the server is, or who is asked for it first.
    pub(super) fn address(&self) -> &Address {
        self.inner.endpoint.first()
    }

    /// The server's time on this node's clock.
    pub(super) fn server_clock(&self) -> &ServerClock {
        &self.inner.server_clock
    }

    /// Completes when there is a connection.
    pub(super) async fn up(&self) {
        self.keep();
        let _ = self.inner.state.subscribe().wait_for(|state| matches!(state, State::Up(_))).await;
    }

    /// Completes when there is none.
    pub(super) async fn trouble(&self) {
        let _ = self.inner.state.subscribe().wait_for(|state| !matches!(state, State::Up(_))).await;
    }

    /// Another connection to the same server, to hear what it says unasked.
    pub(super) async fn listen(&self, heard: Heard) -> Result<Connection, ConnectError> {
        self.inner.endpoint.listen(&self.inner.dialer, heard).await
    }

    /// When another primary was met, from now on.
    pub(super) fn primaries(&self) -> watch::Receiver<Timestamp> {
        self.inner.dialer.primaries.subscribe()
    }

    /// Begins a task that belongs to the store.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Owned {
        self.inner.dialer.spawn(task)
    }

    fn keep(&self) {
        self.keeper.get_or_init(|| self.inner.dialer.spawn(keep(self.inner.clone())));
    }

    /// The connection, at once or after the first try to make one.
    pub(super) async fn connection(&self) -> Result<Connection, ConnectError> {
        self.keep();
        let mut state = self.inner.state.subscribe();
        let known = timeout(CONNECT_TIMEOUT, state.wait_for(|state| !matches!(state, State::Connecting))).await;
        match known.as_ref().map(|state| state.as_deref()) {
            Ok(Ok(State::Up(connection))) => Ok(connection.clone()),
            Ok(Ok(State::Down(error))) => Err(error.clone()),
            Ok(Ok(State::Connecting) | Err(_)) | Err(_) => {
                Err(ConnectError::new(self.inner.endpoint.first(), ConnectProblem::TimedOut))
            }
        }
    }

    /// Sends one command.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, Failure> {
        let connection = self.connection().await.map_err(Failure::Unconnected)?;
        let answer = connection.ask(command).await;
        if let Err(failure) = &answer {
            self.doubt(&connection, failure);
        }
        answer
    }

    /// Sends commands together; each one's answer.
    pub(super) async fn send(&self, pipeline: &Pipeline) -> Result<Vec<Result<Value, Refusal>>, Failure> {
        let connection = self.connection().await.map_err(Failure::Unconnected)?;
        let answers = connection.send(pipeline).await;
        match &answers {
            Err(failure) => self.doubt(&connection, failure),
            Ok(answers) => {
                for refusal in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                    self.doubt(&connection, &Failure::Refused(refusal.clone()));
                }
            }
        }
        answers
    }

    /// Has the keeper look at a connection after a failure on it.
    fn doubt(&self, connection: &Connection, failure: &Failure) {
        let doubt = match failure {
            Failure::TimedOut => Doubt::Silent,
            Failure::Refused(Refusal::ReadOnly) | Failure::Lost => Doubt::Useless,
            _ => return,
        };
        if doubt == Doubt::Useless {
            // At once, so that the caller's next try waits for the new connection.
            self.inner.state.send_if_modified(|state| {
                let current = matches!(state, State::Up(current) if current.is(connection));
                if current {
                    *state = State::Connecting;
                }
                current
            });
        }
        self.inner.look_at(connection, doubt);
    }
}

/// Keeps a connection for as long as the link is there.
async fn keep(inner: Arc<Inner>) {
    loop {
        let connection = inner.connect().await;
        inner.state.send_replace(State::Up(connection.clone()));
        tracing::info!(at = %inner.endpoint, "connected to Redis");
        inner.until_useless(&connection).await;
        inner.state.send_replace(State::Connecting);
        tracing::warn!(at = %inner.endpoint, "lost the connection to Redis");
    }
}

impl Inner {
    /// Makes it known when this server's data are not what the last one had.
    fn meet(&self, primary: &Primary) {
        let mut known = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        if primary.history.is_none() || *known != primary.history {
            known.clone_from(&primary.history);
            self.dialer.primaries.send_replace(self.clock.now());
        }
    }

    fn look_at(&self, connection: &Connection, doubt: Doubt) {
        let mut worst = self.doubt.lock().unwrap_or_else(PoisonError::into_inner);
        if doubt == Doubt::Useless || !worst.as_ref().is_some_and(|(doubted, _)| doubted.is(connection)) {
            *worst = Some((connection.clone(), doubt));
        }
        self.doubted.notify_one();
    }

    /// Completes when a connection has ended, hangs, or leads to a server that is no primary any more.
    async fn until_useless(&self, connection: &Connection) {
        loop {
            tokio::select! {
                () = connection.ended() => return,
                () = self.doubted.notified() => {}
            }
            let doubt = self.doubt.lock().unwrap_or_else(PoisonError::into_inner).take();
            match doubt {
                Some((doubted, Doubt::Useless)) if doubted.is(connection) => return,
                Some((doubted, Doubt::Silent)) if doubted.is(connection) && !answers(connection).await => return,
                _ => {}
            }
        }
    }

    /// Tries until there is a connection.
    async fn connect(&self) -> Connection {
        let mut pause = PAUSE.0;
        loop {
            let sent = self.clock.now();
            match self.endpoint.dial(&self.dialer, Purpose::Primary).await {
                Ok(connection) => {
                    if let Some(primary) = &connection.primary {
                        self.server_clock.observe(sent, primary.time);
                        self.meet(primary);
                    }
                    return connection;
                }
                Err(error) => {
                    if !matches!(&*self.state.borrow(), State::Down(known) if *known == error) {
                        tracing::warn!(%error, "no connection to Redis; trying on");
                    }
                    self.state.send_replace(State::Down(error));
                }
            }
            sleep(jittered(pause)).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}

/// Whether a connection on which a command was not answered in time still answers at all.
async fn answers(connection: &Connection) -> bool {
    let ping = Cmd::new().arg("PING").to_owned();
    matches!(timeout(LAST_CHANCE, connection.ask(&ping)).await, Ok(Ok(_) | Err(Failure::Refused(_))))
}

/// Between half of a pause and all of it.
pub(super) fn jittered(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    pause / 2 + pause.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
}
