//! The OpenAPI 3.1 document, made of the handlers, and the page that shows it.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_swagger_ui::Config;

use crate::app::App;
use crate::dialect::views::{ErrorBody, FieldProblem};
use crate::http::error::ApiError;

/// Where the document is.
const DOCUMENT: &str = "/api/v1/openapi.json";

/// Where the page is.
const PAGE: &str = "/api/v1/docs";

const DESCRIPTION: &str = "Environments for developing from a phone.\n\n\
    This page is in the camel dialect. Clients that spell in snake (`full_name`, `running`, bare lists) \
    get all of it in theirs: say `X-DevPocket-Dialect: snake`, or spell so when signing in.";

/// What the document begins with.
pub(super) fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("DevPocket API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .build();
    let mut components = Components::new();
    // Named by no handler, as every answer may have it.
    for (name, schema) in
        [(ErrorBody::name(), ErrorBody::schema()), (FieldProblem::name(), FieldProblem::schema())]
    {
        components.schemas.insert(name.into_owned(), schema);
    }
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// The whole document: of every route, with what every route may answer.
#[must_use]
pub fn document() -> &'static OpenApi {
    static DOCUMENT: OnceLock<OpenApi> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut document = super::all().into_openapi();
        document.paths.paths.values_mut().flat_map(operations).for_each(complete);
        document
    })
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// A name that no other operation has, and what any request may be answered, beside what its
/// route documents.
fn complete(operation: &mut Operation) {
    let tag = operation.tags.iter().flatten().next();
    if let (Some(tag), Some(name)) = (tag, &operation.operation_id) {
        operation.operation_id = Some(format!("{tag}_{name}"));
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            let status: Option<StatusCode> = status.parse().ok();
            response.description =
                status.and_then(|status| status.canonical_reason()).unwrap_or_default().to_owned();
        }
    }
    let mut more = vec![
        ("408", "The request took too long to arrive."),
        ("429", "Too many requests. `Retry-After` says when to come again."),
        ("500", "A fault of ours; it was logged."),
        (
            "503",
            "Not now: the database is away, or the server restarts. `Retry-After` says when to ask again.",
        ),
    ];
    if operation.request_body.is_some() {
        more.push(("400", "A field can't be used, or the body can't be read."));
        more.push(("413", "The body is too large."));
        more.push(("422", "A field can't be used (snake)."));
    } else if operation.parameters.is_some() {
        more.push(("400", "A parameter can't be used."));
    }
    for (status, description) in more {
        let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
        let response =
            ResponseBuilder::new().description(description).content("application/json", body).build();
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.into());
    }
}

/// The document, and the page if it is switched on. Its assets are part of the binary.
pub(in crate::http) fn pages(app: &App) -> Router<App> {
    let router = Router::new().route(DOCUMENT, get(async || axum::Json(document())));
    if !app.config().web.api_docs {
        return router;
    }
    router
        .route("/api-docs", get(async || axum::response::Redirect::permanent(PAGE)))
        .route(PAGE, get(async || asset("index.html")))
        .route(&format!("{PAGE}/{{file}}"), get(async |Path(file): Path<String>| asset(&file)))
}

fn asset(name: &str) -> Result<Response, ApiError> {
    static CONFIG: OnceLock<Arc<Config<'static>>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| Arc::new(Config::from(DOCUMENT)));
    let file = utoipa_swagger_ui::serve(name, Arc::clone(config));
    let file = file.map_err(|error| ApiError::internal(&error))?;
    let file = file.ok_or_else(|| ApiError::not_found("Page"))?;
    let kind = HeaderValue::from_str(&file.content_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let bytes = if name == "index.html" {
        // Its links are relative to a folder, and the address has no slash at its end.
        let text = String::from_utf8_lossy(&file.bytes);
        Bytes::from(text.replacen("<head>", &format!("<head><base href=\"{PAGE}/\">"), 1))
    } else {
        Bytes::from(file.bytes.into_owned())
    };
    Ok(([(CONTENT_TYPE, kind)], bytes).into_response())
}
