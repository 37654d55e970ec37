//! Tickets for WebSockets.

use axum::Json;
use axum::extract::State;
use serde_json::json;

use crate::app::App;
use crate::auth::{Principal, tickets};
use crate::http::error::ApiResult;
use crate::http::render;

pub(super) async fn issue(State(app): State<App>, principal: Principal) -> ApiResult {
    app.limits().check(&app.limits().tickets, &principal.user_id)?;
    let ticket = tickets::issue_ticket(&app, &principal)?;
    Ok(Json(render::both(json!({ "ticket": ticket, "expiresIn": tickets::LIFE.as_secs() }))))
}
