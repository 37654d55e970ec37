//! What happens, as server-sent events (WHATWG HTML §9.2).

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::unfold;
use tokio::time::{MissedTickBehavior, interval};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Signed, TooMany};
use super::query::Params;
use crate::app::App;
use crate::auth::tickets::redeem_ticket;
use crate::auth::{AuthError, Principal};
use crate::dialect::Spoken;
use crate::events::{CHECK_EVERY, Feed};
use crate::http::error::{ApiError, ApiResult};

/// How often a stream without news shows that it lives: below what proxies cut.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events))
}

/// Everything that happens to one's environments, as server-sent events.
///
/// The first event is `welcome` and holds all environments and the quota; `environment_status`,
/// `installation_status`, `installation_log`, `installation_warning`, `installation_complete`,
/// `session` and `quota` follow as they happen. After `resync`, which is like `welcome`, events
/// were missed. Also a WebSocket: `/api/v1/ws/events`.
#[utoipa::path(
    get, path = "/events", tag = "events", security(("bearer" = [])),
    params(("ticket" = Option<String>, Query, description = "A ticket, for pages that can't send headers")),
    responses((status = 200, content_type = "text/event-stream", body = String), Signed, TooMany),
)]
async fn events(
    State(app): State<App>,
    principal: Option<Principal>,
    spoken: Spoken,
    params: Params,
) -> ApiResult<Response> {
    let principal = match (principal, params.text("ticket")) {
        (Some(principal), _) => principal,
        (None, Some(ticket)) => redeem_ticket(&app, ticket).await?,
        (None, None) => return Err(AuthError::Missing.into()),
    };
    let dialect = spoken.known().or(principal.dialect).unwrap_or_default();
    let feed = Feed::open(&app, &principal, dialect).ok_or_else(|| ApiError::too_many(1))?;
    // Counted like a socket: a shutdown ends it.
    let counted = app.sockets().enter();
    let mut checks = interval(CHECK_EVERY);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stream = unfold((feed, counted, checks), |(mut feed, mut counted, mut checks)| async move {
        loop {
            tokio::select! {
                () = counted.closing() => return None,
                _ = checks.tick() => {
                    if !feed.may_stay().await {
                        return None;
                    }
                }
                message = feed.next() => {
                    let event = Event::default().event(message["type"].as_str().unwrap_or("message"));
                    let event = event.data(message.to_string());
                    return Some((Ok::<_, Infallible>(event), (feed, counted, checks)));
                }
            }
        }
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}
