//! The listener: one task for each connection, bounded in number, in patience and in what it may bring.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::places::{Fetched, Place, Places};
use super::{LARGEST_HEAD, Site, routes};

/// Connections at once, where the system gives that many.
const MOST_CONNECTIONS: u64 = 1_024;

/// How long a client may take to send the head of a request: who drips holds a connection no longer.
const PATIENCE_FOR_HEAD: Duration = Duration::from_secs(10);

/// How long connections have to end what they are at when the daemon stops.
const GRACE: Duration = Duration::from_secs(5);

/// After the system could not give another connection.
const PAUSE: Duration = Duration::from_millis(200);

/// Answers until `stop` is cancelled, and a few seconds more whoever has asked by then.
pub async fn serve(listener: TcpListener, site: Site, stop: CancellationToken) {
    let router = routes(site);
    let places = Places::new(most_connections());
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let place = tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    place = places.take() => place,
                };
                connections.spawn(connection(stream, router.clone(), place, stop.clone()));
            }
            // Out of file descriptors, most likely: those of others will come free.
            Err(error) => {
                tracing::warn!(%error, "a connection to the page cannot be taken in");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
        tracing::debug!("connections to the page were cut off");
    }
}

/// Half of what the process may have open at most: the queue needs files and connections of its own.
fn most_connections() -> usize {
    let open_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from((open_files / 2).clamp(1, MOST_CONNECTIONS)).unwrap_or(1)
}

async fn connection(stream: TcpStream, router: axum::Router, place: Arc<Place>, stop: CancellationToken) {
    // Answers are small and wanted at once; where that cannot be had, they come a little later.
    stream.set_nodelay(true).unwrap_or_default();
    let service = TowerToHyperService::new(router);
    let answering = {
        let place = Arc::clone(&place);
        service_fn(move |request: hyper::Request<Incoming>| {
            let place = Arc::clone(&place);
            place.asks();
            let answer = service.call(request);
            async move { Ok::<Response<Fetched>, Infallible>(answer.await?.map(|body| place.fetches(body))) }
        })
    };
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE_FOR_HEAD).max_buf_size(LARGEST_HEAD);
    let connection = builder.serve_connection(TokioIo::new(stream), answering);
    tokio::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = place.lost() => return,
        () = stop.cancelled() => {
            // Who has sent half a head is not waited for.
            if place.does_nothing() {
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Whoever hangs up or sends rubbish is no trouble of ours.
        tracing::debug!(%error, "a connection to the page ended early");
    }
}
