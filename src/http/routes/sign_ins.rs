//! Where somebody is signed in.

use axum::extract::{Path, State};
use devpocket_actors::persistence::tokens;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{NotFound, Signed};
use crate::app::App;
use crate::auth::{Principal, sign_in};
use crate::dialect::Reply;
use crate::dialect::views::{Message, SignIn, SignInList};
use crate::http::error::{ApiError, ApiResult};

/// Below `/auth`.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, end_others)).routes(routes!(end))
}

/// The devices on which one is signed in, the last used first. At most 100.
#[utoipa::path(
    get, path = "/sessions", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = SignInList), Signed),
)]
async fn list(State(app): State<App>, principal: Principal) -> ApiResult {
    let rows = tokens::live_sessions(app.system().persistence().pool(), &principal.user_id).await?;
    let current = principal.user_session.as_deref();
    let sessions = rows.iter().map(|row| SignIn::new(row, current == Some(&row.id))).collect();
    Ok(Reply::ok(SignInList { sessions }))
}

/// Signs out one device: its tokens are void at once, its sockets close within seconds.
#[utoipa::path(
    delete, path = "/sessions/{id}", tag = "auth", security(("bearer" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = Message), Signed, NotFound),
)]
async fn end(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> ApiResult {
    if sign_in::end(&app, &principal, id).await? {
        Ok(Reply::ok(Message::new("Signed out there")))
    } else {
        Err(ApiError::not_found("Session"))
    }
}

/// Signs out all devices but this one.
#[utoipa::path(
    delete, path = "/sessions", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = Message), Signed),
)]
async fn end_others(State(app): State<App>, principal: Principal) -> ApiResult {
    let ended = sign_in::end_others(&app, &principal).await?;
    Ok(Reply::ok(Message::new(format!("Signed out on {ended} other device(s)"))))
}
