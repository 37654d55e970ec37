//! Connections: accepted, bounded, served with HTTP/1, ended in good order.
//!
//! A client that wants to keep a place without using it is cut off: when it says nothing
//! (`HTTP_IDLE_TIMEOUT`), when a head it began does not end (`HTTP_HEADER_TIMEOUT`, [`pace`]),
//! when a body does not arrive (`HTTP_BODY_TIMEOUT`, [`body`]), and when it takes nothing of its
//! answer ([`stream`]). How many there are is bounded in all, and from one address ([`places`]).

mod body;
mod pace;
mod places;
mod stream;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use self::body::Timed;
use self::pace::Pace;
use self::places::Places;
use self::stream::Stream;
use crate::app::App;
use crate::config::Web;
use crate::http;
use crate::http::client::Peer;
use crate::http::layers::path;

/// The most bytes of a request's head, its address among them. Beyond: 431 or 414.
const MAX_HEAD: usize = 64 * 1024;

/// The most headers of a request. Beyond: 431.
const MAX_HEADERS: usize = 100;

/// Pause after a connection could not be accepted: most often there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes connections until `stop` is true or gone; then waits until those there are have
/// answered what they were asked. A connection that became a WebSocket is not waited for.
pub async fn serve(listener: TcpListener, app: App, mut stop: watch::Receiver<bool>) {
    let web = app.config().web.clone();
    let all = Arc::new(Semaphore::new(web.max_connections));
    let places = Places::new(&web);
    let router = http::router(app);
    let mut connections = JoinSet::new();
    let told = stop.clone();
    loop {
        // Whoever comes while there is no place waits in the kernel's queue.
        let accepted = async {
            let place = Arc::clone(&all).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            () = until(&mut stop) => break,
            // Keeps the set small.
            Some(_) = connections.join_next() => {}
            (place, accepted) = accepted => match (place, accepted) {
                (Ok(place), Ok((stream, peer))) => {
                    let Some(of_address) = places.enter(peer.ip()) else {
                        tracing::debug!(%peer, "too many connections from one address");
                        continue;
                    };
                    let _ = stream.set_nodelay(true);
                    let pace = Pace::default();
                    let stream = Stream::new(stream, pace.clone(), web.idle_limit, (place, of_address));
                    connections.spawn(connection(stream, pace, peer, router.clone(), web.clone(), told.clone()));
                }
                (_, Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                (Err(_), _) => break,
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    stream: Stream,
    pace: Pace,
    peer: SocketAddr,
    router: Router,
    web: Web,
    mut stop: watch::Receiver<bool>,
) {
    let asked = pace.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        asked.head_ended();
        path::trim(&mut request);
        request.extensions_mut().insert(Peer(peer));
        let (router, asked) = (router.clone(), asked.clone());
        async move {
            let request = request.map(|body| Body::new(Timed::new(body, web.body_limit)));
            let answer = router.oneshot(request).await.unwrap_or_else(|e| match e {});
            asked.answered();
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(web.idle_limit)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = pace.late(web.head_limit) => return,
        () = until(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        // A phone that lost its network, a head that made no sense: nothing to act on.
        tracing::trace!(%error, "a connection ended early");
    }
}

/// Waits until it is true or gone.
async fn until(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
