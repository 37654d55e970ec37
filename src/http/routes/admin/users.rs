//! Everybody's accounts.

use axum::extract::{Path, State};
use devpocket_actors::persistence::administration::{self, AccountFilter, Act, Administer, Administrator};
use devpocket_actors::persistence::{Plan, Role};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::Principal;
use crate::auth::sign_in::Device;
use crate::dialect::Reply;
use crate::dialect::views::{Account, AccountList, Pagination};
use crate::http::error::{ApiError, ApiResult};
use crate::http::input::{Checked, Fields, Form};
use crate::http::routes::answers::{Conflict, Forbidden, NotFound, Signed};
use crate::http::routes::query::Params;
use crate::http::session::{Admin, Support};
use crate::http::validate;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(role))
        .routes(routes!(plan))
        .routes(routes!(suspend))
        .routes(routes!(activate))
        .routes(routes!(unlock))
}

/// A page of all accounts, newest first. Deleted ones are left out.
#[utoipa::path(
    get, path = "/", tag = "admin", security(("bearer" = [])),
    params(
        ("search" = Option<String>, Query, description = "A part of the address, the user name or the name"),
        ("role" = Option<String>, Query, description = "Only with this role"),
        ("plan" = Option<String>, Query, description = "Only with this plan"),
        ("active" = Option<bool>, Query, description = "false: only suspended ones"),
        ("limit" = Option<u32>, Query, description = "1 to 100, 20 if not said"),
        ("offset" = Option<u32>, Query, description = "How many to skip"),
        ("page" = Option<u32>, Query, description = "Which page, from 1; wins over offset"),
    ),
    responses((status = 200, body = AccountList), Signed, Forbidden),
)]
async fn list(State(app): State<App>, Support(_): Support, params: Params) -> ApiResult {
    let filter = AccountFilter {
        search: params.text("search").map(str::to_owned),
        role: params.parsed("role")?,
        plan: params.parsed("plan")?,
        active: params.parsed("active")?,
    };
    let page = params.page(20, 100)?;
    let pool = app.system().persistence().pool();
    let (rows, total) = administration::accounts(pool, &filter, page).await?;
    Ok(Reply::ok(AccountList {
        users: rows.iter().map(Account::from).collect(),
        pagination: Pagination::new(total, page),
    }))
}

async fn account(app: &App, id: &str) -> ApiResult {
    let account = administration::account(app.system().persistence().pool(), id).await?;
    let account = account.ok_or_else(|| ApiError::not_found("User"))?;
    Ok(Reply::ok(Account::from(&account)))
}

/// An account, also a deleted one.
#[utoipa::path(
    get, path = "/{id}", tag = "admin", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = Account), Signed, Forbidden, NotFound),
)]
async fn get(State(app): State<App>, Support(_): Support, Path(id): Path<String>) -> ApiResult {
    account(&app, &id).await
}

/// Does it, and shows the account as it is then.
async fn act(app: &App, by: Principal, device: Device, user_id: String, act: Act) -> ApiResult {
    let by = Administrator { id: by.user_id, name: by.username, ip: device.ip };
    app.system().persistence().write(Administer { by, user_id: user_id.clone(), act }).await?;
    app.auth().forget(&user_id);
    account(app, &user_id).await
}

/// A role.
#[derive(ToSchema)]
pub(super) struct NewRole {
    #[schema(value_type = crate::dialect::views::RoleWord)]
    role: Role,
}

impl Form for NewRole {
    fn read(fields: &mut Fields) -> Self {
        let rule = |text: &str| match text.parse::<Role>() {
            Ok(_) => Ok(()),
            Err(_) => Err("must be USER, SUPPORT or ADMIN"),
        };
        // What is thrown away after a problem may be anything.
        Self { role: fields.required("role", rule).parse().unwrap_or(Role::User) }
    }
}

/// Gives an account a role.
///
/// It counts at once. The last active administrator stays one.
#[utoipa::path(
    put, path = "/{id}/role", tag = "admin", security(("bearer" = [])), params(("id" = String, Path)),
    request_body = NewRole,
    responses((status = 200, body = Account), Signed, Forbidden, NotFound, Conflict),
)]
async fn role(
    State(app): State<App>,
    Admin(by): Admin,
    device: Device,
    Path(id): Path<String>,
    Checked(form): Checked<NewRole>,
) -> ApiResult {
    act(&app, by, device, id, Act::Role(form.role)).await
}

/// A plan.
#[derive(ToSchema)]
pub(super) struct NewPlan {
    /// Also taken as `subscriptionPlan`.
    #[schema(value_type = crate::dialect::views::PlanWord)]
    plan: Plan,
}

impl Form for NewPlan {
    fn read(fields: &mut Fields) -> Self {
        let rule = |text: &str| match text.parse::<Plan>() {
            Ok(_) => Ok(()),
            Err(_) => Err("must be FREE, STARTER, PRO or ENTERPRISE"),
        };
        let text = fields.required_as("plan", &["plan", "subscriptionPlan"], rule);
        Self { plan: text.parse().unwrap_or(Plan::Free) }
    }
}

/// Gives an account a plan.
///
/// It counts at once, for what is made from now on.
#[utoipa::path(
    put, path = "/{id}/plan", tag = "admin", security(("bearer" = [])), params(("id" = String, Path)),
    request_body = NewPlan,
    responses((status = 200, body = Account), Signed, Forbidden, NotFound, Conflict),
)]
async fn plan(
    State(app): State<App>,
    Admin(by): Admin,
    device: Device,
    Path(id): Path<String>,
    Checked(form): Checked<NewPlan>,
) -> ApiResult {
    act(&app, by, device, id, Act::Plan(form.plan)).await
}

/// Why an account is suspended.
#[derive(ToSchema)]
pub(super) struct Suspension {
    /// For the audit record.
    #[schema(max_length = 500)]
    reason: Option<String>,
}

impl Form for Suspension {
    fn read(fields: &mut Fields) -> Self {
        Self { reason: fields.optional("reason", validate::description) }
    }
}

/// Suspends an account: its sign-ins end, its sockets close within seconds, and nobody signs in.
///
/// Its environments stay as they are. The last active administrator can't be suspended.
#[utoipa::path(
    post, path = "/{id}/suspend", tag = "admin", security(("bearer" = [])), params(("id" = String, Path)),
    request_body = Option<Suspension>,
    responses((status = 200, body = Account), Signed, Forbidden, NotFound, Conflict),
)]
async fn suspend(
    State(app): State<App>,
    Admin(by): Admin,
    device: Device,
    Path(id): Path<String>,
    Checked(form): Checked<Suspension>,
) -> ApiResult {
    act(&app, by, device, id, Act::Suspend { reason: form.reason }).await
}

/// Undoes a suspension.
#[utoipa::path(
    post, path = "/{id}/activate", tag = "admin", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = Account), Signed, Forbidden, NotFound, Conflict),
)]
async fn activate(
    State(app): State<App>,
    Admin(by): Admin,
    device: Device,
    Path(id): Path<String>,
) -> ApiResult {
    act(&app, by, device, id, Act::Activate).await
}

/// Forgets the wrong passwords of an account, and lets sign-ins in again from everywhere.
#[utoipa::path(
    post, path = "/{id}/unlock", tag = "admin", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = Account), Signed, Forbidden, NotFound, Conflict),
)]
async fn unlock(
    State(app): State<App>,
    Admin(by): Admin,
    device: Device,
    Path(id): Path<String>,
) -> ApiResult {
    act(&app, by, device, id, Act::Unlock).await
}
