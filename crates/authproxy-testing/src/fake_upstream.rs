//! [`FakeUpstream`]: a resource server that records raw bytes and answers what it is told.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use crate::{
    http1::{Answer, Connection, RecordedRequest},
    server::Server,
};

/// A resource server on a loopback port of its own.
///
/// Dropped or [`finish`](Self::finish)ed, it fails the test when what it was told to answer with has panicked: the
/// answering function may hold assertions.
pub struct FakeUpstream {
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
    server: Server,
}

impl FakeUpstream {
    /// An upstream that answers every request with 200 and an empty JSON object.
    ///
    /// # Panics
    ///
    /// When no loopback port can be had.
    pub async fn start() -> Self {
        Self::answering(|_| Answer::json(200, "{}")).await.expect("a loopback port is free")
    }

    /// An upstream that answers as `answer` says.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn answering(answer: impl Fn(&RecordedRequest) -> Answer + Send + Sync + 'static) -> io::Result<Self> {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (recorded, answer) = (requests.clone(), Arc::new(answer));
        let server = Server::start(move |stream| {
            let (recorded, answer) = (recorded.clone(), answer.clone());
            async move {
                let mut connection = Connection::new(stream);
                while let Ok(Some(request)) = connection.request().await {
                    lock(&recorded).push(request.clone());
                    if connection.write(&answer(&request).bytes()).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await?;
        Ok(Self { requests, server })
    }

    /// The upstream's URL, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// The upstream's address.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.requests).clone()
    }

    /// Closes the listener and cuts every connection.
    pub async fn refuse_connections(&self) {
        self.server.refuse().await;
    }

    /// Listens again, on the same port.
    pub async fn accept_connections(&self) {
        self.server.accept().await;
    }

    /// Stops the upstream.
    ///
    /// # Panics
    ///
    /// When one of its tasks has panicked.
    pub async fn finish(self) {
        self.server.finish().await;
    }
}

fn lock(requests: &Mutex<Vec<RecordedRequest>>) -> MutexGuard<'_, Vec<RecordedRequest>> {
    requests.lock().expect("no panic while the requests are locked")
}
