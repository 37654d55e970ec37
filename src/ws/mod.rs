//! WebSockets.

use axum::Router;

use crate::app::App;

/// The sockets' routes.
pub fn router() -> Router<App> {
    Router::new()
}
