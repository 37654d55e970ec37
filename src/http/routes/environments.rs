//! Environments of the person who asks. What is somebody else's is answered like what does
//! not exist.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use devpocket_actors::environment::Change;
use devpocket_actors::persistence::environments::{
    self, CreateEnvironment, EnvironmentFilter, EnvironmentView, UpdateEnvironment, VariableChange,
};
use devpocket_actors::persistence::{EnvironmentStatus, Plan, Variables, new_id, records, terminals};
use devpocket_actors::runtime::LogQuery;
use serde_json::{Value, json};

use super::query::Params;
use crate::app::App;
use crate::auth::Principal;
use crate::http::error::{ApiError, ApiResult};
use crate::http::input::Fields;
use crate::http::session::Verified;
use crate::http::{render, validate};

/// The environment, if it is theirs.
async fn owned(app: &App, principal: &Principal, id: &str) -> Result<EnvironmentView, ApiError> {
    Ok(app.system().view(&principal.user_id, id).await?)
}

/// What create and update share.
struct Wanted {
    description: Option<String>,
    cpu: Option<String>,
    memory: Option<String>,
    storage: Option<String>,
    variables: Option<std::collections::BTreeMap<String, Option<String>>>,
}

impl Wanted {
    fn read(fields: &mut Fields) -> Self {
        let description = fields.optional("description", validate::description);
        let resources = fields.object("resources", &["resources", "resourceLimits"]);
        let mut resources = resources.unwrap_or_default();
        let (cpu, memory, storage) = (
            resources.optional("cpu", validate::cpu),
            resources.optional("memory", validate::bytes),
            resources.optional("storage", validate::bytes),
        );
        fields.absorb(resources);
        let variables = fields.texts("environmentVariables");
        if variables.as_ref().is_some_and(|all| !all.keys().all(|name| validate::is_variable_name(name))) {
            fields.error(
                "environmentVariables",
                "environmentVariables must have names of letters, digits and _, not beginning with a digit",
                "invalid",
            );
        }
        if variables.as_ref().is_some_and(|all| all.values().flatten().any(|value| value.contains('\0'))) {
            fields.error("environmentVariables", "environmentVariables must not hold NUL", "invalid");
        }
        Self { description, cpu, memory, storage, variables }
    }
}

pub(super) async fn create(
    State(app): State<App>,
    Verified(principal): Verified,
    mut fields: Fields,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let name = fields.required("name", validate::name);
    let template = fields.required_as("templateId", &["templateId", "template"], validate::any);
    let cluster = fields.optional("clusterId", validate::any);
    let wanted = Wanted::read(&mut fields);
    fields.finish()?;
    if !matches!(principal.plan, Plan::Pro | Plan::Enterprise) {
        app.limits().check(&app.limits().environments, &principal.user_id)?;
    }
    let variables = wanted.variables.unwrap_or_default();
    let new = CreateEnvironment {
        id: new_id(),
        user_id: principal.user_id.clone(),
        name,
        description: wanted.description,
        template,
        cluster: cluster.or_else(|| app.config().cluster_name.clone()),
        cpu: wanted.cpu,
        memory: wanted.memory,
        storage: wanted.storage,
        variables: Variables(
            variables.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        ),
        limit: app.config().limits.plans.of(principal.plan).environments,
    };
    let made = app.system().create_environment(new).await?;
    let mut view = owned(&app, &principal, &made.id).await?;
    // It may be on its way by now; what was made is what is answered.
    view.environment = made;
    Ok((StatusCode::CREATED, Json(render::environment(&view))))
}

pub(super) async fn list(State(app): State<App>, principal: Principal, params: Params) -> ApiResult {
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
    let (rows, total) = environments::list(app.system().persistence().pool(), &filter, page).await?;
    Ok(Json(json!({
        "environments": rows.iter().map(render::environment).collect::<Vec<_>>(),
        "pagination": render::pagination(total, page.limit, page.offset),
    })))
}

pub(super) async fn get(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> ApiResult {
    let view = owned(&app, &principal, &id).await?;
    let sessions = terminals::live(app.system().persistence().pool(), &id).await?;
    Ok(Json(render::environment_detail(&view, &sessions)))
}

pub(super) async fn update(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    mut fields: Fields,
) -> ApiResult {
    let name = fields.optional("name", validate::name);
    let describes = fields.has("description");
    let wanted = Wanted::read(&mut fields);
    fields.finish()?;
    let change = UpdateEnvironment {
        id,
        name,
        description: describes.then_some(wanted.description),
        cpu: wanted.cpu,
        memory: wanted.memory,
        storage: wanted.storage,
        variables: wanted.variables.map(VariableChange::Merge),
    };
    let view = app.system().update_environment(&principal.user_id, change).await?;
    Ok(Json(render::environment(&view)))
}

pub(super) async fn delete(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
) -> ApiResult {
    app.system().change_environment(&principal.user_id, &id, Change::Delete).await?;
    Ok(render::message("Environment deleted successfully"))
}

/// Makes a change and says what is shown now.
async fn change(
    app: &App,
    principal: &Principal,
    id: &str,
    change: Change,
    verb: &str,
) -> Result<Json<Value>, ApiError> {
    let starts = matches!(change, Change::Start);
    let status = app.system().change_environment(&principal.user_id, id, change).await?;
    // What is on its way up after "start" has a word of its own in the answer, and only there.
    let word = match status {
        EnvironmentStatus::Running => "RUNNING",
        _ if starts => "STARTING",
        status => status.as_str(),
    };
    Ok(Json(json!({ "message": format!("Environment {verb} successfully"), "status": word })))
}

pub(super) async fn start(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> ApiResult {
    change(&app, &principal, &id, Change::Start, "started").await
}

pub(super) async fn stop(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> ApiResult {
    change(&app, &principal, &id, Change::Stop, "stopped").await
}

pub(super) async fn restart(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
) -> ApiResult {
    change(&app, &principal, &id, Change::Restart, "restarted").await
}

pub(super) async fn logs(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    params: Params,
) -> ApiResult {
    let view = owned(&app, &principal, &id).await?;
    let lines = params.number("lines", 100, 1, records::MAX_LOG_LINES)?;
    let since: Option<DateTime<Utc>> = params.parsed("since")?;
    let text: Vec<String> = match params.text("source") {
        // What the agent did: install and startup commands.
        None | Some("install") => {
            let found = app.system().environment_logs(&principal.user_id, &id, lines, since).await?;
            found.into_iter().map(|line| line.message).collect()
        }
        // What the container, or the sandbox, wrote.
        Some("container") => {
            let query = LogQuery { lines: lines as usize, since, previous: params.is_on("previous") };
            let found = app.system().runtime_logs(&principal.user_id, &id, query).await?;
            found.into_iter().map(|line| line.text).collect()
        }
        Some(_) => return Err(ApiError::bad_request("Invalid source: it is install or container")),
    };
    Ok(Json(render::log_lines(&view, &text, lines)))
}

pub(super) async fn metrics(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    params: Params,
) -> ApiResult {
    let view = owned(&app, &principal, &id).await?;
    let hours = params.number("hours", 24, 1, 168)?;
    let since = Utc::now() - chrono::TimeDelta::hours(i64::from(hours));
    let history = records::metrics(app.system().persistence().pool(), &id, since, 100).await?;
    Ok(Json(render::metrics(&view, &history)))
}
