//! The server process itself: what it logs, and its end.

use axum::extract::State;
use axum::http::StatusCode;
use devpocket_actors::persistence::Late;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::noted::noted;
use crate::app::App;
use crate::dialect::Reply;
use crate::dialect::views::{LogFilter, Message};
use crate::http::error::{ApiError, ApiResult};
use crate::http::input::{Checked, Fields, Form};
use crate::http::routes::acting::Acting;
use crate::http::routes::answers::{Conflict, Forbidden, Signed};
use crate::http::session::Admin;
use crate::logging;

/// Below `/admin`.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(log_level, set_log_level)).routes(routes!(drain))
}

fn log_filter(app: &App) -> LogFilter {
    let started = app.config().log.filter.clone();
    LogFilter { filter: logging::current().unwrap_or_else(|| started.clone()), started }
}

/// What the server logs: now, and as it was configured.
#[utoipa::path(
    get, path = "/log-level", tag = "admin", security(("bearer" = [])),
    responses((status = 200, body = LogFilter), Signed, Forbidden),
)]
async fn log_level(State(app): State<App>, Admin(_): Admin) -> ApiResult {
    Ok(Reply::ok(log_filter(&app)))
}

/// What to log.
#[derive(ToSchema)]
pub(super) struct NewLogFilter {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,devpocket=debug`.
    #[schema(min_length = 1, max_length = 1000)]
    filter: String,
}

/// The longest filter in characters.
const MAX_FILTER: usize = 1000;

impl Form for NewLogFilter {
    fn read(fields: &mut Fields) -> Self {
        let rule = |text: &str| {
            let good = !text.trim().is_empty() && text.chars().count() <= MAX_FILTER;
            match logging::check(text) {
                Ok(()) if good => Ok(()),
                _ => Err("must be error, warn, info, debug, trace or a filter such as info,devpocket=debug"),
            }
        };
        Self { filter: fields.required("filter", rule) }
    }
}

/// Changes what the server logs, at once and until its next start.
///
/// The rules are those of `LOG_LEVEL`. Secrets are in no log, whatever is asked for.
#[utoipa::path(
    put, path = "/log-level", tag = "admin", security(("bearer" = [])), request_body = NewLogFilter,
    responses((status = 200, body = LogFilter), Signed, Forbidden, Conflict),
)]
async fn set_log_level(
    State(app): State<App>,
    acting: Acting,
    Checked(form): Checked<NewLogFilter>,
) -> ApiResult {
    let before = logging::current().ok_or_else(|| ApiError::conflict("This process keeps no log"))?;
    let detail = json!({ "from": before, "to": form.filter });
    let line = noted(&acting, "server.log_level", ("server", None), Some(detail));
    app.system().persistence().late(Late::Audit(line));
    logging::change(&form.filter).map_err(|error| ApiError::conflict(error.to_string()))?;
    Ok(Reply::ok(log_filter(&app)))
}

/// Ends the server in good order.
///
/// Its clients are told and closed with 1001, requests under way are answered, what waits is
/// written. Environments and their sessions go on. Whoever runs the process starts it again.
#[utoipa::path(
    post, path = "/drain", tag = "admin", security(("bearer" = [])),
    responses((status = 202, body = Message), Signed, Forbidden, Conflict),
)]
async fn drain(State(app): State<App>, acting: Acting) -> ApiResult {
    let ending = || ApiError::conflict("The server is ending already");
    if app.sockets().are_closing() {
        return Err(ending());
    }
    app.system().persistence().late(Late::Audit(noted(&acting, "server.drain", ("server", None), None)));
    if !app.ask_to_end() {
        return Err(ending());
    }
    tracing::warn!("an administrator asked for the end of this server");
    Ok(Reply::new(StatusCode::ACCEPTED, Message::new("The server says goodbye to its clients and ends")))
}
