//! Templates: open to everybody.

use axum::Json;
use axum::extract::{Path, State};
use devpocket_actors::persistence::templates::{self, TemplateFilter};
use devpocket_actors::persistence::{Page, TemplateStatus};
use serde_json::{Value, json};

use super::query::Params;
use crate::app::App;
use crate::http::error::{ApiError, ApiResult};
use crate::http::render;

fn filter(params: &Params) -> Result<TemplateFilter, ApiError> {
    let status: Option<TemplateStatus> = params.parsed("status")?;
    let include_deprecated = params.is_on("includeDeprecated");
    Ok(TemplateFilter {
        category: params.parsed("category")?,
        // Deprecated ones only for who says so.
        statuses: status.filter(|status| *status != TemplateStatus::Deprecated).into_iter().collect(),
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

async fn page(app: &App, params: &Params, page: Page, show: fn(&templates::Template) -> Value) -> ApiResult {
    let pool = app.system().persistence().pool();
    let (rows, total) = templates::list(pool, &filter(params)?, page).await?;
    let rows: Vec<_> = rows.iter().map(show).collect();
    let pagination = render::pagination(total, page.limit, page.offset);
    Ok(Json(json!({ "templates": rows, "pagination": pagination })))
}

pub(super) async fn list(State(app): State<App>, params: Params) -> ApiResult {
    page(&app, &params, params.page(50, 100)?, render::template).await
}

pub(super) async fn search(State(app): State<App>, params: Params) -> ApiResult {
    page(&app, &params, params.page(20, 100)?, render::template_summary).await
}

pub(super) async fn popular(State(app): State<App>, params: Params) -> ApiResult {
    let page = Page { limit: params.number("limit", 10, 1, 50)?, offset: 0 };
    let pool = app.system().persistence().pool();
    let (rows, _) = templates::list(pool, &TemplateFilter::default(), page).await?;
    Ok(Json(json!({ "templates": rows.iter().map(render::template_summary).collect::<Vec<_>>() })))
}

pub(super) async fn categories(State(app): State<App>) -> ApiResult {
    let counts = templates::count_by_category(app.system().persistence().pool()).await?;
    let categories: Vec<_> =
        counts.into_iter().map(|(name, count)| json!({ "name": name, "count": count })).collect();
    Ok(Json(json!({ "categories": categories })))
}

pub(super) async fn get(State(app): State<App>, Path(id): Path<String>, params: Params) -> ApiResult {
    let pool = app.system().persistence().pool();
    let shown = |template: &templates::Template| {
        template.status != TemplateStatus::Deprecated || params.is_on("includeDeprecated")
    };
    let template = templates::by_id_or_name(pool, &id).await?.filter(shown);
    let template = template.ok_or_else(|| ApiError::not_found("Template"))?;
    let usage = templates::usage(pool, &template.id).await?;
    let mut body = render::template(&template);
    render::extend(&mut body, render::both(json!({ "activeEnvironmentCount": usage.active })));
    Ok(Json(body))
}
