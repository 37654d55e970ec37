//! What environments are made of.

use axum::extract::{Path, State};
use devpocket_actors::persistence::templates::{self, TemplateFilter};
use devpocket_actors::persistence::{Page, TemplateCategory, TemplateStatus};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::NotFound;
use super::query::Params;
use crate::app::App;
use crate::dialect::views::{
    Categories, CategoryCount, Pagination, Template, TemplateDetail, TemplateList, TemplateShelf,
    TemplateSummary,
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
}

fn filter(params: &Params, rules: &Rules) -> Result<TemplateFilter, ApiError> {
    let status: Option<TemplateStatus> = params.parsed("status")?;
    let include_deprecated = params.is_on("includeDeprecated");
    Ok(TemplateFilter {
        category: params.parsed("category")?,
        // Deprecated ones only for who says so.
        statuses: match status.filter(|status| *status != TemplateStatus::Deprecated) {
            Some(status) => vec![status],
            None if rules.lists_beta => vec![TemplateStatus::Active, TemplateStatus::Beta],
            None => Vec::new(),
        },
        include_deprecated,
        search: params.text("search").or_else(|| params.text("q")).map(str::to_owned),
        tags: params
            .text("tags")
            .map(|tags| {
                tags.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect()
            })
            .unwrap_or_default(),
    })
}

/// A page of templates, the most used first.
#[utoipa::path(
    get, path = "/", tag = "templates",
    params(
        ("category" = Option<String>, Query, description = "Only of this shelf"),
        ("status" = Option<String>, Query, description = "Only with this status"),
        ("search" = Option<String>, Query, description = "In name, display name, description; or a whole tag"),
        ("includeDeprecated" = Option<bool>, Query, description = "Every status"),
        ("limit" = Option<u32>, Query, description = "1 to 100, 50 if not said"),
        ("offset" = Option<u32>, Query, description = "How many to skip"),
        ("page" = Option<u32>, Query, description = "Which page, from 1; wins over offset"),
    ),
    responses((status = 200, body = TemplateList)),
)]
async fn list(State(app): State<App>, spoken: Spoken, params: Params) -> ApiResult {
    let page = params.page(50, 100)?;
    let filter = filter(&params, spoken.rules())?;
    let (rows, total) = templates::list(app.system().persistence().pool(), &filter, page).await?;
    Ok(Reply::ok(TemplateList {
        templates: rows.iter().map(Template::from).collect(),
        pagination: Pagination::new(total, page),
    }))
}

/// A short list of the templates that match.
#[utoipa::path(
    get, path = "/search", tag = "templates",
    params(
        ("q" = Option<String>, Query, description = "In name, display name, description; or a whole tag"),
        ("category" = Option<String>, Query, description = "Only of this shelf"),
        ("tags" = Option<String>, Query, description = "All of these, with commas between"),
        ("limit" = Option<u32>, Query, description = "1 to 100, 20 if not said"),
        ("offset" = Option<u32>, Query, description = "How many to skip"),
    ),
    responses((status = 200, body = TemplateShelf)),
)]
async fn search(State(app): State<App>, spoken: Spoken, params: Params) -> ApiResult {
    let page = params.page(20, 100)?;
    let filter = filter(&params, spoken.rules())?;
    let (rows, total) = templates::list(app.system().persistence().pool(), &filter, page).await?;
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

/// A template.
#[utoipa::path(
    get, path = "/{id}", tag = "templates",
    params(
        ("id" = String, Path, description = "Its id or its name"),
        ("includeDeprecated" = Option<bool>, Query, description = "Also a deprecated one"),
    ),
    responses((status = 200, body = TemplateDetail), NotFound),
)]
async fn get(State(app): State<App>, Path(id): Path<String>, params: Params) -> ApiResult {
    let pool = app.system().persistence().pool();
    let shown = |template: &templates::Template| {
        template.status != TemplateStatus::Deprecated || params.is_on("includeDeprecated")
    };
    let template = templates::by_id_or_name(pool, &id).await?.filter(shown);
    let template = template.ok_or_else(|| ApiError::not_found("Template"))?;
    let usage = templates::usage(pool, &template.id).await?;
    Ok(Reply::ok(TemplateDetail { template: (&template).into(), active_environment_count: usage.active }))
}
