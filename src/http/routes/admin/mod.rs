//! Looking after others: below `/admin`, for administrators; support may read. What is changed
//! here is noted in the audit record, in the same transaction.

mod actors;
#[cfg(feature = "chaos")]
mod chaos;
mod overview;
mod users;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// Below `/admin`.
pub(super) fn routes() -> OpenApiRouter<App> {
    let routes = OpenApiRouter::new()
        .merge(overview::routes())
        .nest("/actors", actors::routes())
        .nest("/users", users::routes());
    #[cfg(feature = "chaos")]
    let routes = routes.nest("/chaos", chaos::routes().into());
    routes
}
