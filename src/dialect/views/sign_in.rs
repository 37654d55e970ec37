//! Sign-ins on devices. No existing client reads them, so the list has its envelope in both
//! dialects.

use devpocket_actors::persistence::tokens::UserSession;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::view::bare;
use super::{Timestamp, View};
use crate::auth::devices;

/// A sign-in on one device.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignIn {
    /// By which it is ended.
    pub id: String,
    /// What the device calls itself, or what it seems to be.
    #[schema(example = "Chrome on Android")]
    pub device_name: String,
    /// What its program said it was.
    pub user_agent: Option<String>,
    /// From where the sign-in came.
    pub address: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Timestamp,
    /// Whether it is the one that asks.
    pub current: bool,
}

impl SignIn {
    /// As it is stored.
    #[must_use]
    pub fn new(row: &UserSession, current: bool) -> Self {
        Self {
            id: row.id.clone(),
            device_name: row.device.clone().unwrap_or_else(|| devices::guess(row.user_agent.as_deref())),
            user_agent: row.user_agent.clone(),
            address: row.ip.clone(),
            created_at: row.created_at.into(),
            last_used_at: row.last_seen_at.into(),
            current,
        }
    }
}

impl View for SignIn {}

/// Sign-ins that have not ended.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SignInList {
    /// The last used first.
    pub sessions: Vec<SignIn>,
}

impl View for SignInList {
    fn snake(&self) -> Value {
        json!({ "sessions": bare(&self.sessions) })
    }
}
