//! Reading the audit record: page by page, or all of it piece by piece.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgPool};

use super::Page;
use super::error::ReadError;
use super::like::{beginning, containing, exactly};

/// The most lines of one export.
pub const MAX_EXPORT: u32 = 100_000;

/// Lines of an export that are read at once: what it holds of them in memory.
const PIECE: u32 = 500;

/// A line of the audit record.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "the columns are described in migrations/0003_records.sql")]
pub struct StoredAudit {
    pub id: String,
    pub actor_id: Option<String>,
    pub actor_name: Option<String>,
    pub action: String,
    pub target_type: Option<String>,
    pub target_id: Option<String>,
    pub ip: Option<String>,
    pub detail: Option<Value>,
    pub timestamp: DateTime<Utc>,
    pub ordinal: i64,
}

/// Which lines of the audit record; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Done by: an id, or a name as it was then.
    pub actor: Option<String>,
    /// Done to: an id, or a kind (`user`).
    pub target: Option<String>,
    /// What; with a trailing dot, everything that begins so (`environment.`).
    pub action: Option<String>,
    /// A part of any text in it, in any case.
    pub search: Option<String>,
    /// Not before.
    pub from: Option<DateTime<Utc>>,
    /// Before.
    pub to: Option<DateTime<Utc>>,
}

impl AuditFilter {
    fn action(&self) -> Option<String> {
        self.action.as_deref().map(|action| match action.ends_with('.') {
            true => beginning(action),
            false => exactly(action),
        })
    }

    fn search(&self) -> Option<String> {
        self.search.as_deref().map(containing)
    }
}

/// A question about lines that pass a filter: what of them, and the rest behind the condition.
macro_rules! lines {
    ($what:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $what,
            " FROM audit_log
             WHERE ($1::text IS NULL OR actor_id = $1 OR actor_name = $1)
               AND ($2::text IS NULL OR target_id = $2 OR target_type = $2)
               AND ($3::text IS NULL OR action LIKE $3)
               AND ($4::text IS NULL OR action ILIKE $4 OR actor_name ILIKE $4 OR target_id ILIKE $4
                    OR ip ILIKE $4 OR detail::text ILIKE $4)
               AND ($5::timestamptz IS NULL OR timestamp >= $5)
               AND ($6::timestamptz IS NULL OR timestamp < $6) ",
            $rest
        )
    };
}

/// A page of the audit record, newest first; and how many lines there are in all.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn page(
    pool: &PgPool,
    filter: &AuditFilter,
    page: Page,
) -> Result<(Vec<StoredAudit>, i64), ReadError> {
    let (action, search) = (filter.action(), filter.search());
    let rows = sqlx::query_as(lines!("*", "ORDER BY timestamp DESC, ordinal DESC LIMIT $7 OFFSET $8"))
        .bind(&filter.actor)
        .bind(&filter.target)
        .bind(&action)
        .bind(&search)
        .bind(filter.from)
        .bind(filter.to)
        .bind(page.limit())
        .bind(page.offset())
        .fetch_all(pool)
        .await?;
    let total = sqlx::query_scalar(lines!("count(*)", ""))
        .bind(&filter.actor)
        .bind(&filter.target)
        .bind(&action)
        .bind(&search)
        .bind(filter.from)
        .bind(filter.to)
        .fetch_one(pool)
        .await?;
    Ok((rows, total))
}

/// The audit record, newest first, piece by piece: between two pieces it holds no connection, so
/// whoever takes them slowly is in nobody's way. Lines written meanwhile are left out.
#[derive(Debug)]
pub struct Export {
    pool: PgPool,
    filter: AuditFilter,
    /// The last line that was given.
    last: Option<(DateTime<Utc>, i64)>,
    /// How many more may be given.
    left: u32,
}

impl Export {
    /// Of the lines that pass the filter, at most [`MAX_EXPORT`].
    #[must_use]
    pub fn new(pool: &PgPool, filter: AuditFilter) -> Self {
        Self { pool: pool.clone(), filter, last: None, left: MAX_EXPORT }
    }

    /// The next lines; none: that was all.
    ///
    /// # Errors
    /// `Unavailable` while the database is away.
    pub async fn next(&mut self) -> Result<Vec<StoredAudit>, ReadError> {
        let piece = PIECE.min(self.left);
        if piece == 0 {
            return Ok(Vec::new());
        }
        let rows: Vec<StoredAudit> = sqlx::query_as(lines!(
            "*",
            "AND ($7::timestamptz IS NULL OR (timestamp, ordinal) < ($7, $8))
             ORDER BY timestamp DESC, ordinal DESC LIMIT $9"
        ))
        .bind(&self.filter.actor)
        .bind(&self.filter.target)
        .bind(self.filter.action())
        .bind(self.filter.search())
        .bind(self.filter.from)
        .bind(self.filter.to)
        .bind(self.last.map(|(at, _)| at))
        .bind(self.last.map(|(_, ordinal)| ordinal))
        .bind(i64::from(piece))
        .fetch_all(&self.pool)
        .await?;
        self.left = match rows.last() {
            // A piece that is not full is the last one.
            Some(last) if rows.len() == piece as usize => {
                self.last = Some((last.timestamp, last.ordinal));
                self.left - piece
            }
            _ => 0,
        };
        Ok(rows)
    }
}
