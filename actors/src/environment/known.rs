//! What an environment actor starts from, each time.

use std::sync::Arc;

use chrono::Utc;
use parking_lot::RwLock;

use super::log::InstallLog;
use super::sessions::{KEPT, MAX_KEPT};
use crate::mailer::Notices;
use crate::persistence::environments::EnvironmentView;
use crate::persistence::terminals::{self, TerminalSession};
use crate::persistence::vault::Vault;
use crate::persistence::{Persistence, ReadError};
use crate::runtime::Runtime;
use crate::user::{Events, Happening};

/// What Postgres last said of an environment. The actor keeps it here, outside of its own
/// state, so that it can be restarted while the database is away.
#[derive(Debug)]
pub struct Known {
    /// The environment with its template.
    pub view: EnvironmentView,
    /// Its live sessions.
    pub sessions: Vec<TerminalSession>,
    /// Those that ended a short while ago.
    pub ended: Vec<TerminalSession>,
}

impl Known {
    /// Reads what is known of the sessions of an environment.
    ///
    /// # Errors
    /// While the database is away.
    pub async fn read(persistence: &Persistence, view: EnvironmentView) -> Result<Self, ReadError> {
        let (pool, id) = (persistence.pool(), view.environment.id.as_str());
        // This order: one that ends in between is in both rather than in neither.
        let sessions = terminals::live(pool, id).await?;
        let ended = terminals::ended(pool, id, Utc::now() - KEPT, MAX_KEPT).await?;
        Ok(Self { view, sessions, ended })
    }
}

/// What an environment actor starts from.
#[derive(Clone)]
pub struct EnvironmentArgs {
    /// What Postgres last said.
    pub known: Arc<RwLock<Known>>,
    /// Where it runs.
    pub runtime: Arc<dyn Runtime>,
    /// Where changes are written.
    pub persistence: Persistence,
    /// Opens its variables.
    pub vault: Vault,
    /// The install log; those who follow it keep it over a restart of the actor.
    pub log: Arc<InstallLog>,
    /// Those who listen to what happens to what is the owner's.
    pub events: Events,
    /// Tells the owner by mail.
    pub notices: Notices,
}

impl EnvironmentArgs {
    /// Tells whoever listens.
    pub(super) fn tell(&self, what: Happening) {
        let known = self.known.read();
        let row = &known.view.environment;
        self.events.tell(&row.user_id, &row.id, what);
    }
}
