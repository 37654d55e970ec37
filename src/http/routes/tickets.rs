//! Tickets for WebSockets.

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Signed, TooMany};
use crate::app::App;
use crate::auth::{Principal, tickets};
use crate::dialect::Reply;
use crate::dialect::views::Ticket;
use crate::http::error::ApiResult;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(issue))
}

/// A ticket that opens one WebSocket, for pages that can't send headers.
#[utoipa::path(
    post, path = "/ticket", tag = "sessions", security(("bearer" = [])),
    responses((status = 200, body = Ticket), Signed, TooMany),
)]
async fn issue(State(app): State<App>, principal: Principal) -> ApiResult {
    app.limits().check(&app.limits().tickets, &principal.user_id)?;
    let ticket = tickets::issue_ticket(&app, &principal)?;
    Ok(Reply::ok(Ticket { ticket, expires_in: tickets::LIFE.as_secs() }))
}
