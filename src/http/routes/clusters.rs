//! Where environments run.

use std::time::Duration;

use axum::extract::{Path, State};
use devpocket_actors::persistence::clusters::{self, ClusterWithLoad};
use devpocket_actors::persistence::{ClusterRole, Role};
use futures_util::future::join_all;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Forbidden, NotFound, Signed};
use crate::app::App;
use crate::auth::Principal;
use crate::dialect::views::{Cluster, ClusterDetail, ClusterList, ClusterReport, KnownHealth, Regions};
use crate::dialect::{Reply, Rules, Spoken};
use crate::http::error::{ApiError, ApiResult};

/// How long a cluster that was just started is waited for, in a list and alone.
const GLANCE: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(12);

/// How many environments a cluster's page shows.
const RECENT: u32 = 10;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(regions))
        .routes(routes!(get))
        .routes(routes!(health))
}

/// Whose clusters are shown: nobody's in particular, or those that a person may use.
fn viewer(principal: &Principal) -> Option<&str> {
    (principal.role != Role::Admin).then_some(principal.user_id.as_str())
}

/// Whether a person may see more of the cluster than that they may use it.
fn administers(principal: &Principal, row: &ClusterWithLoad) -> bool {
    principal.role == Role::Admin || row.viewer_role == Some(ClusterRole::Admin)
}

fn only_for_administrators() -> ApiError {
    ApiError::forbidden("Administrator access required")
}

/// The cluster, if this person may see it.
async fn find(
    app: &App,
    principal: &Principal,
    rules: &Rules,
    id: &str,
) -> Result<ClusterWithLoad, ApiError> {
    let found = clusters::visible(app.system().persistence().pool(), id, viewer(principal)).await?;
    match found {
        Some(row) if rules.shows_clusters_to_all || administers(principal, &row) => Ok(row),
        _ if !rules.shows_clusters_to_all && principal.role != Role::Admin => Err(only_for_administrators()),
        _ => Err(ApiError::not_found("Cluster")),
    }
}

/// How the cluster is. Why it is not well is for its administrators: the text may have its address.
async fn known(app: &App, principal: &Principal, row: &ClusterWithLoad, patience: Duration) -> KnownHealth {
    let known = app.system().cluster_health(&row.cluster.id, patience).await;
    if administers(principal, row) {
        return known;
    }
    let hidden = || "The cluster can't be used at the moment".to_owned();
    let mut known = known.map_err(|_| hidden())?;
    if let Some(health) = &mut known {
        health.result = std::mem::replace(&mut health.result, Ok(())).map_err(|_| hidden());
        health.found = None;
    }
    Ok(known)
}

/// The clusters. In camel for administrators; in snake also for others, those that they may use.
#[utoipa::path(
    get, path = "/", tag = "clusters", security(("bearer" = [])),
    responses((status = 200, body = ClusterList), Signed, Forbidden),
)]
async fn list(State(app): State<App>, principal: Principal, spoken: Spoken) -> ApiResult {
    if !spoken.rules().shows_clusters_to_all && principal.role != Role::Admin {
        return Err(only_for_administrators());
    }
    let rows = clusters::list(app.system().persistence().pool(), viewer(&principal)).await?;
    let shown = rows.iter().map(async |row| Cluster::new(row, &known(&app, &principal, row, GLANCE).await));
    Ok(Reply::ok(ClusterList { clusters: join_all(shown).await }))
}

/// Where environments can be made: the regions of the clusters that one may use.
#[utoipa::path(
    get, path = "/regions", tag = "clusters", security(("bearer" = [])),
    responses((status = 200, body = Regions), Signed),
)]
async fn regions(State(app): State<App>, principal: Principal) -> ApiResult {
    let rows = clusters::list(app.system().persistence().pool(), viewer(&principal)).await?;
    Ok(Reply::ok(Regions::of(&rows)))
}

/// A cluster and the newest environments there. For whom: as in the list.
#[utoipa::path(
    get, path = "/{id}", tag = "clusters", security(("bearer" = [])),
    params(("id" = String, Path, description = "Its id or its name")),
    responses((status = 200, body = ClusterDetail), Signed, Forbidden, NotFound),
)]
async fn get(
    State(app): State<App>,
    principal: Principal,
    spoken: Spoken,
    Path(id): Path<String>,
) -> ApiResult {
    let row = find(&app, &principal, spoken.rules(), &id).await?;
    let owner = (!administers(&principal, &row)).then_some(principal.user_id.as_str());
    let pool = app.system().persistence().pool();
    let recent = clusters::recent_environments(pool, &row.cluster.id, owner, RECENT).await?;
    let known = known(&app, &principal, &row, GLANCE).await;
    Ok(Reply::ok(ClusterDetail {
        cluster: Cluster::new(&row, &known),
        recent_environments: recent.into_iter().map(Into::into).collect(),
    }))
}

/// How a cluster is, as it was last looked at: that is done every half minute. For whom: as in the
/// list.
#[utoipa::path(
    get, path = "/{id}/health", tag = "clusters", security(("bearer" = [])),
    params(("id" = String, Path, description = "Its id or its name")),
    responses((status = 200, body = ClusterReport), Signed, Forbidden, NotFound),
)]
async fn health(
    State(app): State<App>,
    principal: Principal,
    spoken: Spoken,
    Path(id): Path<String>,
) -> ApiResult {
    let row = find(&app, &principal, spoken.rules(), &id).await?;
    let known = known(&app, &principal, &row, PATIENCE).await;
    Ok(Reply::ok(ClusterReport::new(&row, &known)))
}
