//! Looking after others: below `/admin`, for administrators; support may read accounts. What is
//! changed here is noted in the audit record: in the same transaction, or before it is done.

mod audit;
mod environments;
mod export;
mod noted;
mod server;
mod sessions;
mod users;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// Below `/admin`.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .nest("/users", users::routes())
        .nest("/audit", audit::routes())
        .nest("/environments", environments::routes())
        .nest("/sessions", sessions::routes())
        .merge(server::routes())
}
