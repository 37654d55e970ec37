//! Looking after others: below `/admin`, for administrators; support may read. What is changed
//! here is noted in the audit record, in the same transaction.

mod users;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// Below `/admin`.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().nest("/users", users::routes())
}
