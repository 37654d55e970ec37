//! Accounts, as those see them who look after the others. No existing client reads them, so lists
//! have their envelope in both dialects.

use chrono::Utc;
use devpocket_actors::persistence::administration;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::view::{bare, spelled, with};
use super::{Pagination, Timestamp, User, View};

/// An account, with what is known around it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    #[serde(flatten)]
    user: User,
    #[serde(flatten)]
    more: Around,
}

/// What is known around an account.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Around {
    /// Whether it can be entered through Google.
    pub google_linked: bool,
    /// Whether it has a password.
    pub has_password: bool,
    /// When the address was proved.
    pub email_verified_at: Option<Timestamp>,
    /// When its owner was last here.
    pub last_seen_at: Option<Timestamp>,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Until when it is locked as a whole, if somebody did that.
    pub locked_until: Option<Timestamp>,
    /// Addresses from which nobody signs in now, because of wrong passwords.
    pub locked_addresses: i64,
    /// Environments that are not terminated.
    pub environment_count: i64,
    /// Sign-ins that have not ended.
    pub session_count: i64,
}

impl From<&administration::Account> for Account {
    fn from(account: &administration::Account) -> Self {
        let row = &account.user;
        Self {
            user: row.into(),
            more: Around {
                google_linked: row.google_id.is_some(),
                has_password: row.password.is_some(),
                email_verified_at: row.email_verified_at.map(Timestamp),
                last_seen_at: row.last_seen_at.map(Timestamp),
                updated_at: row.updated_at.into(),
                locked_until: account.locked_until(Utc::now()).map(Timestamp),
                locked_addresses: account.locked_addresses,
                environment_count: account.environments,
                session_count: account.sign_ins,
            },
        }
    }
}

impl View for Account {
    fn snake(&self) -> Value {
        with(self.user.snake(), spelled(&self.more))
    }
}

/// A page of accounts.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AccountList {
    /// The newest first.
    pub users: Vec<Account>,
    /// Where the page lies.
    pub pagination: Pagination,
}

impl View for AccountList {
    fn snake(&self) -> Value {
        json!({ "users": bare(&self.users), "pagination": spelled(&self.pagination) })
    }
}
