//! The SQL behind late writes. Every statement can be repeated: rows bring their ids, times
//! only move forward.

use sqlx::{PgConnection, PgPool};

use super::late::{AuditEntry, Batch, LogLine, Metric, Row, Touch};
use crate::persistence::error::WriteError;

/// Writes the batch in one transaction.
pub(super) async fn write(pool: &PgPool, batch: &Batch) -> Result<(), WriteError> {
    let mut tx = pool.begin().await?;
    touch(&mut tx, batch).await?;
    let (mut logs, mut metrics, mut audit) = (Vec::new(), Vec::new(), Vec::new());
    for row in &batch.rows {
        match row {
            Row::Log(line) => logs.push(line),
            Row::Metric(metric) => metrics.push(metric),
            Row::Audit(entry) => audit.push(entry),
        }
    }
    if !metrics.is_empty() {
        write_metrics(&mut tx, &metrics).await?;
    }
    if !logs.is_empty() {
        write_logs(&mut tx, &logs).await?;
    }
    if !audit.is_empty() {
        write_audit(&mut tx, &audit).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Writes the batch piece by piece, because as a whole it was refused for good. Returns how
/// many items were given up: one bad row must not hold up, or take along, all others.
pub(super) async fn write_salvaging(pool: &PgPool, batch: &Batch) -> Result<u64, WriteError> {
    let mut refused = 0;
    let singles = batch
        .touches
        .iter()
        .map(|touch| Batch { touches: vec![touch.clone()], rows: Vec::new() })
        .chain(batch.rows.iter().map(|row| Batch { touches: Vec::new(), rows: vec![row.clone()] }));
    for single in singles {
        match write(pool, &single).await {
            Ok(()) => {}
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "a late write was refused");
                refused += 1;
            }
        }
    }
    Ok(refused)
}

/// Moves the "last used" times. The inner SELECT takes the row locks in the order of ids.
async fn touch(tx: &mut PgConnection, batch: &Batch) -> Result<(), WriteError> {
    type Pick = fn(&Touch) -> Option<&String>;
    let kinds: [(Pick, &'static str); 4] = [
        (
            |touch| {
                if let Touch::User(id) = touch { Some(id) } else { None }
            },
            "UPDATE users u SET last_seen_at = i.at
             FROM (SELECT u.id, n.at FROM UNNEST($1::text[], $2::timestamptz[]) AS n (id, at)
                   JOIN users u ON u.id = n.id ORDER BY u.id FOR NO KEY UPDATE OF u) i
             WHERE u.id = i.id AND (u.last_seen_at IS NULL OR u.last_seen_at < i.at)",
        ),
        (
            |touch| {
                if let Touch::UserSession(id) = touch { Some(id) } else { None }
            },
            "UPDATE user_sessions s SET last_seen_at = i.at
             FROM (SELECT s.id, n.at FROM UNNEST($1::text[], $2::timestamptz[]) AS n (id, at)
                   JOIN user_sessions s ON s.id = n.id ORDER BY s.id FOR NO KEY UPDATE OF s) i
             WHERE s.id = i.id AND s.last_seen_at < i.at",
        ),
        (
            |touch| {
                if let Touch::Environment(id) = touch { Some(id) } else { None }
            },
            "UPDATE environments e SET last_activity_at = i.at
             FROM (SELECT e.id, n.at FROM UNNEST($1::text[], $2::timestamptz[]) AS n (id, at)
                   JOIN environments e ON e.id = n.id ORDER BY e.id FOR NO KEY UPDATE OF e) i
             WHERE e.id = i.id AND (e.last_activity_at IS NULL OR e.last_activity_at < i.at)",
        ),
        (
            |touch| {
                if let Touch::Terminal(id) = touch { Some(id) } else { None }
            },
            "UPDATE terminal_sessions t SET last_activity_at = i.at
             FROM (SELECT t.id, n.at FROM UNNEST($1::text[], $2::timestamptz[]) AS n (id, at)
                   JOIN terminal_sessions t ON t.id = n.id ORDER BY t.id FOR NO KEY UPDATE OF t) i
             WHERE t.id = i.id AND (t.last_activity_at IS NULL OR t.last_activity_at < i.at)",
        ),
    ];
    for (pick, statement) in kinds {
        let (ids, times): (Vec<&String>, Vec<_>) =
            batch.touches.iter().filter_map(|(touch, at)| pick(touch).map(|id| (id, *at))).unzip();
        if !ids.is_empty() {
            sqlx::query(statement).bind(ids).bind(times).execute(&mut *tx).await?;
        }
    }
    Ok(())
}

/// Joined with the environments, as a line about one that was removed meanwhile has no place
/// to go and must not stop the others. Ordered, so that lines of one instant keep their order.
async fn write_logs(tx: &mut PgConnection, lines: &[&LogLine]) -> Result<(), WriteError> {
    sqlx::query(
        "INSERT INTO environment_logs (id, environment_id, level, message, source, metadata, timestamp)
         SELECT n.id, n.environment_id, n.level, n.message, n.source, n.metadata::jsonb, n.timestamp
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                     $7::timestamptz[]) WITH ORDINALITY
              AS n (id, environment_id, level, message, source, metadata, timestamp, place)
         JOIN environments e ON e.id = n.environment_id
         ORDER BY n.place
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(column(lines, |l| l.id.as_str()))
    .bind(column(lines, |l| l.environment_id.as_str()))
    .bind(column(lines, |l| l.level.as_str()))
    .bind(column(lines, |l| l.message.as_str()))
    .bind(column(lines, |l| l.source.as_str()))
    .bind(column(lines, |l| l.metadata.as_ref().map(ToString::to_string)))
    .bind(column(lines, |l| l.timestamp))
    .execute(tx)
    .await?;
    Ok(())
}

/// The history, and the current values beside the environment.
async fn write_metrics(tx: &mut PgConnection, metrics: &[&Metric]) -> Result<(), WriteError> {
    sqlx::query(
        "WITH n AS (
             SELECT n.* FROM UNNEST($1::text[], $2::text[], $3::float8[], $4::float8[], $5::float8[],
                                    $6::bigint[], $7::bigint[], $8::timestamptz[])
                 AS n (id, environment_id, cpu, memory, storage, rx, tx, timestamp)
         ), locked AS (
             SELECT e.id FROM environments e WHERE e.id IN (SELECT environment_id FROM n)
             ORDER BY e.id FOR NO KEY UPDATE
         ), latest AS (
             SELECT DISTINCT ON (environment_id) n.* FROM n ORDER BY environment_id, timestamp DESC
         ), current_values AS (
             UPDATE environments e
             SET cpu_usage = latest.cpu, memory_usage = latest.memory, storage_usage = latest.storage
             FROM latest JOIN locked ON locked.id = latest.environment_id WHERE e.id = locked.id
         )
         INSERT INTO environment_metrics
             (id, environment_id, cpu_usage, memory_usage, storage_usage, network_rx, network_tx, timestamp)
         SELECT n.id, n.environment_id, n.cpu, n.memory, n.storage, n.rx, n.tx, n.timestamp
         FROM n JOIN locked ON locked.id = n.environment_id
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(column(metrics, |m| m.id.as_str()))
    .bind(column(metrics, |m| m.environment_id.as_str()))
    .bind(column(metrics, |m| m.cpu_usage))
    .bind(column(metrics, |m| m.memory_usage))
    .bind(column(metrics, |m| m.storage_usage))
    .bind(column(metrics, |m| m.network_rx))
    .bind(column(metrics, |m| m.network_tx))
    .bind(column(metrics, |m| m.timestamp))
    .execute(tx)
    .await?;
    Ok(())
}

/// Also used by the durable variant.
pub(in crate::persistence) async fn write_audit(
    tx: &mut PgConnection,
    entries: &[&AuditEntry],
) -> Result<(), WriteError> {
    sqlx::query(
        "INSERT INTO audit_log
             (id, actor_id, actor_name, action, target_type, target_id, ip, detail, timestamp)
         SELECT n.id, n.actor_id, n.actor_name, n.action, n.target_type, n.target_id, n.ip,
                n.detail::jsonb, n.timestamp
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                     $7::text[], $8::text[], $9::timestamptz[]) WITH ORDINALITY
              AS n (id, actor_id, actor_name, action, target_type, target_id, ip, detail, timestamp, place)
         ORDER BY n.place
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(column(entries, |a| a.id.as_str()))
    .bind(column(entries, |a| a.actor_id.as_deref()))
    .bind(column(entries, |a| a.actor_name.as_deref()))
    .bind(column(entries, |a| a.action.as_str()))
    .bind(column(entries, |a| a.target_type.as_deref()))
    .bind(column(entries, |a| a.target_id.as_deref()))
    .bind(column(entries, |a| a.ip.as_deref()))
    .bind(column(entries, |a| a.detail.as_ref().map(ToString::to_string)))
    .bind(column(entries, |a| a.timestamp))
    .execute(tx)
    .await?;
    Ok(())
}

/// One column of rows that are sent column by column.
fn column<'a, R, T>(rows: &[&'a R], of: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(|row| of(row)).collect()
}
