//! Mails on their way, and those that did not arrive.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool, PgTransaction};

use super::engine::Write;
use super::error::{ReadError, WriteError};
use super::secrets::Hidden;

/// Mails that may wait; beyond it the oldest go.
pub const MAX_WAITING: i64 = 10_000;
/// Dead ones that are kept; beyond it the oldest go.
pub const MAX_DEAD: i64 = 1_000;
/// How long dead ones are kept, in days.
pub const KEEP_DEAD_DAYS: i32 = 30;

/// A mail as it is stored.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "the columns are described in migrations/0007_mail.sql")]
pub struct StoredMail {
    pub id: String,
    pub kind: String,
    pub content: Hidden,
    pub attempts: i32,
    pub last_error: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What a mail's content is sealed for.
pub(crate) fn place(id: &str) -> String {
    format!("outgoing_mails/{id}/content")
}

/// How long until the next mail is due, if one waits; by the database's clock, as all times here.
///
/// # Errors
/// `Unavailable` while the database is away.
pub(crate) async fn next_due(pool: &PgPool) -> Result<Option<Duration>, ReadError> {
    let query = "SELECT EXTRACT(EPOCH FROM min(due_at) - now())::float8 FROM outgoing_mails
                 WHERE state = 'WAITING'";
    let seconds: Option<f64> = sqlx::query_scalar(query).fetch_one(pool).await?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}

/// The mails that did not arrive, the newest first; at most [`MAX_DEAD`].
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn dead(pool: &PgPool) -> Result<Vec<StoredMail>, ReadError> {
    let query = "SELECT * FROM outgoing_mails WHERE state = 'DEAD' ORDER BY updated_at DESC, id LIMIT $1";
    Ok(sqlx::query_as(query).bind(MAX_DEAD).fetch_all(pool).await?)
}

/// Stores a mail to be sent. One that is there already is left alone.
#[derive(Debug, Clone)]
pub struct StoreMail {
    /// Its id; its content is sealed for it.
    pub id: String,
    /// What it is for.
    pub kind: String,
    /// What [`crate::mailer::Mail`] holds, sealed.
    pub content: Hidden,
}

impl Write for StoreMail {
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        sqlx::query(
            "INSERT INTO outgoing_mails (id, kind, content) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
        )
        .bind(self.id)
        .bind(self.kind)
        .bind(self.content)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// A write, and the mail that tells of it: both or none.
#[derive(Debug, Clone)]
pub struct Mailed<W> {
    /// What is written.
    pub write: W,
    /// What is told.
    pub mail: StoreMail,
}

impl<W: Write> Write for Mailed<W> {
    type Output = W::Output;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<W::Output, WriteError> {
        let output = self.write.apply(tx).await?;
        self.mail.apply(tx).await?;
        Ok(output)
    }
}

/// Takes mails that are due, for an attempt that ends within the lease.
#[derive(Debug, Clone)]
pub(crate) struct TakeDue {
    /// The most of them.
    pub(crate) limit: usize,
    /// After this they are due again, for whoever comes first.
    pub(crate) lease: Duration,
}

impl Write for TakeDue {
    type Output = Vec<StoredMail>;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Self::Output, WriteError> {
        // Counted before it is tried: a mail that kills its sender is given up too.
        Ok(sqlx::query_as(
            "UPDATE outgoing_mails SET due_at = now() + make_interval(secs => $2), attempts = attempts + 1, updated_at = now()
             WHERE id IN (SELECT id FROM outgoing_mails WHERE state = 'WAITING' AND due_at <= now()
                          ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
             RETURNING *",
        )
        .bind(i64::try_from(self.limit).unwrap_or(i64::MAX))
        .bind(self.lease.as_secs_f64())
        .fetch_all(&mut **tx)
        .await?)
    }
}

/// It is sent.
#[derive(Debug, Clone)]
pub(crate) struct MailSent {
    pub(crate) id: String,
}

impl Write for MailSent {
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        sqlx::query("DELETE FROM outgoing_mails WHERE id = $1").bind(self.id).execute(&mut **tx).await?;
        Ok(())
    }
}

/// It could not be sent.
#[derive(Debug, Clone)]
pub(crate) struct MailFailed {
    pub(crate) id: String,
    pub(crate) error: String,
    /// When it is tried again; `None`: never.
    pub(crate) again_in: Option<Duration>,
}

impl Write for MailFailed {
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        sqlx::query(
            "UPDATE outgoing_mails
             SET state = CASE WHEN $3::float8 IS NULL THEN 'DEAD' ELSE 'WAITING' END,
                 due_at = COALESCE(now() + make_interval(secs => $3), due_at), last_error = $2, updated_at = now()
             WHERE id = $1",
        )
        .bind(self.id)
        .bind(self.error)
        .bind(self.again_in.map(|pause| pause.as_secs_f64()))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// Has dead mails tried again, from the beginning: one, or all. Gives how many.
#[derive(Debug, Clone)]
pub struct RetryDead {
    /// Which; `None`: all.
    pub id: Option<String>,
}

impl Write for RetryDead {
    type Output = u64;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<u64, WriteError> {
        let woken = sqlx::query(
            "UPDATE outgoing_mails SET state = 'WAITING', attempts = 0, due_at = now(), updated_at = now()
             WHERE state = 'DEAD' AND ($1::text IS NULL OR id = $1)",
        )
        .bind(self.id)
        .execute(&mut **tx)
        .await?;
        Ok(woken.rows_affected())
    }
}

/// Keeps the table within its bounds. Gives how many waiting ones had to go.
#[derive(Debug, Clone)]
pub(crate) struct TidyMails;

impl Write for TidyMails {
    type Output = u64;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<u64, WriteError> {
        sqlx::query(
            "DELETE FROM outgoing_mails WHERE state = 'DEAD'
             AND (updated_at < now() - make_interval(days => $1) OR id IN (SELECT id FROM outgoing_mails WHERE state = 'DEAD'
                                            ORDER BY updated_at DESC, id OFFSET $2))",
        )
        .bind(KEEP_DEAD_DAYS)
        .bind(MAX_DEAD)
        .execute(&mut **tx)
        .await?;
        let dropped = sqlx::query(
            "DELETE FROM outgoing_mails
             WHERE id IN (SELECT id FROM outgoing_mails WHERE state = 'WAITING'
                          ORDER BY created_at DESC, id OFFSET $1)",
        )
        .bind(MAX_WAITING)
        .execute(&mut **tx)
        .await?;
        Ok(dropped.rows_affected())
    }
}
