//! [`DeafListener`]: a port that nobody answers at.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};

/// How long a connection has to take to be one that never comes about.
const NEVER: Duration = Duration::from_millis(250);

/// A port whose queue of connections is full: connecting to it neither works nor fails.
pub struct DeafListener {
    addr: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl DeafListener {
    /// Takes a loopback port and fills its queue.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let listener = socket.listen(1)?;
        let addr = listener.local_addr()?;
        let mut queued = Vec::new();
        while let Ok(stream) = timeout(NEVER, TcpStream::connect(addr)).await {
            queued.push(stream?);
        }
        Ok(Self { addr, _listener: listener, _queued: queued })
    }

    /// Its URL, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}
