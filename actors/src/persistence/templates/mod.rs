//! Templates, as stored. [`crate::templates`] reads them from files.
//!
//! [`search`] lists and finds them, [`changes`] makes and changes them.

mod changes;
mod search;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};

pub use self::changes::{
    ChangeTemplate, CreateTemplate, SetTemplateStatus, TemplateEdit, TemplateSpec, UpsertTemplate, Upserted,
};
pub use self::search::{Search, TemplateFilter, list};
use super::error::ReadError;
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
