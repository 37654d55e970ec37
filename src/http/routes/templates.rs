//! What environments are made of.

use axum::extract::{Path, State};
use devpocket_actors::persistence::templates::{self, Search, TemplateFilter};
use devpocket_actors::persistence::{Page, Role, TemplateCategory, TemplateStatus};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{NotFound, Signed};
use super::query::Params;
use crate::app::App;
use crate::auth::Principal;
use crate::dialect::views::{
    Categories, CategoryCount, Pagination, Template, TemplateCompatibility, TemplateDetail, TemplateList,
    TemplateShelf, TemplateStats, TemplateSummary,
};
use crate::dialect::{Reply, Rules, Spoken};
use crate::http::error::{ApiError, ApiResult};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(categories))
        .routes(routes!(popular))
        .routes(routes!(search))
        .routes(routes!(get))
        .routes(routes!(stats))
        .routes(routes!(compatibility))
}

/// Whether whoever asks may see all there are.
fn is_admin(principal: Option<&Principal>) -> bool {
    principal.is_some_and(|principal| principal.role == Role::Admin)
}

/// Deprecated ones only for who says so, and for administrators.
fn statuses(params: &Params, rules: &Rules, admin: bool) -> Result<Vec<TemplateStatus>, ApiError> {
    let all = params.is_on("includeDeprecated");
    let status: Option<TemplateStatus> = params.parsed("status")?;
    Ok(match status.filter(|status| all || admin || *status != TemplateStatus::Deprecated) {
        Some(status) => vec![status],
        None if all => TemplateStatus::ALL.to_vec(),
        None if rules.lists_beta => vec![TemplateStatus::Active, TemplateStatus::Beta],
        None => Vec::new(),
    })
}

fn tags(params: &Params) -> Vec<String> {
    let tags = params.text("tags").unwrap_or_default().split(',').map(|tag| tag.trim().to_lowercase());
    tags.filter(|tag| !tag.is_empty()).collect()
}

/// A page of templates, the most used first.
#[utoipa::path(
    get, path = "/", tag = "templates",
    params(
        ("category" = Option<String>, Query, description = "Only of this shelf"),
        ("status" = Option<String>, Query, description = "Only with this status; `DEPRECATED` with includeDeprecated, or for administrators"),
        ("search" = Option<String>, Query, description = "Words, or parts of them: in name, display name, description, tags"),
        ("includeDeprecated" = Option<bool>, Query, description = "Every status"),
        ("limit" = Option<u32>, Query, description = "1 to 100, 50 if not said"),
        ("offset" = Option<u32>, Query, description = "How many to skip"),
        ("page" = Option<u32>, Query, description = "Which page, from 1; wins over offset"),
    ),
    responses((status = 200, body = TemplateList)),
)]
async fn list(
    State(app): State<App>,
    principal: Option<Principal>,
    spoken: Spoken,
    params: Params,
) -> ApiResult {
    let page = params.page(50, 100)?;
    let filter = TemplateFilter {
        category: params.parsed("category")?,
        statuses: statuses(&params, spoken.rules(), is_admin(principal.as_ref()))?,
        search: params.text("search").and_then(Search::of),
        best_first: false,
        tags: tags(&params),
    };
    let (rows, total) = templates::list(app.system().persistence().pool(), &filter, page).await?;
    Ok(Reply::ok(TemplateList {
        templates: rows.iter().map(Template::from).collect(),
        pagination: Pagination::new(total, page),
    }))
}

/// A short list of the templates that match, what fits best first.
///
/// Each word has to be found somewhere, parts of words count.
#[utoipa::path(
    get, path = "/search", tag = "templates",
    params(
        ("q" = Option<String>, Query, description = "Words, or parts of them: in name, display name, description, tags"),
        ("fuzzy" = Option<bool>, Query, description = "Also find words with a typing error"),
        ("category" = Option<String>, Query, description = "Only of this shelf"),
        ("tags" = Option<String>, Query, description = "All of these, with commas between"),
        ("limit" = Option<u32>, Query, description = "1 to 100, 20 if not said"),
        ("offset" = Option<u32>, Query, description = "How many to skip"),
    ),
    responses((status = 200, body = TemplateShelf)),
)]
async fn search(
    State(app): State<App>,
    principal: Option<Principal>,
    spoken: Spoken,
    params: Params,
) -> ApiResult {
    let page = params.page(20, 100)?;
    let pool = app.system().persistence().pool();
    let mut search = params.text("q").or_else(|| params.text("search")).and_then(Search::of);
    if params.is_on("fuzzy")
        && let Some(exact) = search.take()
    {
        search = Some(exact.tolerant(pool).await?);
    }
    let filter = TemplateFilter {
        category: params.parsed("category")?,
        statuses: statuses(&params, spoken.rules(), is_admin(principal.as_ref()))?,
        search,
        best_first: true,
        tags: tags(&params),
    };
    let (rows, total) = templates::list(pool, &filter, page).await?;
    Ok(Reply::ok(TemplateShelf {
        templates: rows.iter().map(TemplateSummary::from).collect(),
        pagination: Some(Pagination::new(total, page)),
    }))
}

/// The most used templates.
#[utoipa::path(
    get, path = "/popular", tag = "templates",
    params(("limit" = Option<u32>, Query, description = "1 to 50, 10 if not said")),
    responses((status = 200, body = TemplateShelf)),
)]
async fn popular(State(app): State<App>, params: Params) -> ApiResult {
    let page = Page { limit: params.number("limit", 10, 1, 50)?, offset: 0 };
    let pool = app.system().persistence().pool();
    let (rows, _) = templates::list(pool, &TemplateFilter::default(), page).await?;
    let templates = rows.iter().map(TemplateSummary::from).collect();
    Ok(Reply::ok(TemplateShelf { templates, pagination: None }))
}

/// The shelves and how many templates stand on each.
#[utoipa::path(get, path = "/categories", tag = "templates", responses((status = 200, body = Categories)))]
async fn categories(State(app): State<App>) -> ApiResult {
    let counts = templates::count_by_category(app.system().persistence().pool()).await?;
    let count = |(name, count): (TemplateCategory, i64)| CategoryCount { name: name.into(), count };
    Ok(Reply::ok(Categories { categories: counts.into_iter().map(count).collect() }))
}

/// The template with that id or name, if whoever asks may see it.
async fn visible(app: &App, id: &str, deprecated: bool) -> Result<templates::Template, ApiError> {
    let found = templates::by_id_or_name(app.system().persistence().pool(), id).await?;
    let found = found.filter(|found| deprecated || found.status != TemplateStatus::Deprecated);
    found.ok_or_else(|| ApiError::not_found("Template"))
}

/// A template.
#[utoipa::path(
    get, path = "/{id}", tag = "templates",
    params(
        ("id" = String, Path, description = "Its id or its name"),
        ("includeDeprecated" = Option<bool>, Query, description = "Also a deprecated one"),
    ),
    responses((status = 200, body = TemplateDetail), NotFound),
)]
async fn get(
    State(app): State<App>,
    principal: Option<Principal>,
    Path(id): Path<String>,
    params: Params,
) -> ApiResult {
    let deprecated = params.is_on("includeDeprecated") || is_admin(principal.as_ref());
    let template = visible(&app, &id, deprecated).await?;
    let usage = templates::usage(app.system().persistence().pool(), &template.id).await?;
    Ok(Reply::ok(TemplateDetail { template: (&template).into(), active_environment_count: usage.active }))
}

/// How much a template is used.
#[utoipa::path(
    get, path = "/{id}/stats", tag = "templates", security(("bearer" = [])),
    params(("id" = String, Path, description = "Its id or its name")),
    responses((status = 200, body = TemplateStats), Signed, NotFound),
)]
async fn stats(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> ApiResult {
    let template = visible(&app, &id, is_admin(Some(&principal))).await?;
    let usage = templates::usage(app.system().persistence().pool(), &template.id).await?;
    Ok(Reply::ok(TemplateStats::new(&template, &usage)))
}

/// Whether a template's suggestions fit one's own plan.
///
/// One that suggests more than the plan allows can be used all the same: `granted` is what an
/// environment gets then.
#[utoipa::path(
    get, path = "/{id}/compatibility", tag = "templates", security(("bearer" = [])),
    params(("id" = String, Path, description = "Its id or its name")),
    responses((status = 200, body = TemplateCompatibility), Signed, NotFound),
)]
async fn compatibility(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> ApiResult {
    let template = visible(&app, &id, is_admin(Some(&principal))).await?;
    let allowance = app.config().limits.plans.of(principal.plan);
    Ok(Reply::ok(TemplateCompatibility::new(&template, principal.plan, allowance)))
}
