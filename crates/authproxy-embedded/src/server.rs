//! The service on a listener: connections within bounds, an orderly end.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    task::JoinSet,
    time::{interval, sleep, timeout},
};

use crate::{api, service::EmbeddedAuth};

const MOST_CONNECTIONS: usize = 10_000;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const DRAIN: Duration = Duration::from_secs(2);
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Serves `service` on `listener` until `shutdown` completes, then lets requests in progress finish for two seconds.
///
/// # Cancel safety
///
/// Dropping the future ends every connection at once.
pub async fn run(listener: TcpListener, service: EmbeddedAuth, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let mut sweeps = interval(SWEEP_EVERY);
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            _ = sweeps.tick() => {
                service.sweep();
                continue;
            }
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, _) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service_fn(move |request| respond(service.clone(), request)));
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            let _place = place;
            let _ = connection.await; // the peer's trouble, not ours
        });
    }
    let _ = timeout(DRAIN, graceful.shutdown()).await;
}

async fn respond(
    service: EmbeddedAuth,
    request: hyper::Request<hyper::body::Incoming>,
) -> Result<api::Answer, hyper::http::Error> {
    match timeout(REQUEST_TIMEOUT, api::answer(&service, request)).await {
        Ok(answer) => Ok::<_, Infallible>(answer).map_err(|never| match never {}),
        Err(_) => hyper::Response::builder().status(408).body(http_body_util::Full::default()),
    }
}
