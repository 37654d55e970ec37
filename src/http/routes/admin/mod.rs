//! Looking after others: below `/admin`, for administrators; support may read accounts. What is
//! changed here is noted in the audit record: in the same transaction, or before it is done.

mod actors;
mod audit;
#[cfg(feature = "chaos")]
mod chaos;
mod environments;
mod export;
mod noted;
mod overview;
mod server;
mod sessions;
mod users;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// Below `/admin`.
pub(super) fn routes() -> OpenApiRouter<App> {
    let routes = OpenApiRouter::new()
        .merge(overview::routes())
        .merge(server::routes())
        .nest("/actors", actors::routes())
        .nest("/environments", environments::routes())
        .nest("/sessions", sessions::routes())
        .nest("/users", users::routes())
        .nest("/audit", audit::routes());
    #[cfg(feature = "chaos")]
    let routes = routes.nest("/chaos", chaos::routes().into());
    routes
}
