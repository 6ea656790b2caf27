//! Makes a connection to one server: TCP without delay, a Unix socket, or TLS; logged in, and known to be a primary.

use std::{sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Cmd, Pipeline, ProtocolVersion, PushInfo, RedisConnectionInfo, Value,
    aio::{MultiplexedConnection, SendError},
};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    runtime::Handle,
    sync::watch,
    task::{AbortHandle, JoinHandle},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::{
    connect_error::{ConnectError, ConnectProblem},
    failure::{self, Failure, Refusal},
    url::{Address, Credentials},
};
use crate::clock::Timestamp;

/// How long a connection may take to come about, from the name's look-up to the server's first answers.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How much of that may be the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(700);
/// How long an answer may take. The manager gives a store call two seconds: this one leaves time for a second try.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_millis(800);
/// Commands that wait to be written; more wait for their turn.
const QUEUE: usize = 1024;

/// Makes connections.
pub(super) struct Dialer {
    pub(super) credentials: Credentials,
    pub(super) database: u16,
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// Where tasks run; `None`: where they are begun.
    pub(super) runtime: Option<Handle>,
    /// When a primary was met whose history is not that of the one before it.
    pub(super) primaries: watch::Sender<Timestamp>,
}

/// A task that ends with its owner.
pub(super) struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a server is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Reading and writing: it must be a primary.
    Primary,
    /// Asking who serves which slots: a replica knows that too.
    Directory,
    /// Asking where the primary is: a Sentinel, which may need no password where the servers do.
    Sentinel,
}

/// What is called with everything that a server says unasked. It must not block.
pub(super) type Heard = Box<dyn Fn(PushInfo) -> Result<(), SendError> + Send + Sync>;

/// A connection that many use at once. It closes when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Connection {
    commands: MultiplexedConnection,
    driver: Arc<Driver>,
    /// What the server was when the connection was made.
    pub(super) primary: Option<Primary>,
}

/// A server that takes writes.
#[derive(Clone)]
pub(super) struct Primary {
    /// Its time.
    pub(super) time: Timestamp,
    /// What its data come from: another name after every failover, and after a restart. `None` when it does not say.
    pub(super) history: Option<String>,
}

/// The task that reads and writes.
struct Driver {
    task: AbortHandle,
    ended: CancellationToken,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

impl Dialer {
    /// Begins a task that makes and keeps connections. They live as long as the runtime that it runs on.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Owned {
        match &self.runtime {
            Some(runtime) => Owned(runtime.spawn(task)),
            None => Owned(tokio::spawn(task)),
        }
    }

    /// Connects, logs in, and checks that the server is what is needed.
    pub(super) async fn dial(&self, address: &Address, purpose: Purpose) -> Result<Connection, ConnectError> {
        let dialed = timeout(CONNECT_TIMEOUT, self.connect(address, purpose)).await;
        dialed.unwrap_or(Err(ConnectProblem::TimedOut)).map_err(|problem| ConnectError::new(address, problem))
    }

    async fn connect(&self, address: &Address, purpose: Purpose) -> Result<Connection, ConnectProblem> {
        let mut socket = self.socket(address).await?;
        greet(&mut socket).await?;
        let mut connection = Connection::over(socket).await?;
        match purpose {
            Purpose::Primary => {
                self.log_in(&connection, self.database).await?;
                connection.primary = Some(as_primary(&connection).await?);
            }
            Purpose::Directory => self.log_in(&connection, self.database).await?,
            Purpose::Sentinel => match connection.ask(Cmd::new().arg("PING")).await {
                // It has no databases to choose from.
                Err(Failure::Refused(Refusal::NoPermission(_))) => self.log_in(&connection, 0).await?,
                answer => drop(answer.map_err(|failure| ConnectProblem::of_failure(&failure))?),
            },
        }
        Ok(connection)
    }

    /// Connects to a primary, to hear what it says unasked (RESP3).
    pub(super) async fn listen(&self, address: &Address, heard: Heard) -> Result<Connection, ConnectError> {
        let dialed = timeout(CONNECT_TIMEOUT, async {
            let mut socket = self.socket(address).await?;
            greet(&mut socket).await?;
            let mut hello = RedisConnectionInfo::default().set_skip_set_lib_name().set_protocol(ProtocolVersion::RESP3);
            if let Some(password) = &self.credentials.password {
                hello = hello.set_password(password);
            }
            if let Some(user) = &self.credentials.user {
                hello = hello.set_username(user);
            }
            let config = AsyncConnectionConfig::new().set_push_sender(heard);
            let connection = Connection::begun(socket, &hello, config).await?;
            connection.is_primarys().await?;
            Ok(connection)
        });
        dialed.await.unwrap_or(Err(ConnectProblem::TimedOut)).map_err(|problem| ConnectError::new(address, problem))
    }

    /// An open socket, its TLS handshake done.
    pub(super) async fn socket(
        &self,
        address: &Address,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static, ConnectProblem> {
        let socket: Box<dyn Socket> = match address {
            Address::Unix(path) => {
                Box::new(UnixStream::connect(path).await.map_err(|error| ConnectProblem::of_io(&error))?)
            }
            Address::Tcp { host, port } => {
                let addresses = tokio::net::lookup_host((host.as_str(), *port)).await;
                let addresses: Vec<_> = addresses.map_err(|_| ConnectProblem::UnknownHost)?.collect();
                let stream = TcpStream::connect(&*addresses).await.map_err(|error| ConnectProblem::of_io(&error))?;
                stream.set_nodelay(true).map_err(|error| ConnectProblem::of_io(&error))?;
                match &self.tls {
                    None => Box::new(stream),
                    Some(config) => {
                        let name = ServerName::try_from(host.clone()).map_err(|_| ConnectProblem::UnknownHost)?;
                        let connecting = TlsConnector::from(config.clone()).connect(name, stream);
                        // A server without TLS waits for the end of what it takes for a command.
                        let connected = timeout(HANDSHAKE_TIMEOUT, connecting).await;
                        let connected = connected.map_err(|_| ConnectProblem::Tls("no answer".to_owned()))?;
                        Box::new(connected.map_err(|error| ConnectProblem::Tls(error.to_string()))?)
                    }
                }
            }
        };
        Ok(socket)
    }

    async fn log_in(&self, connection: &Connection, database: u16) -> Result<(), ConnectProblem> {
        let mut pipeline = Pipeline::new();
        if let Some(password) = &self.credentials.password {
            let auth = pipeline.cmd("AUTH");
            if let Some(user) = &self.credentials.user {
                auth.arg(user);
            }
            auth.arg(password);
        }
        if database > 0 {
            pipeline.cmd("SELECT").arg(database);
        }
        if pipeline.is_empty() {
            return Ok(());
        }
        let answers = connection.send(&pipeline).await.map_err(|failure| ConnectProblem::of_failure(&failure))?;
        let logs_in = self.credentials.password.is_some();
        for (place, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok(_) => {}
                Err(refusal @ (Refusal::Loading | Refusal::ReadOnly | Refusal::TooManyConnections)) => {
                    return Err(ConnectProblem::of_refusal(&refusal));
                }
                Err(_) if logs_in && place == 0 => return Err(ConnectProblem::Credentials),
                Err(_) => return Err(ConnectProblem::NoSuchDatabase),
            }
        }
        Ok(())
    }
}

/// Makes sure that it is a Redis that listens. A server with too many connections says so before it is asked, and closes:
/// the driver would tell of the close only.
async fn greet(socket: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<(), ConnectProblem> {
    socket.write_all(b"*1\r\n$4\r\nPING\r\n").await.map_err(|error| ConnectProblem::of_io(&error))?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n") {
        let mut buffer = [0; 256];
        let length = socket.read(&mut buffer).await.map_err(|error| ConnectProblem::of_io(&error))?;
        answer.extend_from_slice(&buffer[..length]);
        if length == 0 || answer.len() > 2 * buffer.len() {
            break;
        }
    }
    match answer.as_slice() {
        b"+PONG\r\n" => Ok(()),
        refusal if refusal.starts_with(b"-ERR max number of clients") => Err(ConnectProblem::TooManyConnections),
        // It wants a password first, or is loading: what follows says it again.
        refusal if refusal.starts_with(b"-") && refusal.ends_with(b"\r\n") => Ok(()),
        _ => Err(ConnectProblem::NotRedis),
    }
}

/// Makes sure that the server takes writes.
async fn as_primary(connection: &Connection) -> Result<Primary, ConnectProblem> {
    let mut pipeline = Pipeline::new();
    pipeline.cmd("TIME").cmd("ROLE").cmd("CLIENT").arg("SETNAME").arg("authproxy");
    pipeline.cmd("INFO").arg("replication");
    let mut answers =
        connection.send(&pipeline).await.map_err(|failure| ConnectProblem::of_failure(&failure))?.into_iter();
    let time = answers.next().ok_or(ConnectProblem::NotRedis)?;
    let time = time.map_err(|refusal| ConnectProblem::of_refusal(&refusal))?;
    // A user that may not ask for the role learns from its first write.
    if let Some(Ok(Value::Array(role))) = answers.next()
        && let Some(Value::BulkString(role)) = role.first()
        && role != b"master"
    {
        return Err(ConnectProblem::NotPrimary);
    }
    let (seconds, micros): (u64, u64) = redis::from_redis_value(time).map_err(|_| ConnectProblem::NotRedis)?;
    let history = match answers.nth(1) {
        Some(Ok(Value::BulkString(info))) => String::from_utf8_lossy(&info)
            .lines()
            .find_map(|line| line.strip_prefix("master_replid:"))
            .map(|history| history.trim().to_owned()),
        _ => None,
    };
    Ok(Primary { time: Timestamp::from_secs(seconds).plus(Duration::from_micros(micros)), history })
}

impl Connection {
    /// Begins to speak on a socket. Sends nothing yet.
    async fn over(socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Self, ConnectProblem> {
        // Logging in is done here: the driver tells every failure to do so as a wrong password.
        let nothing = RedisConnectionInfo::default().set_skip_set_lib_name();
        Self::begun(socket, &nothing, AsyncConnectionConfig::new()).await
    }

    /// Begins to speak on a socket, with these first words.
    async fn begun(
        socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        hello: &RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> Result<Self, ConnectProblem> {
        let config = config.set_response_timeout(Some(ANSWER_TIMEOUT)).set_pipeline_buffer_size(QUEUE);
        let (commands, driving) = MultiplexedConnection::new_with_config(hello, socket, config)
            .await
            .map_err(|error| ConnectProblem::of_failure(&failure::failed(&error)))?;
        let ended = CancellationToken::new();
        let ending = ended.clone().drop_guard();
        let task = tokio::spawn(async move {
            let _ending = ending;
            driving.await;
        });
        let driver = Arc::new(Driver { task: task.abort_handle(), ended });
        Ok(Self { commands, driver, primary: None })
    }

    /// Sends one command.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, Failure> {
        let answer = self.commands.clone().send_packed_command(command).await;
        failure::answered(answer.map_err(|error| failure::failed(&error))?).map_err(Failure::Refused)
    }

    /// Sends commands together; each one's answer.
    pub(super) async fn send(&self, pipeline: &Pipeline) -> Result<Vec<Result<Value, Refusal>>, Failure> {
        let answers = self.commands.clone().send_packed_commands(pipeline, 0, pipeline.len()).await;
        let answers = answers.map_err(|error| failure::failed(&error))?;
        Ok(answers.into_iter().map(failure::answered).collect())
    }

    /// Whether it leads to a primary that answers.
    pub(super) async fn is_primarys(&self) -> Result<(), ConnectProblem> {
        as_primary(self).await.map(drop)
    }

    /// Completes when the connection has ended.
    pub(super) async fn ended(&self) {
        self.driver.ended.cancelled().await;
    }

    /// Whether two are the same connection.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.driver, &other.driver)
    }
}
