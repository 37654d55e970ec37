//! Every route of the API, each with its documentation: [`docs`] is made of these.

mod account;
mod acting;
mod admin;
mod answers;
mod auth;
mod cluster_changes;
mod clusters;
pub mod docs;
mod environments;
mod events;
mod google;
mod logs;
mod query;
mod service;
mod sessions;
mod sign_ins;
mod template_changes;
mod templates;
mod tickets;

use axum::extract::{OriginalUri, Request};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;

use super::error::ApiError;
use super::layers::path::OriginalPath;
use super::pages;
use crate::app::App;

/// All of them. None ends in a slash: those are taken off before.
pub(super) fn all() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(docs::head()).merge(service::top_routes()).nest("/api/v1", api())
}

fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(service::routes())
        .merge(events::routes())
        .nest(
            "/auth",
            auth::routes().merge(account::auth_routes()).merge(google::routes()).merge(sign_ins::routes()),
        )
        .nest("/users", account::routes())
        .nest("/templates", templates::routes().merge(template_changes::routes()))
        .nest("/clusters", clusters::routes().merge(cluster_changes::routes()))
        .nest("/environments", environments::routes().merge(logs::routes()).merge(sessions::routes()))
        .nest("/ws", tickets::routes())
        .nest("/admin", admin::routes())
}

/// What is no route's: a web page, or not there, by path or by method.
pub(super) async fn not_found(OriginalUri(uri): OriginalUri, request: Request) -> Result<Response, ApiError> {
    if let Some(page) = pages::at(&request) {
        return Ok(page);
    }
    let path = request.extensions().get::<OriginalPath>().map_or(uri.path(), |path| path.0.as_str());
    Err(ApiError::no_route(request.method().as_str(), path))
}
