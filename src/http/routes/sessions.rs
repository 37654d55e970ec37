//! Terminal sessions of an environment.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use devpocket_protocol::Size;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Principal;
use crate::http::error::ApiResult;
use crate::http::input::Fields;
use crate::http::{render, validate};

pub(super) async fn list(
    State(app): State<App>,
    principal: Principal,
    Path(environment): Path<String>,
) -> ApiResult {
    let sessions = app.system().sessions(&principal.user_id, &environment).await?;
    Ok(Json(json!({ "sessions": sessions.iter().map(render::session).collect::<Vec<_>>() })))
}

pub(super) async fn create(
    State(app): State<App>,
    principal: Principal,
    Path(environment): Path<String>,
    mut fields: Fields,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let name = fields.optional("name", validate::session_name).unwrap_or_else(|| "main".to_owned());
    let size = size(&mut fields);
    fields.finish()?;
    let session = app.system().create_session(&principal.user_id, &environment, &name, size).await?;
    Ok((StatusCode::CREATED, Json(render::session(&session))))
}

/// The size asked for, each side on its own; a wrong one is noted.
fn size(fields: &mut Fields) -> Size {
    let default = Size::DEFAULT;
    let mut side = |name, default: u16| match fields.number(name) {
        None => default,
        Some(value) => {
            u16::try_from(value).ok().filter(|side| (1..=Size::MAX).contains(side)).unwrap_or_else(|| {
                fields.error(name, format!("{name} must be 1 to {}", Size::MAX), "invalid");
                default
            })
        }
    };
    let (cols, rows) = (side("cols", default.cols()), side("rows", default.rows()));
    Size::new(cols, rows).unwrap_or(default)
}

pub(super) async fn end(
    State(app): State<App>,
    principal: Principal,
    Path((environment, session)): Path<(String, String)>,
) -> ApiResult {
    app.system().end_session(&principal.user_id, &environment, &session).await?;
    Ok(render::message("Terminal session ended"))
}
