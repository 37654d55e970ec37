//! Accounts as those see and change them who look after the others.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{FromRow, PgConnection, PgPool, PgTransaction};

use super::Page;
use super::engine::late_sql::write_audit;
use super::engine::{AuditEntry, Write};
use super::error::{ReadError, WriteError};
use super::like::containing;
use super::lockout::forgive;
use super::tokens::revoke_user;
use super::users::User;
use super::words::{Plan, Role};

/// An account with what is known around it.
#[derive(Debug, Clone, FromRow)]
pub struct Account {
    /// The account.
    #[sqlx(flatten)]
    pub user: User,
    /// Environments that are not terminated.
    pub environments: i64,
    /// Sign-ins that have not ended.
    pub sign_ins: i64,
    /// Addresses from which sign-in is refused now, because of wrong passwords.
    pub locked_addresses: i64,
}

/// An [`Account`], with a condition and an order.
macro_rules! account {
    ($rest:literal) => {
        concat!(
            "SELECT u.*,
                    (SELECT count(*) FROM environments e
                     WHERE e.user_id = u.id AND e.status <> 'TERMINATED') AS environments,
                    (SELECT count(*) FROM user_sessions s
                     WHERE s.user_id = u.id AND s.revoked_at IS NULL
                       AND EXISTS (SELECT FROM refresh_tokens r WHERE r.session_id = s.id
                                   AND r.revoked_at IS NULL AND r.rotated_at IS NULL
                                   AND r.expires_at > now())) AS sign_ins,
                    (SELECT count(*) FROM sign_in_addresses a
                     WHERE a.account = u.id AND a.locked_until > now()) AS locked_addresses
             FROM users u ",
            $rest
        )
    };
}

/// Which accounts to list; `None` is any. Deleted ones are never listed: nothing is left in them.
#[derive(Debug, Clone, Default)]
pub struct AccountFilter {
    /// A part of the address, the user name or the person's name, in any case.
    pub search: Option<String>,
    /// With that role.
    pub role: Option<Role>,
    /// With that plan.
    pub plan: Option<Plan>,
    /// In use, or suspended.
    pub active: Option<bool>,
}

impl AccountFilter {
    /// The search as a pattern in which nothing is special.
    fn pattern(&self) -> Option<String> {
        self.search.as_deref().map(containing)
    }
}

/// A page of accounts, newest first; and how many there are in all.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn accounts(
    pool: &PgPool,
    filter: &AccountFilter,
    page: Page,
) -> Result<(Vec<Account>, i64), ReadError> {
    let pattern = filter.pattern();
    let rows = sqlx::query_as(account!(
        "WHERE ($1::text IS NULL OR u.email LIKE lower($1) OR u.username LIKE lower($1)
                OR u.full_name ILIKE $1)
           AND ($2::text IS NULL OR u.role = $2) AND ($3::text IS NULL OR u.subscription_plan = $3)
           AND ($4::boolean IS NULL OR u.is_active = $4) AND u.username <> 'deleted_' || u.id
         ORDER BY u.created_at DESC, u.id LIMIT $5 OFFSET $6"
    ))
    .bind(&pattern)
    .bind(filter.role)
    .bind(filter.plan)
    .bind(filter.active)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(pool)
    .await?;
    let total = sqlx::query_scalar(
        "SELECT count(*) FROM users u
         WHERE ($1::text IS NULL OR u.email LIKE lower($1) OR u.username LIKE lower($1)
                OR u.full_name ILIKE $1)
           AND ($2::text IS NULL OR u.role = $2) AND ($3::text IS NULL OR u.subscription_plan = $3)
           AND ($4::boolean IS NULL OR u.is_active = $4) AND u.username <> 'deleted_' || u.id",
    )
    .bind(&pattern)
    .bind(filter.role)
    .bind(filter.plan)
    .bind(filter.active)
    .fetch_one(pool)
    .await?;
    Ok((rows, total))
}

/// The account with that id, also a suspended or deleted one.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn account(pool: &PgPool, id: &str) -> Result<Option<Account>, ReadError> {
    Ok(sqlx::query_as(account!("WHERE u.id = $1")).bind(id).fetch_optional(pool).await?)
}

/// What is done to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// What they may administer.
    Role(Role),
    /// What they pay for.
    Plan(Plan),
    /// No sign-in any more; those there are end. Environments stay as they are.
    Suspend {
        /// Why, for the audit record.
        reason: Option<String>,
    },
    /// Undoes a suspension.
    Activate,
    /// Forgets wrong passwords, and opens what was locked because of them or by hand.
    Unlock,
}

impl Act {
    const fn name(&self) -> &'static str {
        match self {
            Self::Role(_) => "admin.user.role",
            Self::Plan(_) => "admin.user.plan",
            Self::Suspend { .. } => "admin.user.suspend",
            Self::Activate => "admin.user.activate",
            Self::Unlock => "admin.user.unlock",
        }
    }
}

/// Who does it.
#[derive(Debug, Clone)]
pub struct Administrator {
    /// Their id.
    pub id: String,
    /// Their user name, for the audit record.
    pub name: String,
    /// From where.
    pub ip: Option<String>,
}

/// Does something to an account, and says so in the audit record: both or neither.
///
/// `NotFound` when there is no such account; `Refused` when whoever does it is no administrator
/// any more, when nobody would be one afterwards, or when the account was deleted.
#[derive(Debug, Clone)]
pub struct Administer {
    /// Who.
    pub by: Administrator,
    /// To whom.
    pub user_id: String,
    /// What.
    pub act: Act,
}

impl Write for Administer {
    type Output = User;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<User, WriteError> {
        let administrators = lock_administrators(tx, &[&self.by.id, &self.user_id]).await?;
        if !administrators.contains(&self.by.id) {
            return Err(WriteError::Refused { why: "you are not an administrator any more" });
        }
        let before: User = sqlx::query_as("SELECT * FROM users WHERE id = $1")
            .bind(&self.user_id)
            .fetch_optional(&mut **tx)
            .await?
            .ok_or(WriteError::NotFound { what: "user" })?;
        if before.username == format!("deleted_{}", before.id) {
            return Err(WriteError::Refused { why: "the account was deleted by its owner" });
        }
        let takes_away = match &self.act {
            Act::Role(role) => *role != Role::Admin,
            Act::Suspend { .. } => true,
            Act::Plan(_) | Act::Activate | Act::Unlock => false,
        };
        if takes_away {
            keep_one(&administrators, &self.user_id)?;
        }
        let detail = match &self.act {
            Act::Role(role) => Some(json!({ "from": before.role, "to": role })),
            Act::Plan(plan) => Some(json!({ "from": before.subscription_plan, "to": plan })),
            Act::Suspend { reason } => reason.as_ref().map(|reason| json!({ "reason": reason })),
            Act::Activate | Act::Unlock => None,
        };
        let entry = AuditEntry {
            actor_id: Some(self.by.id),
            actor_name: Some(self.by.name),
            target_type: Some("user".into()),
            target_id: Some(self.user_id.clone()),
            ip: self.by.ip,
            detail,
            ..AuditEntry::now(self.act.name())
        };
        let after = change(tx, &self.user_id, &self.act).await?;
        write_audit(tx, &[&entry]).await?;
        Ok(after)
    }
}

async fn change(tx: &mut PgConnection, user_id: &str, act: &Act) -> Result<User, WriteError> {
    let (role, plan, active) = match act {
        Act::Role(role) => (Some(*role), None, None),
        Act::Plan(plan) => (None, Some(*plan), None),
        Act::Suspend { .. } => (None, None, Some(false)),
        Act::Activate => (None, None, Some(true)),
        Act::Unlock => (None, None, None),
    };
    let user = sqlx::query_as(
        "UPDATE users
         SET role = COALESCE($2, role), subscription_plan = COALESCE($3, subscription_plan),
             is_active = COALESCE($4, is_active),
             failed_login_attempts = CASE WHEN $5 THEN 0 ELSE failed_login_attempts END,
             account_locked_until = CASE WHEN $5 THEN NULL ELSE account_locked_until END,
             updated_at = now()
         WHERE id = $1 RETURNING *",
    )
    .bind(user_id)
    .bind(role)
    .bind(plan)
    .bind(active)
    .bind(*act == Act::Unlock)
    .fetch_one(&mut *tx)
    .await?;
    match act {
        Act::Suspend { .. } => {
            revoke_user(tx, user_id, None).await?;
        }
        Act::Unlock => forgive(tx, user_id).await?,
        Act::Role(_) | Act::Plan(_) | Act::Activate => {}
    }
    Ok(user)
}

/// Locks the rows of all active administrators and of these accounts, in the order of ids.
/// Returns the administrators' ids. Whoever takes the role away from one holds these locks, so of
/// two at once the second sees what the first did.
async fn lock_administrators(tx: &mut PgConnection, more: &[&str]) -> Result<Vec<String>, WriteError> {
    let locked: Vec<(String, bool)> = sqlx::query_as(
        "SELECT id, role = 'ADMIN' AND is_active FROM users
         WHERE (role = 'ADMIN' AND is_active) OR id = ANY($1) ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(more)
    .fetch_all(tx)
    .await?;
    Ok(locked.into_iter().filter_map(|(id, is_administrator)| is_administrator.then_some(id)).collect())
}

/// Somebody must be able to look after the others.
fn keep_one(administrators: &[String], leaving: &str) -> Result<(), WriteError> {
    if administrators == [leaving] {
        return Err(WriteError::Refused {
            why: "this is the last administrator; make somebody else one first",
        });
    }
    Ok(())
}

/// Refuses to let the last active administrator go. The rows stay locked until the transaction
/// ends.
pub(super) async fn check_not_last(tx: &mut PgConnection, user_id: &str) -> Result<(), WriteError> {
    let administrators = lock_administrators(tx, &[user_id]).await?;
    keep_one(&administrators, user_id)
}

impl Account {
    /// Until when a lock that was set by hand lasts.
    #[must_use]
    pub fn locked_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.user.account_locked_until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_administrator_stays() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert!(keep_one(&ids(&["a"]), "a").is_err());
        assert!(keep_one(&ids(&["a"]), "b").is_ok());
        assert!(keep_one(&ids(&["a", "b"]), "a").is_ok());
    }
}
