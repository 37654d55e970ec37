//! Changing where environments run, and who may: for administrators.

use axum::extract::{Path, State};
use devpocket_actors::persistence::clusters::{
    self, ClusterEdit, ClusterWithLoad, GrantCluster, RevokeCluster,
};
use devpocket_actors::persistence::records::Audited;
use devpocket_actors::persistence::{ClusterRole, ClusterStatus, new_id};
use devpocket_actors::{NewCluster, NewKubeconfig};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::acting::Acting;
use super::answers::{Conflict, Forbidden, NotFound, Signed};
use crate::app::App;
use crate::dialect::Reply;
use crate::dialect::views::{
    AddedCluster, Cluster, ClusterRoleWord, ClusterStatusWord, ClusterUser, ClusterUsers, FindingThere,
    Message,
};
use crate::http::error::{ApiError, ApiResult};
use crate::http::input::{Checked, Fields, Form};
use crate::http::validate;

/// The most environments that a cluster may be said to take.
const MOST_ENVIRONMENTS: u64 = 100_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(update, remove))
        .routes(routes!(users))
        .routes(routes!(user, allow, forbid))
}

/// A kubeconfig as text, or in base64 as one client sends it.
fn kubeconfig(fields: &mut Fields) -> Option<NewKubeconfig> {
    let names = ["kubeconfig", "kubeConfig"];
    let sent: Vec<String> = names.iter().filter_map(|name| fields.optional(name, validate::any)).collect();
    let context = fields.optional("context", validate::any);
    let text = sent.into_iter().find(|text| !text.trim().is_empty())?;
    Some(NewKubeconfig::of(text, context))
}

fn most_environments(fields: &mut Fields) -> Option<i32> {
    let most = fields.number("maxEnvironments")?;
    if !(1..=MOST_ENVIRONMENTS).contains(&most) {
        fields.error("maxEnvironments", "must be 1 to 100000", "invalid");
    }
    i32::try_from(most).ok()
}

/// A new cluster.
#[derive(ToSchema)]
#[schema(as = NewCluster, rename_all = "camelCase")]
pub(super) struct Create {
    #[schema(min_length = 1, max_length = 50, pattern = "^[A-Za-z0-9_-]+$")]
    name: String,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Who runs it; `ovh` if not said.
    #[schema(value_type = Option<String>)]
    provider: String,
    #[schema(min_length = 1, max_length = 50, example = "southeast-asia")]
    region: String,
    /// The text, or that in base64. It must hold all it needs (`kubectl config view --raw --flatten`).
    /// Also taken as `kube_config`.
    #[schema(value_type = String)]
    kubeconfig: Option<NewKubeconfig>,
    /// Which of its contexts; without it, its current one.
    #[allow(dead_code, reason = "it is read with the kubeconfig")]
    context: Option<String>,
    /// ACTIVE if not said.
    #[schema(value_type = Option<ClusterStatusWord>)]
    status: ClusterStatus,
    /// Whether environments go there when nobody says where.
    #[schema(value_type = Option<bool>)]
    is_default: bool,
    /// 100 if not said.
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 100000)]
    max_environments: i32,
}

impl Form for Create {
    fn read(fields: &mut Fields) -> Self {
        let kubeconfig = kubeconfig(fields);
        if kubeconfig.is_none() && !fields.is_wrong("kubeconfig") {
            fields.error("kubeconfig", "is required", "required");
        }
        Self {
            name: fields.required("name", validate::name),
            description: fields.optional("description", validate::description),
            provider: fields.optional("provider", validate::place).unwrap_or_else(|| "ovh".to_owned()),
            region: fields.required("region", validate::place),
            kubeconfig,
            context: None,
            status: fields.word("status").unwrap_or(ClusterStatus::Active),
            is_default: fields.switch("isDefault").unwrap_or(false),
            max_environments: most_environments(fields).unwrap_or(100),
        }
    }
}

/// What changes of a cluster. What is not named stays.
#[derive(ToSchema)]
#[schema(as = ClusterChange, rename_all = "camelCase")]
pub(super) struct Update {
    #[schema(min_length = 1, max_length = 50, pattern = "^[A-Za-z0-9_-]+$")]
    name: Option<String>,
    /// `null` takes it away.
    #[schema(value_type = Option<String>, max_length = 500)]
    description: Option<Option<String>>,
    provider: Option<String>,
    #[schema(min_length = 1, max_length = 50)]
    region: Option<String>,
    /// Another way to the same cluster; it is tried out first. Also taken as `kube_config`.
    #[schema(value_type = Option<String>)]
    kubeconfig: Option<NewKubeconfig>,
    /// Which of its contexts; without it, its current one.
    #[allow(dead_code, reason = "it is read with the kubeconfig")]
    context: Option<String>,
    /// `MAINTENANCE`: what is there goes on, nothing new is put there. `INACTIVE`: the server does
    /// not use it at all.
    #[schema(value_type = Option<ClusterStatusWord>)]
    status: Option<ClusterStatus>,
    is_default: Option<bool>,
    #[schema(minimum = 1, maximum = 100000)]
    max_environments: Option<i32>,
    /// Whether only those may use it who were let. Letting somebody makes it so.
    restricted: Option<bool>,
}

impl Form for Update {
    fn read(fields: &mut Fields) -> Self {
        let describes = fields.has("description");
        let description = fields.optional("description", validate::description);
        Self {
            name: fields.optional("name", validate::name),
            description: describes.then_some(description),
            provider: fields.optional("provider", validate::place),
            region: fields.optional("region", validate::place),
            kubeconfig: kubeconfig(fields),
            context: None,
            status: fields.word("status"),
            is_default: fields.switch("isDefault"),
            max_environments: most_environments(fields),
            restricted: fields.switch("restricted"),
        }
    }
}

/// The cluster with that id or name.
async fn find(app: &App, id: &str) -> Result<ClusterWithLoad, ApiError> {
    let found = clusters::by_id_or_name(app.system().persistence().pool(), id).await?;
    found.ok_or_else(|| ApiError::not_found("Cluster"))
}

/// Adds a cluster, after it was tried out: within 15 s it has to show that all is there that
/// environments need. Its kubeconfig is stored sealed, and never shown again. This and every other
/// server on this database use it within half a minute; this one at once.
#[utoipa::path(
    post, path = "/", tag = "clusters", security(("bearer" = [])), request_body = Create,
    responses((status = 201, body = AddedCluster), Signed, Forbidden, Conflict),
)]
async fn create(State(app): State<App>, acting: Acting, Checked(form): Checked<Create>) -> ApiResult {
    let Some(kubeconfig) = form.kubeconfig else {
        return Err(ApiError::bad_request("kubeconfig is required"));
    };
    let new = NewCluster {
        id: new_id(),
        name: form.name,
        description: form.description,
        provider: form.provider,
        region: form.region,
        status: form.status,
        is_default: form.is_default,
        max_environments: form.max_environments,
        kubeconfig,
    };
    let detail = json!({ "name": new.name, "region": new.region, "status": new.status });
    let line = acting.line("cluster.create", &new.id, Some(detail));
    let (cluster, examined) = app.system().add_cluster(new, line).await?;
    let row = ClusterWithLoad { cluster, active_environments: 0, viewer_role: None };
    let finding = |finding: devpocket_actors::runtime::kubernetes::access::Finding| FindingThere {
        subject: finding.subject,
        good: finding.result.is_ok(),
        message: finding.result.unwrap_or_else(|why| why),
    };
    Ok(Reply::created(AddedCluster {
        cluster: Cluster::new(&row, &Ok(None)),
        context: examined.context,
        contexts: examined.contexts,
        findings: examined.findings.into_iter().map(finding).collect(),
    }))
}

/// Changes a cluster. What runs there goes on.
#[utoipa::path(
    put, path = "/{id}", tag = "clusters", security(("bearer" = [])),
    params(("id" = String, Path, description = "Its id or its name")), request_body = Update,
    responses((status = 200, body = Cluster), Signed, Forbidden, NotFound, Conflict),
)]
async fn update(
    State(app): State<App>,
    acting: Acting,
    Path(id): Path<String>,
    Checked(form): Checked<Update>,
) -> ApiResult {
    let found = find(&app, &id).await?;
    let id = found.cluster.id;
    let detail = json!({
        "name": found.cluster.name, "status": form.status, "restricted": form.restricted,
        "kubeconfig": form.kubeconfig.is_some(),
    });
    let edit = ClusterEdit {
        name: form.name.filter(|name| *name != found.cluster.name),
        description: form.description,
        provider: form.provider,
        region: form.region,
        kubeconfig: None,
        status: form.status,
        is_default: form.is_default,
        max_environments: form.max_environments,
        restricted: form.restricted,
    };
    let line = acting.line("cluster.update", &id, Some(detail));
    app.system().change_cluster(&id, edit, form.kubeconfig, line).await?;
    let known = app.system().cluster_health(&id, std::time::Duration::ZERO).await;
    Ok(Reply::ok(Cluster::new(&find(&app, &id).await?, &known)))
}

/// Removes a cluster. Refused while environments that are not terminated are on it (in snake with
/// 400).
#[utoipa::path(
    delete, path = "/{id}", tag = "clusters", security(("bearer" = [])),
    params(("id" = String, Path, description = "Its id or its name")),
    responses((status = 200, body = Message), Signed, Forbidden, NotFound, Conflict),
)]
async fn remove(State(app): State<App>, acting: Acting, Path(id): Path<String>) -> ApiResult {
    let cluster = find(&app, &id).await?.cluster;
    let line = acting.line("cluster.delete", &cluster.id, Some(json!({ "name": cluster.name })));
    app.system().remove_cluster(&cluster.id, line).await?;
    Ok(Reply::ok(Message::new(format!("Cluster {} deleted successfully", cluster.name))))
}

/// Who was let use a cluster.
#[utoipa::path(
    get, path = "/{id}/users", tag = "clusters", security(("bearer" = [])),
    params(("id" = String, Path, description = "Its id or its name")),
    responses((status = 200, body = ClusterUsers), Signed, Forbidden, NotFound),
)]
async fn users(State(app): State<App>, _: Acting, Path(id): Path<String>) -> ApiResult {
    let id = find(&app, &id).await?.cluster.id;
    let grants = clusters::grants(app.system().persistence().pool(), &id, None).await?;
    Ok(Reply::ok(ClusterUsers { users: grants.into_iter().map(Into::into).collect() }))
}

async fn grant(app: &App, cluster: &str, user: &str) -> Result<ClusterUser, ApiError> {
    let grants = clusters::grants(app.system().persistence().pool(), cluster, Some(user)).await?;
    grants.into_iter().next().map(ClusterUser::from).ok_or_else(|| ApiError::not_found("Grant"))
}

/// Whether somebody was let use a cluster, and as what.
#[utoipa::path(
    get, path = "/{id}/users/{userId}", tag = "clusters", security(("bearer" = [])),
    params(("id" = String, Path, description = "The cluster's id or name"), ("userId" = String, Path)),
    responses((status = 200, body = ClusterUser), Signed, Forbidden, NotFound),
)]
async fn user(State(app): State<App>, _: Acting, Path((id, user)): Path<(String, String)>) -> ApiResult {
    let id = find(&app, &id).await?.cluster.id;
    Ok(Reply::ok(grant(&app, &id, &user).await?))
}

/// What somebody is let do.
#[derive(ToSchema)]
#[schema(as = ClusterGrant)]
pub(super) struct Allow {
    /// `USER` if not said. `ADMIN` may also see how the cluster is and what all have there.
    #[schema(value_type = Option<ClusterRoleWord>)]
    role: ClusterRole,
}

impl Form for Allow {
    fn read(fields: &mut Fields) -> Self {
        Self { role: fields.word("role").unwrap_or(ClusterRole::User) }
    }
}

/// Lets somebody use a cluster. From then on it is for those alone who were let, and for
/// administrators.
#[utoipa::path(
    put, path = "/{id}/users/{userId}", tag = "clusters", security(("bearer" = [])),
    params(("id" = String, Path, description = "The cluster's id or name"), ("userId" = String, Path)),
    request_body = Allow,
    responses((status = 200, body = ClusterUser), Signed, Forbidden, NotFound),
)]
async fn allow(
    State(app): State<App>,
    acting: Acting,
    Path((id, user)): Path<(String, String)>,
    Checked(form): Checked<Allow>,
) -> ApiResult {
    let id = find(&app, &id).await?.cluster.id;
    let entry = acting.line("cluster.grant", &id, Some(json!({ "user": user, "role": form.role })));
    let write = GrantCluster { cluster_id: id.clone(), user_id: user.clone(), role: form.role };
    app.system().persistence().write(Audited { write, entry }).await?;
    Ok(Reply::ok(grant(&app, &id, &user).await?))
}

/// Takes that back. What the person has there stays; the cluster stays closed to everybody else
/// until `restricted` is set to false.
#[utoipa::path(
    delete, path = "/{id}/users/{userId}", tag = "clusters", security(("bearer" = [])),
    params(("id" = String, Path, description = "The cluster's id or name"), ("userId" = String, Path)),
    responses((status = 200, body = Message), Signed, Forbidden, NotFound),
)]
async fn forbid(
    State(app): State<App>,
    acting: Acting,
    Path((id, user)): Path<(String, String)>,
) -> ApiResult {
    let id = find(&app, &id).await?.cluster.id;
    let entry = acting.line("cluster.revoke", &id, Some(json!({ "user": user })));
    let write = RevokeCluster { cluster_id: id, user_id: user };
    app.system().persistence().write(Audited { write, entry }).await?;
    Ok(Reply::ok(Message::new("Access revoked")))
}
