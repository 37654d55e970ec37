//! Making and changing templates.

use sqlx::PgTransaction;
use sqlx::types::Json;

use super::Template;
use crate::persistence::engine::Write;
use crate::persistence::error::WriteError;
use crate::persistence::ids::new_id;
use crate::persistence::secrets::Variables;
use crate::persistence::words::{TemplateCategory, TemplateStatus};
use crate::runtime::Placement;

/// What a template is made of: everything but what the database counts itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are the columns")]
pub struct TemplateSpec {
    pub name: String,
    pub display_name: String,
    pub description: String,
    pub category: TemplateCategory,
    pub tags: Vec<String>,
    pub docker_image: String,
    pub default_port: u16,
    pub default_resources_cpu: String,
    pub default_resources_memory: String,
    pub default_resources_storage: String,
    pub environment_variables: Variables,
    pub install_commands: Vec<String>,
    pub startup_commands: Vec<String>,
    pub placement: Placement,
    pub documentation_url: Option<String>,
    pub icon_url: Option<String>,
    pub status: TemplateStatus,
    pub version: String,
}

/// What loading a template's file did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upserted {
    /// It is new.
    Created,
    /// The file had changed.
    Updated,
    /// The file was loaded before; the row was not touched.
    Unchanged,
}

/// Brings a template from its file. Does nothing when that file, as it is now, was loaded
/// before: what an administrator changed since stays.
#[derive(Debug, Clone)]
pub struct UpsertTemplate {
    /// The content.
    pub spec: TemplateSpec,
    /// Digest of the file.
    pub source_digest: String,
}

macro_rules! insert_template {
    ($rest:literal) => {
        concat!(
            "INSERT INTO templates AS t (name, display_name, description, category, tags, docker_image,
                 default_port, default_resources_cpu, default_resources_memory,
                 default_resources_storage, environment_variables, install_commands,
                 startup_commands, documentation_url, icon_url, status, version, placement, source_digest, id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) ",
            $rest
        )
    };
}

type Query<'q, O> = sqlx::query::QueryAs<'q, sqlx::Postgres, O, sqlx::postgres::PgArguments>;

fn bind_spec<O>(query: Query<'_, O>, spec: TemplateSpec) -> Query<'_, O> {
    query
        .bind(spec.name)
        .bind(spec.display_name)
        .bind(spec.description)
        .bind(spec.category)
        .bind(spec.tags)
        .bind(spec.docker_image)
        .bind(i32::from(spec.default_port))
        .bind(spec.default_resources_cpu)
        .bind(spec.default_resources_memory)
        .bind(spec.default_resources_storage)
        .bind(Json(spec.environment_variables))
        .bind(spec.install_commands)
        .bind(spec.startup_commands)
        .bind(spec.documentation_url)
        .bind(spec.icon_url)
        .bind(spec.status)
        .bind(spec.version)
        .bind(Json(spec.placement))
}

impl Write for UpsertTemplate {
    type Output = Upserted;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Upserted, WriteError> {
        // A row version just inserted has no xmax; one that was updated has. No row: unchanged.
        let query = sqlx::query_as(insert_template!(
            "ON CONFLICT (name) DO UPDATE
             SET display_name = excluded.display_name, description = excluded.description,
                 category = excluded.category, tags = excluded.tags,
                 docker_image = excluded.docker_image, default_port = excluded.default_port,
                 default_resources_cpu = excluded.default_resources_cpu,
                 default_resources_memory = excluded.default_resources_memory,
                 default_resources_storage = excluded.default_resources_storage,
                 environment_variables = excluded.environment_variables,
                 install_commands = excluded.install_commands,
                 startup_commands = excluded.startup_commands,
                 documentation_url = excluded.documentation_url, icon_url = excluded.icon_url,
                 status = excluded.status, version = excluded.version, placement = excluded.placement,
                 source_digest = excluded.source_digest, updated_at = now()
             WHERE t.source_digest IS DISTINCT FROM excluded.source_digest
             RETURNING xmax = 0"
        ));
        let created: Option<(bool,)> = bind_spec(query, self.spec)
            .bind(self.source_digest)
            .bind(new_id())
            .fetch_optional(&mut **tx)
            .await?;
        Ok(match created {
            Some((true,)) => Upserted::Created,
            Some((false,)) => Upserted::Updated,
            None => Upserted::Unchanged,
        })
    }
}

/// Makes a template by hand. `Conflict` when the name is taken.
#[derive(Debug, Clone)]
pub struct CreateTemplate {
    /// New id.
    pub id: String,
    /// The content.
    pub spec: TemplateSpec,
}

impl Write for CreateTemplate {
    type Output = Template;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Template, WriteError> {
        Ok(bind_spec(sqlx::query_as(insert_template!("RETURNING *")), self.spec)
            .bind(None::<String>)
            .bind(self.id)
            .fetch_one(&mut **tx)
            .await?)
    }
}

/// What of a template is to change; `None` stays.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "fields are the columns")]
pub struct TemplateEdit {
    pub display_name: Option<String>,
    pub description: Option<String>,
    pub category: Option<TemplateCategory>,
    pub tags: Option<Vec<String>>,
    pub docker_image: Option<String>,
    pub default_port: Option<u16>,
    pub default_resources_cpu: Option<String>,
    pub default_resources_memory: Option<String>,
    pub default_resources_storage: Option<String>,
    pub environment_variables: Option<Variables>,
    pub install_commands: Option<Vec<String>>,
    pub startup_commands: Option<Vec<String>>,
    /// `Some(None)` takes it away.
    pub documentation_url: Option<Option<String>>,
    /// Likewise.
    pub icon_url: Option<Option<String>>,
    pub status: Option<TemplateStatus>,
    pub version: Option<String>,
}

impl TemplateEdit {
    /// The content after the edit.
    #[must_use]
    pub fn of(self, base: TemplateSpec) -> TemplateSpec {
        TemplateSpec {
            name: base.name,
            display_name: self.display_name.unwrap_or(base.display_name),
            description: self.description.unwrap_or(base.description),
            category: self.category.unwrap_or(base.category),
            tags: self.tags.unwrap_or(base.tags),
            docker_image: self.docker_image.unwrap_or(base.docker_image),
            default_port: self.default_port.unwrap_or(base.default_port),
            default_resources_cpu: self.default_resources_cpu.unwrap_or(base.default_resources_cpu),
            default_resources_memory: self.default_resources_memory.unwrap_or(base.default_resources_memory),
            default_resources_storage: self
                .default_resources_storage
                .unwrap_or(base.default_resources_storage),
            environment_variables: self.environment_variables.unwrap_or(base.environment_variables),
            install_commands: self.install_commands.unwrap_or(base.install_commands),
            startup_commands: self.startup_commands.unwrap_or(base.startup_commands),
            placement: base.placement,
            documentation_url: self.documentation_url.unwrap_or(base.documentation_url),
            icon_url: self.icon_url.unwrap_or(base.icon_url),
            status: self.status.unwrap_or(base.status),
            version: self.version.unwrap_or(base.version),
        }
    }
}

impl From<Template> for TemplateSpec {
    fn from(row: Template) -> Self {
        Self {
            name: row.name,
            display_name: row.display_name,
            description: row.description,
            category: row.category,
            tags: row.tags,
            docker_image: row.docker_image,
            // The column is checked to be a port.
            default_port: u16::try_from(row.default_port).unwrap_or(8080),
            default_resources_cpu: row.default_resources_cpu,
            default_resources_memory: row.default_resources_memory,
            default_resources_storage: row.default_resources_storage,
            environment_variables: row.environment_variables,
            install_commands: row.install_commands,
            startup_commands: row.startup_commands,
            placement: row.placement,
            documentation_url: row.documentation_url,
            icon_url: row.icon_url,
            status: row.status,
            version: row.version,
        }
    }
}

/// Changes a template by hand. Its name stays, as people and clients use it, and so does what
/// file it came from: the edit lives until that file changes.
#[derive(Debug, Clone)]
pub struct ChangeTemplate {
    /// Which.
    pub id: String,
    /// What changes.
    pub edit: TemplateEdit,
}

impl Write for ChangeTemplate {
    type Output = Template;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Template, WriteError> {
        const GONE: WriteError = WriteError::NotFound { what: "template" };
        // Locked: of two edits at once none may undo the other.
        let row: Template = sqlx::query_as("SELECT * FROM templates WHERE id = $1 FOR NO KEY UPDATE")
            .bind(&self.id)
            .fetch_optional(&mut **tx)
            .await?
            .ok_or(GONE)?;
        let query = sqlx::query_as(
            "UPDATE templates
             SET name = $1, display_name = $2, description = $3, category = $4, tags = $5,
                 docker_image = $6, default_port = $7, default_resources_cpu = $8,
                 default_resources_memory = $9, default_resources_storage = $10,
                 environment_variables = $11, install_commands = $12, startup_commands = $13,
                 documentation_url = $14, icon_url = $15, status = $16, version = $17,
                 placement = $18, updated_at = now()
             WHERE id = $19 RETURNING *",
        );
        bind_spec(query, self.edit.of(row.into())).bind(self.id).fetch_optional(&mut **tx).await?.ok_or(GONE)
    }
}

/// Changes only whether a template may be used.
#[derive(Debug, Clone)]
pub struct SetTemplateStatus {
    /// Which.
    pub id: String,
    /// From now on.
    pub status: TemplateStatus,
}

impl Write for SetTemplateStatus {
    type Output = Template;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Template, WriteError> {
        sqlx::query_as("UPDATE templates SET status = $2, updated_at = now() WHERE id = $1 RETURNING *")
            .bind(self.id)
            .bind(self.status)
            .fetch_optional(&mut **tx)
            .await?
            .ok_or(WriteError::NotFound { what: "template" })
    }
}
