//! Rows on their way: read in pages as JSON, in which enumerations are words and times texts, and
//! written from it by the types of our own columns.

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

use super::ImportError;

/// Rows that are in memory at a time.
const PAGE: i64 = 500;

/// A row of the old database.
pub(super) type Row = serde_json::Map<String, Value>;

/// A table of the old database, and what we take of it.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Also what is written; the other columns get their defaults.
    pub(super) columns: &'static str,
}

impl Table {
    /// The rows after one, by id.
    pub(super) async fn page(&self, source: &mut PgConnection, after: &str) -> Result<Vec<Row>, ImportError> {
        let query = format!("SELECT to_jsonb(t) FROM {} t WHERE t.id > $1 ORDER BY t.id LIMIT $2", self.name);
        let rows: Vec<Value> = sqlx::query_scalar(AssertSqlSafe(query))
            .bind(after)
            .bind(PAGE)
            .fetch_all(source)
            .await
            .map_err(ImportError::source)?;
        Ok(rows
            .into_iter()
            .filter_map(|row| if let Value::Object(row) = row { Some(row) } else { None })
            .collect())
    }

    /// Adds rows that are not there yet, where `condition` holds of the row `r`; gives the ids of those
    /// that were added.
    pub(super) async fn add(
        &self,
        target: &mut PgConnection,
        rows: Vec<Row>,
        condition: &'static str,
    ) -> Result<Vec<String>, ImportError> {
        let Self { name, columns } = self;
        let query = format!(
            "INSERT INTO {name} ({columns}) SELECT {columns} FROM jsonb_populate_recordset(NULL::{name}, $1) r
             WHERE {condition} ON CONFLICT (id) DO NOTHING RETURNING id"
        );
        let rows = Value::Array(rows.into_iter().map(Value::Object).collect());
        sqlx::query_scalar(AssertSqlSafe(query))
            .bind(rows)
            .fetch_all(target)
            .await
            .map_err(ImportError::target)
    }

    /// How many rows the old database has.
    pub(super) async fn size(&self, source: &mut PgConnection) -> Result<u64, ImportError> {
        let query = format!("SELECT count(*) FROM {}", self.name);
        let count: i64 =
            sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(source).await.map_err(ImportError::source)?;
        Ok(count.unsigned_abs())
    }

    /// Those of these ids that are here.
    pub(super) async fn present(
        &self,
        target: &mut PgConnection,
        ids: &[String],
    ) -> Result<Vec<String>, ImportError> {
        let query = format!("SELECT id FROM {} WHERE id = ANY($1)", self.name);
        sqlx::query_scalar(AssertSqlSafe(query))
            .bind(ids)
            .fetch_all(target)
            .await
            .map_err(ImportError::target)
    }
}

/// A text of a row; empty when it is not there.
pub(super) fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// The id of a page's last row.
pub(super) fn last_id(rows: &[Row]) -> Option<String> {
    rows.last().map(|row| text(row, "id").to_owned())
}
