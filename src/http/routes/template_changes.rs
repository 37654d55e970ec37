//! Changing what environments are made of: for administrators.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use devpocket_actors::persistence::records::{Audited, WriteAudit};
use devpocket_actors::persistence::templates::{
    self, ChangeTemplate, CreateTemplate, SetTemplateStatus, TemplateEdit, TemplateSpec,
};
use devpocket_actors::persistence::{TemplateCategory, TemplateStatus, Variables, new_id};
use devpocket_actors::runtime::Placement;
use devpocket_actors::templates::{built_in, rules, sync};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::acting::Acting;
use super::answers::{Conflict, Forbidden, NotFound, Signed};
use crate::app::App;
use crate::dialect::Reply;
use crate::dialect::views::{CategoryWord, Message, Template, TemplateStatusWord, TemplatesLoaded};
use crate::http::error::{ApiError, ApiResult, FieldError};
use crate::http::input::{Checked, Fields, Form};
use crate::http::validate;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(update, deprecate))
        .routes(routes!(initialize))
}

/// What a template is until it says otherwise.
fn blank(name: String) -> TemplateSpec {
    TemplateSpec {
        name,
        display_name: "Template".to_owned(),
        description: "Template".to_owned(),
        category: TemplateCategory::Devops,
        tags: Vec::new(),
        docker_image: "debian:12".to_owned(),
        default_port: 8080,
        default_resources_cpu: "500m".to_owned(),
        default_resources_memory: "1Gi".to_owned(),
        default_resources_storage: "10Gi".to_owned(),
        environment_variables: Variables::default(),
        install_commands: Vec::new(),
        startup_commands: Vec::new(),
        placement: Placement::default(),
        documentation_url: None,
        icon_url: None,
        status: TemplateStatus::Active,
        version: "1.0.0".to_owned(),
    }
}

/// Reads all that can change, and notes what the rules do not allow.
fn edit(fields: &mut Fields, name: &str) -> TemplateEdit {
    let nullable = |fields: &mut Fields, name| {
        let there = fields.has(name);
        let value = fields.optional(name, validate::any);
        there.then_some(value)
    };
    let (documentation_url, icon_url) = (nullable(fields, "documentationUrl"), nullable(fields, "iconUrl"));
    let mut part = fields.object("defaultResources", &["defaultResources"]).unwrap_or_else(|| fields.part());
    let mut amount = |fields: &mut Fields, name, short| {
        let nested = part.optional(short, validate::any);
        fields.optional(name, validate::any).or(nested)
    };
    let default_resources_cpu = amount(fields, "defaultResourcesCpu", "cpu");
    let default_resources_memory = amount(fields, "defaultResourcesMemory", "memory");
    let default_resources_storage = amount(fields, "defaultResourcesStorage", "storage");
    fields.absorb(part);
    let default_port = fields.number("defaultPort").map(|port| u16::try_from(port).unwrap_or(0));
    let variables = fields
        .texts("environmentVariables")
        .map(|all| Variables(all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()));
    let edit = TemplateEdit {
        display_name: fields.optional("displayName", validate::any),
        description: fields.optional("description", validate::any),
        category: fields.word("category"),
        tags: fields.list("tags").map(|tags| tags.into_iter().map(|tag| tag.to_lowercase()).collect()),
        docker_image: fields.optional("dockerImage", validate::any),
        default_port,
        default_resources_cpu,
        default_resources_memory,
        default_resources_storage,
        environment_variables: variables,
        install_commands: fields.list("installCommands"),
        startup_commands: fields.list("startupCommands"),
        documentation_url,
        icon_url,
        status: fields.word("status"),
        version: fields.optional("version", validate::any),
    };
    // Every rule is about one field, so it can be told without the others.
    let name = if name.is_empty() { "template" } else { name };
    for broken in rules::check(&edit.clone().of(blank(name.to_owned()))) {
        if !fields.is_wrong(broken.field) {
            fields.error(broken.field, broken.message, "invalid");
        }
    }
    edit
}

/// What a template may say. What is left out stays, or is as in brackets for a new one.
#[derive(Serialize, ToSchema)]
#[schema(as = TemplateChange)]
#[serde(rename_all = "camelCase")]
pub(super) struct TemplateFields {
    #[schema(min_length = 1, max_length = 100)]
    display_name: Option<String>,
    #[schema(min_length = 1, max_length = 1000)]
    description: Option<String>,
    category: Option<CategoryWord>,
    /// In lower case, at most 20 (none).
    tags: Option<Vec<String>>,
    #[schema(min_length = 1, max_length = 255, example = "debian:12")]
    docker_image: Option<String>,
    /// (8080)
    #[schema(minimum = 1, maximum = 65535)]
    default_port: Option<u16>,
    /// (500m) Also taken as `defaultResources.cpu`.
    #[schema(pattern = "^[0-9]{1,9}m?$")]
    default_resources_cpu: Option<String>,
    /// (1Gi) Also taken as `defaultResources.memory`.
    #[schema(pattern = "^[0-9]{1,9}[GMK]i?$")]
    default_resources_memory: Option<String>,
    /// (10Gi) Also taken as `defaultResources.storage`.
    #[schema(pattern = "^[0-9]{1,9}[GMK]i?$")]
    default_resources_storage: Option<String>,
    /// Set in every environment made of it, at most 100 (none).
    environment_variables: Option<BTreeMap<String, String>>,
    /// Run once, when an environment is made, at most 50 (none).
    install_commands: Option<Vec<String>>,
    /// Run at every start, at most 50 (none).
    startup_commands: Option<Vec<String>>,
    /// `null` takes it away.
    documentation_url: Option<String>,
    /// `null` takes it away.
    icon_url: Option<String>,
    /// (ACTIVE)
    status: Option<TemplateStatusWord>,
    /// (1.0.0)
    #[schema(max_length = 50)]
    version: Option<String>,
}

/// A new template: the fields of a change, of which some are needed, and its name.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewTemplate {
    #[schema(min_length = 1, max_length = 50, pattern = "^[A-Za-z0-9_-]+$")]
    name: String,
    display_name: String,
    description: String,
    category: CategoryWord,
    docker_image: String,
    #[serde(flatten)]
    others: TemplateFields,
}

/// A new template as it was read.
pub(super) struct Create(TemplateSpec);

impl Form for Create {
    fn read(fields: &mut Fields) -> Self {
        let name = fields.required("name", validate::any);
        for needed in ["displayName", "description", "category", "dockerImage"] {
            if !fields.holds(needed) {
                fields.error(needed, "is required", "required");
            }
        }
        let edit = edit(fields, &name);
        Self(edit.of(blank(name)))
    }
}

/// A change as it was read.
pub(super) struct Update {
    name: Option<String>,
    edit: TemplateEdit,
}

impl Form for Update {
    fn read(fields: &mut Fields) -> Self {
        Self { name: fields.optional("name", validate::any), edit: edit(fields, "") }
    }
}

/// Makes a template.
#[utoipa::path(
    post, path = "/", tag = "templates", security(("bearer" = [])), request_body = NewTemplate,
    responses((status = 201, body = Template), Signed, Forbidden, Conflict),
)]
async fn create(State(app): State<App>, acting: Acting, Checked(Create(spec)): Checked<Create>) -> ApiResult {
    let id = new_id();
    let entry = acting.line("template.create", &id, Some(json!({ "name": spec.name })));
    let made = Audited { write: CreateTemplate { id, spec }, entry };
    let made = app.system().persistence().write(made).await?;
    Ok(Reply::created(Template::from(&made)))
}

/// The template with that id or name, whatever its status.
async fn find(app: &App, id: &str) -> Result<templates::Template, ApiError> {
    let found = templates::by_id_or_name(app.system().persistence().pool(), id).await?;
    found.ok_or_else(|| ApiError::not_found("Template"))
}

/// Changes a template. Environments that were made of it keep what they have.
///
/// Its name can't be changed. A template that came with the server stays changed until a newer
/// server brings another version of it.
#[utoipa::path(
    put, path = "/{id}", tag = "templates", security(("bearer" = [])),
    params(("id" = String, Path, description = "Its id or its name")), request_body = TemplateFields,
    responses((status = 200, body = Template), Signed, Forbidden, NotFound),
)]
async fn update(
    State(app): State<App>,
    acting: Acting,
    Path(id): Path<String>,
    Checked(form): Checked<Update>,
) -> ApiResult {
    let found = find(&app, &id).await?;
    if form.name.is_some_and(|name| name != found.name) {
        let why = "can't be changed".to_owned();
        return Err(ApiError::validation(vec![FieldError { field: "name", why, code: "invalid" }]));
    }
    let entry = acting.line("template.update", &found.id, Some(json!({ "name": found.name })));
    let change = Audited { write: ChangeTemplate { id: found.id, edit: form.edit }, entry };
    let changed = app.system().persistence().write(change).await?;
    Ok(Reply::ok(Template::from(&changed)))
}

/// Takes a template out of use. Environments that were made of it go on.
#[utoipa::path(
    delete, path = "/{id}", tag = "templates", security(("bearer" = [])),
    params(("id" = String, Path, description = "Its id or its name")),
    responses((status = 200, body = Message), Signed, Forbidden, NotFound),
)]
async fn deprecate(State(app): State<App>, acting: Acting, Path(id): Path<String>) -> ApiResult {
    let found = find(&app, &id).await?;
    let entry = acting.line("template.deprecate", &found.id, Some(json!({ "name": found.name })));
    let write = SetTemplateStatus { id: found.id, status: TemplateStatus::Deprecated };
    app.system().persistence().write(Audited { write, entry }).await?;
    Ok(Reply::ok(Message::new(format!("Template {} is deprecated: nothing new is made of it", found.name))))
}

/// Loads the templates that came with the server, as far as they were not loaded before.
#[utoipa::path(
    post, path = "/initialize", tag = "templates", security(("bearer" = [])),
    responses((status = 200, body = TemplatesLoaded), Signed, Forbidden),
)]
async fn initialize(State(app): State<App>, acting: Acting) -> ApiResult {
    let sources = built_in().map_err(|problems| ApiError::internal(&problems))?;
    let persistence = app.system().persistence();
    let synced = sync(persistence, sources).await?;
    let entry = acting.line("template.initialize", "built-in", Some(json!(synced)));
    persistence.write(WriteAudit { entry }).await?;
    Ok(Reply::ok(TemplatesLoaded::from(synced)))
}
