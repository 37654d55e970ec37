//! Templates, as stored. [`crate::templates`] reads them from files.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{FromRow, PgPool, PgTransaction};

use super::Page;
use super::engine::Write;
use super::error::{ReadError, WriteError};
use super::ids::new_id;
use super::secrets::Variables;
use super::words::{TemplateCategory, TemplateStatus};
use crate::runtime::Placement;

/// A template.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "the columns are described in migrations/0002_environments.sql and 0004")]
pub struct Template {
    pub id: String,
    pub name: String,
    pub display_name: String,
    pub description: String,
    pub category: TemplateCategory,
    pub tags: Vec<String>,
    pub docker_image: String,
    pub default_port: i32,
    pub default_resources_cpu: String,
    pub default_resources_memory: String,
    pub default_resources_storage: String,
    #[sqlx(json)]
    pub environment_variables: Variables,
    pub install_commands: Vec<String>,
    pub startup_commands: Vec<String>,
    #[sqlx(json)]
    pub placement: Placement,
    pub documentation_url: Option<String>,
    pub icon_url: Option<String>,
    pub status: TemplateStatus,
    pub version: String,
    pub usage_count: i32,
    pub source_digest: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Which templates to list.
#[derive(Debug, Clone, Default)]
pub struct TemplateFilter {
    /// Only of that shelf.
    pub category: Option<TemplateCategory>,
    /// Only these statuses; empty: only `ACTIVE`.
    pub statuses: Vec<TemplateStatus>,
    /// Also deprecated and beta ones.
    pub include_deprecated: bool,
    /// Part of name, display name or description, or a whole tag; in any case.
    pub search: Option<String>,
    /// All of these tags.
    pub tags: Vec<String>,
}

/// The condition shared by list and count. Parameters $1 to $4.
macro_rules! matching {
    ($select:literal, $rest:literal) => {
        concat!(
            $select,
            " FROM templates t
             WHERE ($1::text IS NULL OR t.category = $1)
               AND t.status = ANY($2::text[])
               AND ($3::text IS NULL OR t.name ILIKE $3 OR t.display_name ILIKE $3
                    OR t.description ILIKE $3 OR lower($5) = ANY(t.tags))
               AND t.tags @> $4::text[]",
            $rest
        )
    };
}

impl TemplateFilter {
    fn statuses(&self) -> Vec<TemplateStatus> {
        if self.include_deprecated {
            TemplateStatus::ALL.to_vec()
        } else if self.statuses.is_empty() {
            vec![TemplateStatus::Active]
        } else {
            self.statuses.clone()
        }
    }
}

/// A search text as a pattern in which the text's own wildcards mean themselves.
pub(super) fn contains(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// A page of templates, most used first, then newest change; and how many there are in all.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn list(
    pool: &PgPool,
    filter: &TemplateFilter,
    page: Page,
) -> Result<(Vec<Template>, i64), ReadError> {
    let statuses: Vec<&str> = filter.statuses().into_iter().map(TemplateStatus::as_str).collect();
    let pattern = filter.search.as_deref().map(contains);
    let rows = sqlx::query_as(matching!(
        "SELECT t.*",
        " ORDER BY t.usage_count DESC, t.updated_at DESC, t.id LIMIT $6 OFFSET $7"
    ))
    .bind(filter.category)
    .bind(&statuses)
    .bind(&pattern)
    .bind(&filter.tags)
    .bind(&filter.search)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(pool)
    .await?;
    let total = sqlx::query_scalar(matching!("SELECT count(*)", ""))
        .bind(filter.category)
        .bind(&statuses)
        .bind(&pattern)
        .bind(&filter.tags)
        .bind(&filter.search)
        .fetch_one(pool)
        .await?;
    Ok((rows, total))
}

/// The template with that id or that name, whatever its status.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn by_id_or_name(pool: &PgPool, key: &str) -> Result<Option<Template>, ReadError> {
    // An id goes before a name that looks like one.
    Ok(sqlx::query_as("SELECT * FROM templates WHERE id = $1 OR name = $1 ORDER BY (id = $1) DESC LIMIT 1")
        .bind(key)
        .fetch_optional(pool)
        .await?)
}

/// Active templates of each category.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn count_by_category(pool: &PgPool) -> Result<Vec<(TemplateCategory, i64)>, ReadError> {
    Ok(sqlx::query_as(
        "SELECT category, count(*) FROM templates WHERE status = 'ACTIVE' GROUP BY category ORDER BY category",
    )
    .fetch_all(pool)
    .await?)
}

/// How much a template is used.
#[derive(Debug, Clone, FromRow)]
pub struct TemplateUsage {
    /// Environments ever made of it, as far as their rows are kept.
    pub total: i64,
    /// Those that are not terminated.
    pub active: i64,
    /// Those made within 30 days.
    pub last_30_days: i64,
}

/// How much the template is used.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn usage(pool: &PgPool, template_id: &str) -> Result<TemplateUsage, ReadError> {
    Ok(sqlx::query_as(
        "SELECT count(*) AS total, count(*) FILTER (WHERE status <> 'TERMINATED') AS active,
                count(*) FILTER (WHERE created_at > now() - interval '30 days') AS last_30_days
         FROM environments WHERE template_id = $1",
    )
    .bind(template_id)
    .fetch_one(pool)
    .await?)
}

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
    /// The content.
    pub spec: TemplateSpec,
}

impl Write for CreateTemplate {
    type Output = Template;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Template, WriteError> {
        Ok(bind_spec(sqlx::query_as(insert_template!("RETURNING *")), self.spec)
            .bind(None::<String>)
            .bind(new_id())
            .fetch_one(&mut **tx)
            .await?)
    }
}

/// Replaces a template's content; its name cannot change, as people and clients use it.
#[derive(Debug, Clone)]
pub struct UpdateTemplate {
    /// Which.
    pub id: String,
    /// The new content; its `name` is ignored.
    pub spec: TemplateSpec,
}

impl Write for UpdateTemplate {
    type Output = Template;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Template, WriteError> {
        let query = sqlx::query_as(
            "UPDATE templates
             SET name = COALESCE(name, $1), display_name = $2, description = $3, category = $4, tags = $5,
                 docker_image = $6, default_port = $7, default_resources_cpu = $8,
                 default_resources_memory = $9, default_resources_storage = $10,
                 environment_variables = $11, install_commands = $12, startup_commands = $13,
                 documentation_url = $14, icon_url = $15, status = $16, version = $17,
                 placement = $18, updated_at = now()
             WHERE id = $19 RETURNING *",
        );
        bind_spec(query, self.spec)
            .bind(self.id)
            .fetch_optional(&mut **tx)
            .await?
            .ok_or(WriteError::NotFound { what: "template" })
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
