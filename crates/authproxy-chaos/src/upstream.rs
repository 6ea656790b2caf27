//! The API behind the nodes: it answers with the name of the user whose token it saw.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    auth::ledger,
    http::{self, Connection},
};

/// The upstream; it ends with this handle.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Upstream {
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut serving = JoinSet::new();
        serving.spawn(listen(listener));
        Ok(Self { address, _serving: serving })
    }
}

async fn listen(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(serve(Connection::new(stream)));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(mut connection: Connection) {
    while let Ok(Some(request)) = connection.request().await {
        let token = request.authorization.as_deref().and_then(|value| value.strip_prefix("Bearer "));
        let answer = match token.and_then(ledger::owner) {
            Some(user) => http::answer("200 OK", "text/plain", user),
            None => http::answer("403 Forbidden", "text/plain", "no token"),
        };
        if connection.write(&answer).await.is_err() {
            return;
        }
    }
}
