//! [`Endpoint`]: where the primary is, as a fixed address or as the Sentinels have it.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

use redis::{Cmd, Value};

use super::{
    connect_error::{ConnectError, ConnectProblem},
    dial::{Connection, Dialer, Heard, Purpose},
    url::Address,
};

/// Where a server is to be found.
pub(super) enum Endpoint {
    Fixed(Address),
    /// The primary that these Sentinels watch under a name.
    Watched {
        sentinels: Sentinels,
        master: String,
    },
}

/// Sentinels, asked by turns: one that is cut off from the others may name a primary of the past for ever.
pub(super) struct Sentinels {
    addresses: Vec<Address>,
    turn: AtomicUsize,
}

impl Sentinels {
    pub(super) fn new(addresses: Vec<Address>) -> Self {
        Self { addresses, turn: AtomicUsize::new(0) }
    }

    fn in_turn(&self) -> impl Iterator<Item = &Address> {
        let count = self.addresses.len();
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % count;
        self.addresses.iter().cycle().skip(first).take(count)
    }
}

impl Endpoint {
    /// Connects to where the server is now.
    pub(super) async fn dial(&self, dialer: &Dialer, purpose: Purpose) -> Result<Connection, ConnectError> {
        dialer.dial(&self.address(dialer).await?, purpose).await
    }

    /// Connects to where the server is now, to hear what it says unasked.
    pub(super) async fn listen(&self, dialer: &Dialer, heard: Heard) -> Result<Connection, ConnectError> {
        dialer.listen(&self.address(dialer).await?, heard).await
    }

    async fn address(&self, dialer: &Dialer) -> Result<Address, ConnectError> {
        match self {
            Self::Fixed(address) => Ok(address.clone()),
            Self::Watched { sentinels, master } => primary_of(dialer, sentinels, master).await,
        }
    }

    /// An address to name when none was reached.
    pub(super) fn first(&self) -> &Address {
        match self {
            Self::Fixed(address) => address,
            Self::Watched { sentinels, .. } => &sentinels.addresses[0],
        }
    }
}

/// Asks one Sentinel after the other. What the last one said stands for all when none knows.
async fn primary_of(dialer: &Dialer, sentinels: &Sentinels, master: &str) -> Result<Address, ConnectError> {
    let mut error = ConnectError::new(&sentinels.addresses[0], ConnectProblem::NoSuchMaster);
    for sentinel in sentinels.in_turn() {
        match ask(dialer, sentinel, master).await {
            Ok(Some(primary)) => return Ok(primary),
            Ok(None) => error = ConnectError::new(sentinel, ConnectProblem::NoSuchMaster),
            Err(failed) => {
                if *error.problem() == ConnectProblem::NoSuchMaster {
                    error = failed;
                }
            }
        }
    }
    Err(error)
}

async fn ask(dialer: &Dialer, sentinel: &Address, master: &str) -> Result<Option<Address>, ConnectError> {
    let connection = dialer.dial(sentinel, Purpose::Sentinel).await?;
    let question = Cmd::new().arg("SENTINEL").arg("get-master-addr-by-name").arg(master).to_owned();
    let not_one = || ConnectError::new(sentinel, ConnectProblem::NotRedis);
    match connection.ask(&question).await.map_err(|_| not_one())? {
        Value::Nil => Ok(None),
        answer => {
            let (host, port) = redis::from_redis_value(answer).map_err(|_| not_one())?;
            Ok(Some(Address::Tcp { host, port }))
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(address) => address.fmt(f),
            Self::Watched { master, .. } => write!(f, "the Sentinels' primary {master}"),
        }
    }
}
