//! Somebody's own account.

use axum::Json;
use axum::extract::State;
use devpocket_actors::persistence::environments;
use devpocket_actors::persistence::tokens;
use devpocket_actors::persistence::users::{self, UpdateUser, User};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::auth::{Principal, sign_in};
use crate::http::error::{ApiError, ApiResult};
use crate::http::input::Fields;
use crate::http::session::Verified;
use crate::http::{render, validate};

async fn account(app: &App, principal: &Principal) -> Result<User, ApiError> {
    let pool = app.system().persistence().pool();
    users::by_id(pool, &principal.user_id).await?.ok_or_else(|| ApiError::not_found("User"))
}

pub(super) async fn me(State(app): State<App>, principal: Principal) -> ApiResult {
    Ok(Json(render::user(&account(&app, &principal).await?)))
}

pub(super) async fn profile(State(app): State<App>, principal: Principal) -> ApiResult {
    let user = account(&app, &principal).await?;
    let count = environments::count_live(app.system().persistence().pool(), &user.id).await?;
    let mut body = render::user(&user);
    render::extend(&mut body, render::both(json!({ "environmentCount": count })));
    Ok(Json(json!({ "user": body })))
}

pub(super) async fn update(State(app): State<App>, principal: Principal, mut fields: Fields) -> ApiResult {
    let empties_avatar = fields.has("avatarUrl");
    let avatar_url = fields.optional("avatarUrl", validate::url);
    let change = UpdateUser {
        id: principal.user_id.clone(),
        full_name: fields.optional("fullName", validate::full_name),
        username: fields.optional("username", validate::username_update),
        avatar_url: empties_avatar.then_some(avatar_url),
        ..UpdateUser::default()
    };
    fields.finish()?;
    let user = app.system().persistence().write(change).await?;
    app.auth().forget(&user.id);
    Ok(Json(render::user(&user)))
}

pub(super) async fn change_password(
    State(app): State<App>,
    principal: Principal,
    mut fields: Fields,
) -> ApiResult {
    let current = fields.required("currentPassword", validate::any);
    let new = fields.required("newPassword", validate::password);
    fields.finish()?;
    app.limits().check(&app.limits().sign_ins, &principal.user_id)?;
    sign_in::change_password(&app, &principal, &current, &new).await?;
    Ok(render::message("Password changed successfully"))
}

pub(super) async fn stats(State(app): State<App>, principal: Principal) -> ApiResult {
    let pool = app.system().persistence().pool();
    let by_status = environments::count_by_status(pool, &principal.user_id).await?;
    let activity = environments::activity(pool, &principal.user_id).await?;
    let sessions = tokens::live_sessions(pool, &principal.user_id).await?;
    let total: i64 = by_status.iter().map(|(_, count)| count).sum();
    let by_status: Map<String, Value> =
        by_status.into_iter().map(|(status, count)| (status.to_string(), count.into())).collect();
    Ok(Json(render::both(json!({
        "totalEnvironments": total,
        "activeTokens": sessions.len(),
        "environmentsByStatus": by_status,
        "recentActivity": {
            "environmentsCreatedLast7Days": activity.created_last_7_days,
            "environmentsCreatedLast30Days": activity.created_last_30_days,
            "environmentsActiveLastWeek": activity.active_last_week,
        },
    }))))
}

pub(super) async fn remove(
    State(app): State<App>,
    Verified(principal): Verified,
    mut fields: Fields,
) -> ApiResult {
    let password = fields.required("password", validate::any);
    fields.finish()?;
    app.limits().check(&app.limits().sign_ins, &principal.user_id)?;
    sign_in::delete_account(&app, &principal, &password).await?;
    Ok(render::message("User account deleted successfully"))
}
