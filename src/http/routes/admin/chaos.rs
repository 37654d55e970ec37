//! Faults from outside, in builds for tests alone (feature `chaos`): none of the API's documentation,
//! and none of any release.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use devpocket_actors::supervision::ActorPath;

use crate::app::App;
use crate::http::error::ApiError;
use crate::http::session::Admin;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/panic/{name}", post(panic)).route("/simulate/{count}", post(simulate))
}

/// Makes an actor panic in its next message, as a bug would.
async fn panic(
    State(app): State<App>,
    Admin(_): Admin,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let path: Option<ActorPath> = name.parse().ok();
    let struck = path.is_some_and(|path| app.system().registry().inject_panic(&path));
    struck.then_some(StatusCode::ACCEPTED).ok_or_else(|| ApiError::not_found("Actor"))
}

/// Adds about so many actors that only seem to be there.
async fn simulate(State(app): State<App>, Admin(_): Admin, Path(count): Path<usize>) -> StatusCode {
    app.system().registry().simulate(count.min(100_000));
    StatusCode::ACCEPTED
}
