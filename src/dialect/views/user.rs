//! Accounts and their tokens.

use std::collections::BTreeMap;

use devpocket_actors::persistence::users;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::view::{spelled, with};
use super::{PlanWord, RoleWord, Timestamp, View};
use crate::auth::tokens::Pair;

/// An account, as its owner sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Its id.
    pub id: String,
    /// In lower case.
    pub email: String,
    /// In lower case.
    pub username: String,
    /// The person's name.
    pub full_name: String,
    /// Whether it may be used.
    pub is_active: bool,
    /// Whether the address was proved.
    pub is_verified: bool,
    /// A picture.
    pub avatar_url: Option<String>,
    /// Where new environments go, if there is room and nothing else is asked for.
    #[schema(example = "southeast-asia")]
    pub preferred_region: Option<String>,
    /// What is paid for.
    pub subscription_plan: PlanWord,
    /// What may be administered.
    pub role: RoleWord,
    /// When it was made.
    pub created_at: Timestamp,
    /// The last sign-in.
    pub last_login_at: Option<Timestamp>,
}

impl From<&users::User> for User {
    fn from(user: &users::User) -> Self {
        Self {
            id: user.id.clone(),
            email: user.email.clone(),
            username: user.username.clone(),
            full_name: user.full_name.clone(),
            is_active: user.is_active,
            is_verified: user.is_verified,
            avatar_url: user.avatar_url.clone(),
            preferred_region: user.preferred_region.clone(),
            subscription_plan: user.subscription_plan.into(),
            role: user.role.into(),
            created_at: user.created_at.into(),
            last_login_at: user.last_login_at.map(Timestamp),
        }
    }
}

impl View for User {
    fn snake(&self) -> Value {
        with(spelled(self), json!({ "last_login": self.last_login_at }))
    }
}

/// An account with the number of its environments.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserWithCount {
    /// The account.
    #[serde(flatten)]
    pub user: User,
    /// Environments that are not terminated.
    pub environment_count: i64,
}

/// The same, in an envelope.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Profile {
    /// The account.
    pub user: UserWithCount,
}

impl View for Profile {
    fn snake(&self) -> Value {
        let user = with(self.user.user.snake(), json!({ "environment_count": self.user.environment_count }));
        json!({ "user": user })
    }
}

/// New tokens.
#[derive(Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// For requests: `Authorization: Bearer …`.
    pub access_token: String,
    /// For the next pair, once.
    pub refresh_token: String,
    /// `bearer`.
    #[schema(example = "bearer")]
    pub token_type: &'static str,
    /// Life of the access token in seconds.
    #[schema(example = 3600)]
    pub expires_in: u64,
}

impl From<Pair> for Tokens {
    fn from(pair: Pair) -> Self {
        Self {
            access_token: pair.access,
            refresh_token: pair.refresh,
            token_type: "bearer",
            expires_in: pair.access_life.as_secs(),
        }
    }
}

impl View for Tokens {}

/// New tokens and whose they are.
#[derive(Clone, Serialize, ToSchema)]
pub struct SignedIn {
    /// The tokens.
    #[serde(flatten)]
    pub tokens: Tokens,
    /// Whose.
    pub user: User,
}

impl View for SignedIn {
    fn snake(&self) -> Value {
        with(self.tokens.snake(), json!({ "user": self.user.snake() }))
    }
}

/// A new account, signed in.
#[derive(Clone, Serialize, ToSchema)]
pub struct Registered {
    /// The account.
    #[serde(flatten)]
    pub user: User,
    /// Its tokens.
    #[serde(flatten)]
    pub tokens: Tokens,
    /// What to do next.
    pub message: &'static str,
}

impl View for Registered {
    fn snake(&self) -> Value {
        with(with(self.user.snake(), self.tokens.snake()), json!({ "message": self.message }))
    }
}

/// What somebody has and did.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Environments that are not terminated.
    pub total_environments: i64,
    /// Sign-ins that have not ended.
    pub active_tokens: usize,
    /// The environments by their status.
    pub environments_by_status: BTreeMap<&'static str, i64>,
    /// What was done lately.
    pub recent_activity: RecentActivity,
}

/// What somebody did lately.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecentActivity {
    /// Environments made within a week.
    pub environments_created_last7_days: i64,
    /// Environments made within 30 days.
    pub environments_created_last30_days: i64,
    /// Environments used within a week.
    pub environments_active_last_week: i64,
}

impl View for Stats {}
