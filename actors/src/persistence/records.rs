//! Logs and measurements: read here, written late by the engine. Lines of the audit record that go
//! with a durable write; [`super::audit`] reads them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgPool, PgTransaction};

use super::engine::late_sql::write_audit;
use super::engine::{AuditEntry, Write};
use super::error::{ReadError, WriteError};
use super::words::LogLevel;

/// Most log lines given at once.
pub const MAX_LOG_LINES: u32 = 1_000;

/// A line about an environment.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "the columns are described in migrations/0003_records.sql")]
pub struct StoredLogLine {
    pub id: String,
    pub level: LogLevel,
    pub message: String,
    pub source: String,
    pub metadata: Option<Value>,
    pub timestamp: DateTime<Utc>,
}

/// The newest lines about an environment, oldest of them first.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn recent_logs(
    pool: &PgPool,
    environment_id: &str,
    since: Option<DateTime<Utc>>,
    lines: u32,
) -> Result<Vec<StoredLogLine>, ReadError> {
    let mut rows: Vec<StoredLogLine> = sqlx::query_as(
        "SELECT id, level, message, source, metadata, timestamp FROM environment_logs
         WHERE environment_id = $1 AND ($2::timestamptz IS NULL OR timestamp > $2)
         ORDER BY timestamp DESC, ordinal DESC LIMIT $3",
    )
    .bind(environment_id)
    .bind(since)
    .bind(i64::from(lines.clamp(1, MAX_LOG_LINES)))
    .fetch_all(pool)
    .await?;
    rows.reverse();
    Ok(rows)
}

/// A measurement.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "the columns are described in migrations/0003_records.sql")]
pub struct StoredMetric {
    pub cpu_usage: f64,
    pub memory_usage: f64,
    pub storage_usage: f64,
    pub network_rx: i64,
    pub network_tx: i64,
    pub timestamp: DateTime<Utc>,
}

/// The newest measurements since then, newest first.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn metrics(
    pool: &PgPool,
    environment_id: &str,
    since: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<StoredMetric>, ReadError> {
    Ok(sqlx::query_as(
        "SELECT cpu_usage, memory_usage, storage_usage, network_rx, network_tx, timestamp
         FROM environment_metrics WHERE environment_id = $1 AND timestamp > $2
         ORDER BY timestamp DESC LIMIT $3",
    )
    .bind(environment_id)
    .bind(since)
    .bind(i64::from(limit.clamp(1, MAX_LOG_LINES)))
    .fetch_all(pool)
    .await?)
}

/// An audit line that must be there before anything else happens: the acts of administrators.
#[derive(Debug, Clone)]
pub struct WriteAudit {
    /// The line.
    pub entry: AuditEntry,
}

impl Write for WriteAudit {
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        write_audit(tx, &[&self.entry]).await
    }
}

/// A write with its line of the audit record: both are done or neither.
#[derive(Debug, Clone)]
pub struct Audited<W> {
    /// What is done.
    pub write: W,
    /// The line about it.
    pub entry: AuditEntry,
}

impl<W: Write> Write for Audited<W> {
    type Output = W::Output;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<W::Output, WriteError> {
        let output = self.write.apply(tx).await?;
        write_audit(tx, &[&self.entry]).await?;
        Ok(output)
    }
}

/// Removes logs and measurements older than that. The audit record is never shortened here.
/// Returns how many rows went. At most [`SWEEP_ROWS`] of each go at once, so that the
/// transaction stays short: call it again while it returns much.
#[derive(Debug, Clone)]
pub struct SweepRecords {
    /// Age from which they go.
    pub older_than: Duration,
}

/// Rows of a table removed in one transaction.
pub const SWEEP_ROWS: i64 = 5_000;

impl Write for SweepRecords {
    type Output = u64;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<u64, WriteError> {
        let before = Utc::now() - TimeDelta::from_std(self.older_than).unwrap_or(TimeDelta::days(365));
        let mut gone = 0;
        for statement in [
            "DELETE FROM environment_logs WHERE id IN
                 (SELECT id FROM environment_logs WHERE timestamp < $1 LIMIT $2)",
            "DELETE FROM environment_metrics WHERE id IN
                 (SELECT id FROM environment_metrics WHERE timestamp < $1 LIMIT $2)",
        ] {
            gone += sqlx::query(statement)
                .bind(before)
                .bind(SWEEP_ROWS)
                .execute(&mut **tx)
                .await?
                .rows_affected();
        }
        Ok(gone)
    }
}
