//! The listener of a fake with sockets: refuses and accepts on command, and passes its tasks' panics on.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, JoinSet},
};

use crate::socket::{Address, Listener, Stream};

/// A listener of a fake's own, and a task a connection.
pub(crate) struct Server {
    address: Address,
    commands: mpsc::UnboundedSender<Command>,
    accepting: JoinHandle<()>,
    panicked: Arc<AtomicBool>,
}

enum Command {
    /// Close the listener and cut every connection.
    Refuse(oneshot::Sender<()>),
    /// Listen again, on the same port.
    Accept(oneshot::Sender<()>),
}

impl Server {
    /// Listens on a loopback port of its own.
    pub(crate) async fn start<F>(handle: impl Fn(Stream) -> F + Send + 'static) -> io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_at(Address::Tcp((Ipv4Addr::LOCALHOST, 0).into()), handle).await
    }

    pub(crate) async fn start_at<F>(address: Address, handle: impl Fn(Stream) -> F + Send + 'static) -> io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = Listener::bind(&address).await?;
        let address = listener.address(&address)?;
        let (commands, received) = mpsc::unbounded_channel();
        let panicked = Arc::new(AtomicBool::new(false));
        let accepting =
            Accepting { address: address.clone(), listener: Some(listener), handle, panicked: panicked.clone() };
        let witness = Witness(panicked.clone());
        let accepting = tokio::spawn(async move {
            let _witness = witness;
            accepting.run(received).await;
        });
        Ok(Self { address, commands, accepting, panicked })
    }

    /// The address, of a fake that listens on a port.
    pub(crate) fn addr(&self) -> SocketAddr {
        match &self.address {
            Address::Tcp(addr) => *addr,
            Address::Unix(path) => panic!("{} has no port", path.display()),
        }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Closes the listener and every connection; returns when connecting fails.
    pub(crate) async fn refuse(&self) {
        self.command(Command::Refuse).await;
    }

    /// Listens again; returns when connecting works.
    pub(crate) async fn accept(&self) {
        self.command(Command::Accept).await;
    }

    async fn command(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (done, is_done) = oneshot::channel();
        let sent = self.commands.send(command(done));
        assert!(sent.is_ok() && is_done.await.is_ok(), "the fake's listener has ended");
    }

    fn raise_panics(&self) {
        assert!(!self.panicked.load(Ordering::SeqCst), "a task of this fake has panicked; its message is above");
    }

    /// Ends every task and raises what panicked in any of them.
    pub(crate) async fn finish(mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
        self.raise_panics();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        if !std::thread::panicking() {
            self.raise_panics();
        }
    }
}

/// Notices that the task which holds it is unwinding.
struct Witness(Arc<AtomicBool>);

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

struct Accepting<H> {
    address: Address,
    listener: Option<Listener>,
    handle: H,
    panicked: Arc<AtomicBool>,
}

impl<H, F> Accepting<H>
where
    H: Fn(Stream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    None => return,
                    Some(Command::Refuse(done)) => {
                        self.listener = None;
                        connections.shutdown().await;
                        let _ = done.send(());
                    }
                    Some(Command::Accept(done)) => {
                        if self.listener.is_none() {
                            self.listener = Some(Listener::bind(&self.address).await.expect("the port is still free"));
                        }
                        let _ = done.send(());
                    }
                },
                stream = next(self.listener.as_ref()) => {
                    let (connection, witness) = ((self.handle)(stream), Witness(self.panicked.clone()));
                    connections.spawn(async move {
                        let _witness = witness;
                        connection.await;
                    });
                }
                Some(_) = connections.join_next() => {} // panics have their witness
            }
        }
    }
}

/// The next connection; never, while nobody listens. A peer that is gone before it was accepted does not count.
async fn next(listener: Option<&Listener>) -> Stream {
    loop {
        let Some(listener) = listener else { std::future::pending().await };
        if let Ok(stream) = listener.accept().await {
            return stream;
        }
    }
}
