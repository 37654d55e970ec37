//! Environments of the person who asks. What is somebody else's is answered like what does
//! not exist.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use chrono::Utc;
use devpocket_actors::environment::Change;
use devpocket_actors::persistence::environments::{
    CreateEnvironment, EnvironmentFilter, EnvironmentView, MAX_RECOVERIES, UpdateEnvironment, VariableChange,
};
use devpocket_actors::persistence::{EnvironmentStatus, Plan, Variables, new_id, records, terminals};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Conflict, Forbidden, NotFound, Signed, TooMany};
use super::query::Params;
use crate::app::App;
use crate::auth::Principal;
use crate::dialect::views::{
    ChangedEnvironment, Environment, EnvironmentDetail, EnvironmentList, Message, Metrics, Pagination,
    Recovering, UpdatedEnvironment,
};
use crate::dialect::{Reply, Spoken};
use crate::http::error::{ApiError, ApiResult};
use crate::http::input::{Checked, Fields, Form};
use crate::http::session::Verified;
use crate::http::validate;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(start))
        .routes(routes!(stop))
        .routes(routes!(restart))
        .routes(routes!(recover))
        .routes(routes!(metrics))
}

/// The environment, if it is theirs.
async fn owned(app: &App, principal: &Principal, id: &str) -> Result<EnvironmentView, ApiError> {
    Ok(app.system().view(&principal.user_id, id).await?)
}

/// How much of the cluster is wanted.
#[derive(Default, ToSchema)]
pub(super) struct Resources {
    /// Digits, with `m` for thousandths of a core.
    #[schema(pattern = "^[0-9]{1,9}m?$", example = "500m")]
    cpu: Option<String>,
    #[schema(pattern = "^[0-9]{1,9}[GMK]i?$", example = "1Gi")]
    memory: Option<String>,
    #[schema(pattern = "^[0-9]{1,9}[GMK]i?$", example = "10Gi")]
    storage: Option<String>,
}

impl Resources {
    fn read(fields: &mut Fields) -> Self {
        let part = fields.object("resources", &["resources", "resourceLimits"]);
        let mut part = part.unwrap_or_else(|| fields.part());
        let resources = Self {
            cpu: part.optional("cpu", validate::cpu),
            memory: part.optional("memory", validate::memory),
            storage: part.optional("storage", validate::bytes),
        };
        fields.absorb(part);
        resources
    }
}

/// Variables by name; `null` removes one.
type ChangedVariables = BTreeMap<String, Option<String>>;

fn variables(fields: &mut Fields) -> Option<ChangedVariables> {
    let name = "environmentVariables";
    let variables = fields.texts(name)?;
    if !variables.keys().all(|name| validate::is_variable_name(name)) {
        let why = "must have names of letters, digits and _, not beginning with a digit";
        fields.error(name, why, "invalid");
    }
    if variables.values().flatten().any(|value| value.contains('\0')) {
        fields.error(name, "must not hold NUL", "invalid");
    }
    Some(variables)
}

/// A new environment.
#[derive(ToSchema)]
#[schema(as = NewEnvironment, rename_all = "camelCase")]
pub(super) struct Create {
    #[schema(min_length = 1, max_length = 50, pattern = "^[A-Za-z0-9_-]+$")]
    name: String,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// A template's id or name. Also taken as `template`.
    #[schema(min_length = 1, example = "nodejs")]
    template_id: String,
    /// Where: a cluster's id or name. Without it the server chooses one with room.
    cluster_id: Option<String>,
    /// Where it should be, if there is room; counts when no cluster is named.
    region: Option<String>,
    /// Also taken as `resourceLimits`; more than the plan allows is refused. What is left out is as
    /// in the template, as far as the plan goes.
    #[schema(value_type = Option<Resources>)]
    resources: Resources,
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    environment_variables: Option<ChangedVariables>,
}

impl Form for Create {
    fn read(fields: &mut Fields) -> Self {
        Self {
            name: fields.required("name", validate::name),
            template_id: fields.required_as("templateId", &["templateId", "template"], validate::any),
            cluster_id: fields.optional("clusterId", validate::any),
            region: fields.optional("region", validate::any),
            description: fields.optional("description", validate::description),
            resources: Resources::read(fields),
            environment_variables: variables(fields),
        }
    }
}

/// Makes an environment. It comes up in the background.
#[utoipa::path(
    post, path = "/", tag = "environments", security(("bearer" = [])), request_body = Create,
    responses((status = 201, body = Environment), Signed, Forbidden, NotFound, Conflict, TooMany),
)]
async fn create(
    State(app): State<App>,
    Verified(principal): Verified,
    Checked(form): Checked<Create>,
) -> ApiResult {
    if !matches!(principal.plan, Plan::Pro | Plan::Enterprise) {
        app.limits().check(&app.limits().environments, &principal.user_id)?;
    }
    let variables = form.environment_variables.unwrap_or_default();
    let new = CreateEnvironment {
        id: new_id(),
        user_id: principal.user_id.clone(),
        name: form.name,
        description: form.description,
        template: form.template_id,
        cluster: form.cluster_id,
        region: form.region,
        preferred_cluster: app.config().cluster_name.clone(),
        cpu: form.resources.cpu,
        memory: form.resources.memory,
        storage: form.resources.storage,
        variables: Variables(
            variables.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        ),
        plans: app.config().limits.plans,
    };
    let made = app.system().create_environment(new).await?;
    let mut view = owned(&app, &principal, &made.id).await?;
    // It may be on its way by now; what was made is what is answered.
    view.environment = made;
    Ok(Reply::created(Environment::from(&view)))
}

/// A page of one's own environments, the newest change first.
#[utoipa::path(
    get, path = "/", tag = "environments", security(("bearer" = [])),
    params(
        ("status" = Option<String>, Query, description = "Only with this status; the one way to see terminated ones"),
        ("templateId" = Option<String>, Query, description = "Only of this template (id or name)"),
        ("limit" = Option<u32>, Query, description = "1 to 100, 20 if not said"),
        ("offset" = Option<u32>, Query, description = "How many to skip"),
    ),
    responses((status = 200, body = EnvironmentList), Signed),
)]
async fn list(State(app): State<App>, principal: Principal, params: Params) -> ApiResult {
    let status = match params.parsed("status")? {
        None => params.parsed("statusFilter")?,
        status => status,
    };
    let filter = EnvironmentFilter {
        user_id: Some(principal.user_id),
        status,
        template: params.text("templateId").map(str::to_owned),
    };
    let page = params.page(20, 100)?;
    let (rows, total) = app.system().views(&filter, page).await?;
    Ok(Reply::ok(EnvironmentList {
        environments: rows.iter().map(Environment::from).collect(),
        pagination: Pagination::new(total, page),
    }))
}

/// One of one's own environments, also a terminated one.
#[utoipa::path(
    get, path = "/{id}", tag = "environments", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = EnvironmentDetail), Signed, NotFound),
)]
async fn get(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> ApiResult {
    let view = owned(&app, &principal, &id).await?;
    let sessions = terminals::live(app.system().persistence().pool(), &id).await?;
    Ok(Reply::ok(EnvironmentDetail::new(&view, &sessions)))
}

/// What changes of an environment. What is not named stays.
#[derive(ToSchema)]
#[schema(as = EnvironmentChange, rename_all = "camelCase")]
pub(super) struct Update {
    #[schema(min_length = 1, max_length = 50, pattern = "^[A-Za-z0-9_-]+$")]
    name: Option<String>,
    /// `null` takes it away.
    #[schema(value_type = Option<String>, max_length = 500)]
    description: Option<Option<String>>,
    /// Also taken as `resourceLimits`. Counts from the next start.
    #[schema(value_type = Option<Resources>)]
    resources: Resources,
    /// In camel changes the named ones and removes those that are `null`; in snake these are all
    /// there will be. Counts from the next start.
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    environment_variables: Option<ChangedVariables>,
    /// Whether `environmentVariables` are all there will be: overrides the dialect's rule.
    #[schema(value_type = Option<bool>)]
    replace_variables: bool,
}

impl Form for Update {
    fn read(fields: &mut Fields) -> Self {
        let describes = fields.has("description");
        let description = fields.optional("description", validate::description);
        Self {
            name: fields.optional("name", validate::name),
            description: describes.then_some(description),
            resources: Resources::read(fields),
            environment_variables: variables(fields),
            replace_variables: fields.switch("replaceVariables").unwrap_or(fields.rules().replaces_variables),
        }
    }
}

/// Changes name, description, resources or variables.
///
/// Name and description change at once, resources and variables with the next start: what runs is
/// not touched. `restartRequired` tells when a restart is what is missing. Resources are bounded by
/// the plan (403). A volume never gets smaller, and larger only where its cluster can (409).
#[utoipa::path(
    put, path = "/{id}", tag = "environments", security(("bearer" = [])), params(("id" = String, Path)),
    request_body = Update,
    responses((status = 200, body = UpdatedEnvironment), Signed, Forbidden, NotFound, Conflict),
)]
async fn update(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    Checked(form): Checked<Update>,
) -> ApiResult {
    let present = |all: ChangedVariables| {
        Variables(all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    };
    let change = UpdateEnvironment {
        id,
        name: form.name,
        description: form.description,
        cpu: form.resources.cpu,
        memory: form.resources.memory,
        storage: form.resources.storage,
        variables: form.environment_variables.map(|all| match form.replace_variables {
            true => VariableChange::Replace(present(all)),
            false => VariableChange::Merge(all),
        }),
        plans: app.config().limits.plans,
    };
    let (view, restart_required) = app.system().update_environment(&principal.user_id, change).await?;
    Ok(Reply::ok(UpdatedEnvironment::new(&view, restart_required)))
}

/// Removes an environment with its volume. In camel it must not be running.
#[utoipa::path(
    delete, path = "/{id}", tag = "environments", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = Message), Signed, NotFound, Conflict),
)]
async fn delete(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    spoken: Spoken,
) -> ApiResult {
    let change = if spoken.rules().deletes_running { Change::StopAndDelete } else { Change::Delete };
    app.system().change_environment(&principal.user_id, &id, change).await?;
    Ok(Reply::ok(Message::new("Environment deleted successfully")))
}

/// Makes a change and says what is shown now.
async fn change(app: &App, principal: &Principal, id: &str, change: Change, verb: &str) -> ApiResult {
    let starts = matches!(change, Change::Start);
    let status = app.system().change_environment(&principal.user_id, id, change).await?;
    // What is on its way up after "start" has a word of its own in the answer, and only there.
    let status = match status {
        EnvironmentStatus::Running => "RUNNING",
        _ if starts => "STARTING",
        status => status.as_str(),
    };
    Ok(Reply::ok(ChangedEnvironment { message: format!("Environment {verb} successfully"), status }))
}

/// Starts an environment.
#[utoipa::path(
    post, path = "/{id}/start", tag = "environments", security(("bearer" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = ChangedEnvironment), Signed, NotFound, Conflict),
)]
async fn start(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> ApiResult {
    change(&app, &principal, &id, Change::Start, "started").await
}

/// Stops an environment and keeps its volume.
#[utoipa::path(
    post, path = "/{id}/stop", tag = "environments", security(("bearer" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = ChangedEnvironment), Signed, NotFound, Conflict),
)]
async fn stop(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> ApiResult {
    change(&app, &principal, &id, Change::Stop, "stopped").await
}

/// Stops an environment and starts it again.
#[utoipa::path(
    post, path = "/{id}/restart", tag = "environments", security(("bearer" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = ChangedEnvironment), Signed, NotFound, Conflict),
)]
async fn restart(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> ApiResult {
    change(&app, &principal, &id, Change::Restart, "restarted").await
}

/// Makes an environment anew that failed, or got stuck on its way up. Its volume is kept.
///
/// At most five times until it runs again, and not more often than every five minutes.
#[utoipa::path(
    post, path = "/{id}/recover", tag = "environments", security(("bearer" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = Recovering), Signed, NotFound, Conflict, TooMany),
)]
async fn recover(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> ApiResult {
    let (status, recovery_attempt) = app.system().recover_environment(&principal.user_id, &id).await?;
    Ok(Reply::ok(Recovering {
        success: true,
        message: "Environment recovery started",
        environment_id: id,
        status: status.into(),
        recovery_attempt,
        max_attempts: MAX_RECOVERIES,
    }))
}

/// What an environment uses, and used.
#[utoipa::path(
    get, path = "/{id}/metrics", tag = "environments", security(("bearer" = [])),
    params(
        ("id" = String, Path),
        ("hours" = Option<u32>, Query, description = "How far back: 1 to 168, 24 if not said"),
    ),
    responses((status = 200, body = Metrics), Signed, NotFound),
)]
async fn metrics(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    params: Params,
) -> ApiResult {
    let view = owned(&app, &principal, &id).await?;
    let hours = params.number("hours", 24, 1, 168)?;
    let since = Utc::now() - chrono::TimeDelta::hours(i64::from(hours));
    let history = records::metrics(app.system().persistence().pool(), &id, since, 100).await?;
    Ok(Reply::ok(Metrics::new(&view, &history)))
}
