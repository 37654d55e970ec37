//! Somebody's own account.

use axum::extract::State;
use devpocket_actors::persistence::environments;
use devpocket_actors::persistence::tokens;
use devpocket_actors::persistence::users::{self, UpdateUser};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Conflict, Signed, TooMany, Unverified};
use super::auth::new_password;
use crate::app::App;
use crate::auth::{Principal, sign_in};
use crate::dialect::Reply;
use crate::dialect::views::{Message, Profile, RecentActivity, Stats, User, UserWithCount};
use crate::http::error::{ApiError, ApiResult};
use crate::http::input::{Checked, Fields, Form};
use crate::http::session::Verified;
use crate::http::validate;

/// Below `/auth`.
pub(super) fn auth_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(me))
        .route("/profile", axum::routing::get(me))
        .route("/change-password", axum::routing::post(change_password))
}

/// Below `/users`.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(profile, update, remove))
        .routes(routes!(stats))
        .routes(routes!(change_password))
        .route("/me/change-password", axum::routing::post(change_password))
}

async fn account(app: &App, principal: &Principal) -> Result<users::User, ApiError> {
    let pool = app.system().persistence().pool();
    users::by_id(pool, &principal.user_id).await?.ok_or_else(|| ApiError::not_found("User"))
}

/// Whose token it is. Also at `/auth/profile`.
#[utoipa::path(
    get, path = "/me", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = User), Signed),
)]
async fn me(State(app): State<App>, principal: Principal) -> ApiResult {
    Ok(Reply::ok(User::from(&account(&app, &principal).await?)))
}

/// The account, in an envelope and with the number of its environments.
#[utoipa::path(
    get, path = "/me", tag = "users", security(("bearer" = [])),
    responses((status = 200, body = Profile), Signed),
)]
async fn profile(State(app): State<App>, principal: Principal) -> ApiResult {
    let found = users::counted(app.system().persistence().pool(), &principal.user_id).await?;
    let found = found.ok_or_else(|| ApiError::not_found("User"))?;
    let user = UserWithCount { user: (&found.user).into(), environment_count: found.environments };
    Ok(Reply::ok(Profile { user }))
}

/// What changes of an account. What is not named stays.
#[derive(ToSchema)]
#[schema(as = AccountChange, rename_all = "camelCase")]
pub(super) struct Update {
    #[schema(min_length = 1, max_length = 100)]
    full_name: Option<String>,
    #[schema(min_length = 3, max_length = 50, pattern = "^[A-Za-z0-9_-]+$")]
    username: Option<String>,
    /// `null` takes it away.
    #[schema(value_type = Option<String>, format = "uri", max_length = 2048)]
    avatar_url: Option<Option<String>>,
    /// Where new environments go, if there is room and nothing else is asked for: a region as
    /// `GET /clusters/regions` has it. `null` takes it away.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 50)]
    preferred_region: Option<Option<String>>,
}

impl Form for Update {
    fn read(fields: &mut Fields) -> Self {
        let names_avatar = fields.has("avatarUrl");
        let avatar_url = fields.optional("avatarUrl", validate::url);
        let names_region = fields.has("preferredRegion");
        let preferred_region = fields.optional("preferredRegion", validate::place);
        Self {
            full_name: fields.optional("fullName", validate::full_name),
            username: fields.optional("username", validate::username_update),
            avatar_url: names_avatar.then_some(avatar_url),
            preferred_region: names_region.then(|| preferred_region.map(|region| region.trim().to_owned())),
        }
    }
}

/// Changes name, user name, picture or preferred region.
#[utoipa::path(
    put, path = "/me", tag = "users", security(("bearer" = [])), request_body = Update,
    responses((status = 200, body = User), Signed, Conflict),
)]
async fn update(State(app): State<App>, principal: Principal, Checked(form): Checked<Update>) -> ApiResult {
    let change = UpdateUser {
        id: principal.user_id.clone(),
        full_name: form.full_name,
        username: form.username,
        avatar_url: form.avatar_url,
        preferred_region: form.preferred_region,
        ..UpdateUser::default()
    };
    let user = app.system().persistence().write(change).await?;
    app.auth().forget(&user.id);
    Ok(Reply::ok(User::from(&user)))
}

/// The old password and a new one.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct ChangePassword {
    #[schema(format = "password", min_length = 1)]
    current_password: String,
    #[schema(format = "password", min_length = 8, max_length = 128)]
    new_password: String,
}

impl Form for ChangePassword {
    fn read(fields: &mut Fields) -> Self {
        Self {
            current_password: fields.required("currentPassword", validate::any),
            new_password: new_password(fields, "newPassword"),
        }
    }
}

/// Changes the password; all other sign-ins end.
///
/// Also at `/users/me/change-password` and `/auth/change-password`.
#[utoipa::path(
    post, path = "/change-password", tag = "users", security(("bearer" = [])),
    request_body = ChangePassword,
    responses((status = 200, body = Message), Signed, TooMany),
)]
async fn change_password(
    State(app): State<App>,
    principal: Principal,
    Checked(form): Checked<ChangePassword>,
) -> ApiResult {
    app.limits().check(&app.limits().sign_ins, &principal.user_id)?;
    sign_in::change_password(&app, &principal, &form.current_password, &form.new_password).await?;
    Ok(Reply::ok(Message::new("Password changed successfully")))
}

/// What somebody has and did.
#[utoipa::path(
    get, path = "/me/stats", tag = "users", security(("bearer" = [])),
    responses((status = 200, body = Stats), Signed),
)]
async fn stats(State(app): State<App>, principal: Principal) -> ApiResult {
    let pool = app.system().persistence().pool();
    let by_status = environments::count_by_status(pool, &principal.user_id).await?;
    let activity = environments::activity(pool, &principal.user_id).await?;
    let sessions = tokens::live_sessions(pool, &principal.user_id).await?;
    Ok(Reply::ok(Stats {
        total_environments: by_status.iter().map(|(_, count)| count).sum(),
        active_tokens: sessions.len(),
        environments_by_status: by_status
            .into_iter()
            .map(|(status, count)| (status.as_str(), count))
            .collect(),
        recent_activity: RecentActivity {
            environments_created_last7_days: activity.created_last_7_days,
            environments_created_last30_days: activity.created_last_30_days,
            environments_active_last_week: activity.active_last_week,
        },
    }))
}

/// The password, to make sure.
#[derive(ToSchema)]
#[schema(as = AccountRemoval)]
pub(super) struct Remove {
    /// Needed in camel. Without it, and for an account that has none, the sign-in must be a fresh one.
    #[schema(format = "password", min_length = 1)]
    password: Option<String>,
}

impl Form for Remove {
    fn read(fields: &mut Fields) -> Self {
        let password = if fields.rules().deleting_needs_password {
            Some(fields.required("password", validate::any))
        } else {
            fields.optional("password", validate::any)
        };
        Self { password }
    }
}

/// Deletes the account: its sign-ins end, its environments are removed.
#[utoipa::path(
    delete, path = "/me", tag = "users", security(("bearer" = [])), request_body = Option<Remove>,
    responses((status = 200, body = Message), Signed, Unverified, Conflict, TooMany),
)]
async fn remove(
    State(app): State<App>,
    Verified(principal): Verified,
    Checked(form): Checked<Remove>,
) -> ApiResult {
    app.limits().check(&app.limits().sign_ins, &principal.user_id)?;
    sign_in::delete_account(&app, &principal, form.password.as_deref()).await?;
    Ok(Reply::ok(Message::new("User account deleted successfully")))
}
