//! Terminal sessions of an environment.

use axum::extract::{Path, State};
use devpocket_protocol::Size;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Conflict, NotFound, Signed};
use crate::app::App;
use crate::auth::Principal;
use crate::dialect::Reply;
use crate::dialect::views::{Message, Session, SessionList};
use crate::http::error::ApiResult;
use crate::http::input::{Checked, Fields, Form};
use crate::http::validate;

/// Below `/environments`.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(end))
}

/// The live sessions of an environment, the oldest first.
#[utoipa::path(
    get, path = "/{id}/sessions", tag = "sessions", security(("bearer" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = SessionList), Signed, NotFound),
)]
async fn list(State(app): State<App>, principal: Principal, Path(environment): Path<String>) -> ApiResult {
    let sessions = app.system().sessions(&principal.user_id, &environment).await?;
    Ok(Reply::ok(SessionList { sessions: sessions.iter().map(Session::from).collect() }))
}

/// A new session.
#[derive(ToSchema)]
#[schema(as = NewSession)]
pub(super) struct Create {
    /// `main` if not said.
    #[schema(value_type = Option<String>, example = "main")]
    name: String,
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    #[allow(dead_code, reason = "one half of the size")]
    cols: (),
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    #[allow(dead_code, reason = "the other half")]
    rows: (),
    #[schema(ignore)]
    size: Size,
}

impl Form for Create {
    fn read(fields: &mut Fields) -> Self {
        let name = fields.optional("name", validate::session_name).unwrap_or_else(|| "main".to_owned());
        Self { name, cols: (), rows: (), size: size(fields) }
    }
}

/// The size asked for, each side on its own; a wrong one is noted.
fn size(fields: &mut Fields) -> Size {
    let default = Size::DEFAULT;
    let mut side = |name, default: u16| match fields.number(name) {
        None => default,
        Some(value) => {
            u16::try_from(value).ok().filter(|side| (1..=Size::MAX).contains(side)).unwrap_or_else(|| {
                fields.error(name, format!("must be 1 to {}", Size::MAX), "invalid");
                default
            })
        }
    };
    let (cols, rows) = (side("cols", default.cols()), side("rows", default.rows()));
    Size::new(cols, rows).unwrap_or(default)
}

/// Begins a session, or finds the live one of that name.
#[utoipa::path(
    post, path = "/{id}/sessions", tag = "sessions", security(("bearer" = [])),
    params(("id" = String, Path)), request_body = Option<Create>,
    responses((status = 201, body = Session), Signed, NotFound, Conflict),
)]
async fn create(
    State(app): State<App>,
    principal: Principal,
    Path(environment): Path<String>,
    Checked(form): Checked<Create>,
) -> ApiResult {
    let session =
        app.system().create_session(&principal.user_id, &environment, &form.name, form.size).await?;
    Ok(Reply::created(Session::from(&session)))
}

/// Ends a session: its shell and all it started.
#[utoipa::path(
    delete, path = "/{id}/sessions/{session}", tag = "sessions", security(("bearer" = [])),
    params(("id" = String, Path), ("session" = String, Path, description = "Its id or its name")),
    responses((status = 200, body = Message), Signed, NotFound, Conflict),
)]
async fn end(
    State(app): State<App>,
    principal: Principal,
    Path((environment, session)): Path<(String, String)>,
) -> ApiResult {
    app.system().end_session(&principal.user_id, &environment, &session).await?;
    Ok(Reply::ok(Message::new("Terminal session ended")))
}
