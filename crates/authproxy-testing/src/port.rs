//! [`Port`]: a port that stays one's own, also while nobody listens on it.

use std::{
    env, fs,
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use authproxy_core::store::AttemptId;

/// The first of the ports that are given away. Systems make connections from 32768 on, and no port of ours can be
/// another's end of a connection.
const FIRST: u16 = 10_000;
/// Half of them are given away; the other half are what Redis Clusters talk to each other through.
const COUNT: u16 = 10_000;

/// A loopback port, and the one 10,000 above it, for a program that is told where to listen.
///
/// To look for a port that is free is not enough: one whose server was killed, to be started again, is free as well,
/// and the next test would take it. So a port is a lock on a file, which all processes of tests see, and which ends
/// when this is dropped or its process dies.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// A port that nobody has reserved and nobody listens on.
    ///
    /// # Panics
    ///
    /// When there is none, or the system's temporary directory cannot be written to.
    pub fn reserve() -> Self {
        let mut error = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..COUNT {
            let AttemptId(random) = AttemptId::random();
            let number = FIRST + u16::try_from(random % u128::from(COUNT)).expect("below 10,000");
            match Self::try_reserve(number) {
                Ok(port) => return port,
                Err(refused) => error = refused,
            }
        }
        panic!("no port could be reserved: {error}");
    }

    /// Reserves this one.
    fn try_reserve(number: u16) -> io::Result<Self> {
        let directory = env::temp_dir().join("authproxy-ports");
        fs::create_dir_all(&directory)?;
        let lock = File::options().create(true).append(true).open(directory.join(number.to_string()))?;
        lock.try_lock()?;
        // A stranger asks for no lock.
        for free in [number, number + COUNT] {
            TcpListener::bind((Ipv4Addr::LOCALHOST, free))?;
        }
        Ok(Self { number, _lock: lock })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// On 127.0.0.1.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
