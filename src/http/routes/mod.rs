//! Every route of the API.

mod account;
mod auth;
mod environments;
mod query;
mod service;
mod sessions;
mod templates;
mod tickets;

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::routing::{delete, get, post};

use super::error::ApiError;
use super::layers::path::OriginalPath;
use crate::app::App;

/// All of them. None ends in a slash: those are taken off before.
pub(super) fn all() -> Router<App> {
    Router::new()
        .route("/", get(service::root))
        .route("/health", get(service::health))
        .route("/health/live", get(service::live))
        .route("/health/ready", get(service::ready))
        .nest("/api/v1", api())
}

fn api() -> Router<App> {
    Router::new()
        .route("/health", get(service::health))
        .route("/info", get(service::info))
        .route("/auth/register", post(auth::register))
        .route("/auth/login", post(auth::login))
        .route("/auth/refresh", post(auth::refresh))
        .route("/auth/logout", post(auth::logout))
        .route("/auth/me", get(account::me))
        .route("/auth/profile", get(account::me))
        .route("/auth/verify-email", post(auth::verify_email))
        .route("/auth/resend-verification", post(auth::resend_verification))
        .route("/auth/forgot-password", post(auth::forgot_password))
        .route("/auth/reset-password", post(auth::reset_password))
        .route("/auth/change-password", post(account::change_password))
        .route("/users/change-password", post(account::change_password))
        .route("/users/me/change-password", post(account::change_password))
        .route("/users/me", get(account::profile).put(account::update).delete(account::remove))
        .route("/users/me/stats", get(account::stats))
        .route("/templates", get(templates::list))
        .route("/templates/categories", get(templates::categories))
        .route("/templates/popular", get(templates::popular))
        .route("/templates/search", get(templates::search))
        .route("/templates/{id}", get(templates::get))
        .route("/environments", get(environments::list).post(environments::create))
        .route(
            "/environments/{id}",
            get(environments::get).put(environments::update).delete(environments::delete),
        )
        .route("/environments/{id}/start", post(environments::start))
        .route("/environments/{id}/stop", post(environments::stop))
        .route("/environments/{id}/restart", post(environments::restart))
        .route("/environments/{id}/logs", get(environments::logs))
        .route("/environments/{id}/metrics", get(environments::metrics))
        .route("/environments/{id}/sessions", get(sessions::list).post(sessions::create))
        .route("/environments/{id}/sessions/{session}", delete(sessions::end))
        .route("/ws/ticket", post(tickets::issue))
}

/// What is not served, by path or by method, is not there.
pub(super) async fn not_found(OriginalUri(uri): OriginalUri, request: Request) -> ApiError {
    let path = request.extensions().get::<OriginalPath>().map_or(uri.path(), |path| path.0.as_str());
    ApiError::no_route(request.method().as_str(), path)
}
