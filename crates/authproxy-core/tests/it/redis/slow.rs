//! A path to a server on which every answer takes longer.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

pub(super) struct SlowPath {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl SlowPath {
    /// Passes connections on to `server`, and delays what comes back.
    pub(super) async fn start(server: &str, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, server) = (listener.local_addr().unwrap(), server.to_owned());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&server).await.unwrap();
                connections.spawn(pass(near, far, delay));
            }
        });
        Self { address, _serving: serving }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

async fn pass(near: TcpStream, far: TcpStream, delay: Duration) {
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.into_split(), far.into_split());
    let (send, mut late) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let reading = async {
        let mut buffer = vec![0; 65536];
        while let Ok(length @ 1..) = from_far.read(&mut buffer).await {
            let _ = send.send((Instant::now() + delay, buffer[..length].to_vec()));
        }
    };
    let writing = async {
        while let Some((at, bytes)) = late.recv().await {
            sleep_until(at).await;
            if to_near.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = tokio::io::copy(&mut from_near, &mut to_far) => {}
        () = reading => {}
        () = writing => {}
    }
}
