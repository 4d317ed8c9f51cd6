//! The listener: one task for each connection, bounded in number, in patience and in what it may bring.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Site, routes};

/// Connections at once; more wait to be taken in.
const MOST_CONNECTIONS: usize = 1_024;

/// How long a client may take to send the head of a request: who drips holds a connection no longer.
const PATIENCE_FOR_HEAD: Duration = Duration::from_secs(10);

/// How large the head of a request may be, in bytes.
const LARGEST_HEAD: usize = 64 * 1024;

/// How long connections have to end what they are at when the daemon stops.
const GRACE: Duration = Duration::from_secs(5);

/// After the system could not give another connection.
const PAUSE: Duration = Duration::from_millis(200);

/// Answers until `stop` is cancelled.
pub async fn serve(listener: TcpListener, site: Site, stop: CancellationToken) {
    let router = routes(site);
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    connection(stream, router, stop).await;
                    drop(place);
                });
            }
            // Out of file descriptors, most likely: those of others will come free.
            Err(error) => {
                tracing::warn!(%error, "a connection to the page cannot be taken in");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    connections.close();
    if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
        tracing::debug!("connections to the page were cut off");
    }
}

async fn connection(stream: TcpStream, router: axum::Router, stop: CancellationToken) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE_FOR_HEAD).max_buf_size(LARGEST_HEAD);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Whoever hangs up or sends rubbish is no trouble of ours.
        tracing::debug!(%error, "a connection to the page ended early");
    }
}
