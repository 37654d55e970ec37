//! What happens to what is somebody's, as messages for clients.
//!
//! A [`Feed`] begins with the state, tells what changes, and tells the state again when
//! changes were missed: whoever follows it never shows anything that is not so. The streams
//! ([`crate::ws`], `GET /api/v1/events`) carry it; terminal and logs sockets of the JSON dialect
//! pass [`messages`] on beside their own.

use std::collections::VecDeque;
use std::time::Duration;

use devpocket_actors::environment::{bytes_text, cpu_text};
use devpocket_actors::persistence::environments::{self, EnvironmentFilter, EnvironmentView};
use devpocket_actors::persistence::{EnvironmentStatus, MAX_PAGE, Page, ReadError};
use devpocket_actors::user::{Admission, Happening, Listener, Missed, UserEvent};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::app::App;
use crate::auth::{Principal, is_still_valid};
use crate::dialect::views::Timestamp;
use crate::dialect::{Dialect, spelling};

/// The pause before the state is read again, after the database was away.
const READ_PAUSE: Duration = Duration::from_secs(1);

/// How often a socket or a stream looks whether its listener may stay.
pub const CHECK_EVERY: Duration = Duration::from_secs(3);

/// Everything that happens to one person's environments.
pub struct Feed {
    app: App,
    principal: Principal,
    dialect: Dialect,
    listener: Listener,
    ready: VecDeque<Value>,
    /// What is to be read and told: kept here, so that [`Feed::next`] can be cancelled.
    due: Due,
    _admission: Admission,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    Quota,
    /// All of the state, under this type.
    State(&'static str),
}

impl Feed {
    /// Begins to listen. `None`: the person has as many streams as may be.
    #[must_use]
    pub fn open(app: &App, principal: &Principal, dialect: Dialect) -> Option<Self> {
        // Before the state is read: what happens meanwhile is told after it.
        let (listener, admission) = app.system().listen(&principal.user_id)?;
        Some(Self {
            app: app.clone(),
            principal: principal.clone(),
            dialect,
            listener,
            ready: VecDeque::new(),
            due: Due::State("welcome"),
            _admission: admission,
        })
    }

    /// Whether its listener may stay.
    pub async fn may_stay(&self) -> bool {
        is_still_valid(&self.app, &self.principal).await
    }

    /// The next message. Cancel-safe.
    pub async fn next(&mut self) -> Value {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return message;
            }
            let read = match self.due {
                Due::Nothing => {
                    self.hear().await;
                    continue;
                }
                Due::Quota => self.quota().await.map(|quota| json!({ "type": "quota", "quota": quota })),
                Due::State(kind) => self.state(kind).await,
            };
            match read {
                Ok(message) => {
                    self.due = Due::Nothing;
                    self.ready.push_back(message);
                }
                Err(error) => {
                    tracing::debug!(%error, "a stream of events waits for the database");
                    sleep(READ_PAUSE).await;
                }
            }
        }
    }

    async fn hear(&mut self) {
        match self.listener.next().await {
            Ok(event) => {
                if let Happening::Status { status, .. } = event.what
                    && matches!(status, EnvironmentStatus::Creating | EnvironmentStatus::Terminated)
                {
                    self.due = Due::Quota;
                }
                self.ready.extend(messages(&event, self.dialect));
            }
            Err(Missed(_)) => self.due = Due::State("resync"),
        }
    }

    async fn quota(&self) -> Result<Value, ReadError> {
        let pool = self.app.system().persistence().pool();
        let used = environments::count_live(pool, &self.principal.user_id).await?;
        let allowance = self.app.config().limits.plans.of(self.principal.plan);
        let each = json!({
            "cpu": cpu_text(allowance.each.cpu_millis),
            "memory": bytes_text(allowance.each.memory_bytes),
            "storage": bytes_text(allowance.each.storage_bytes),
        });
        Ok(json!({ "environments": used, "limit": allowance.environments, "each": each }))
    }

    async fn state(&self, kind: &str) -> Result<Value, ReadError> {
        let filter = EnvironmentFilter {
            user_id: Some(self.principal.user_id.clone()),
            ..EnvironmentFilter::default()
        };
        let page = Page { limit: MAX_PAGE, offset: 0 };
        let (rows, _) = environments::list(self.app.system().persistence().pool(), &filter, page).await?;
        let environments: Vec<Value> = rows.iter().map(|row| brief(row, self.dialect)).collect();
        Ok(json!({
            "type": kind,
            "message": "Connected to the events",
            "environments": environments,
            "quota": self.quota().await?,
            "timestamp": Timestamp::now(),
        }))
    }
}

/// What a stream tells of an environment.
fn brief(view: &EnvironmentView, dialect: Dialect) -> Value {
    let row = &view.environment;
    json!({
        "id": row.id,
        "name": row.name,
        "status": status(row.status, dialect),
        "phase": word(row.status, dialect),
        "reason": row.status_reason,
    })
}

fn status(status: EnvironmentStatus, dialect: Dialect) -> String {
    match dialect {
        Dialect::Camel => status.as_str().to_owned(),
        Dialect::Snake => spelling::status(status.as_str()),
    }
}

fn word(status: EnvironmentStatus, dialect: Dialect) -> String {
    match dialect {
        Dialect::Camel => status.as_str().to_owned(),
        Dialect::Snake => status.as_str().to_ascii_lowercase(),
    }
}

/// What clients are told of an event. Keys are as existing clients know them from sockets;
/// words are in the dialect.
#[must_use]
pub fn messages(event: &UserEvent, dialect: Dialect) -> Vec<Value> {
    let message = |kind: &str, more: Value| {
        let mut message = json!({
            "type": kind,
            "environment_id": event.environment,
            "environmentId": event.environment,
            "timestamp": Timestamp(event.at),
        });
        if let (Value::Object(message), Value::Object(more)) = (&mut message, more) {
            message.extend(more);
        }
        message
    };
    match &event.what {
        Happening::Status { status: now, reason } => {
            let changed = json!({
                "status": status(*now, dialect),
                "phase": word(*now, dialect),
                "reason": reason,
                "progress": reason.as_deref().unwrap_or_default(),
            });
            // Clients that follow an installation know the exact words in small letters.
            let step = json!({
                "status": now.as_str().to_ascii_lowercase(),
                "message": reason.as_deref().unwrap_or_default(),
            });
            vec![message("environment_status", changed), message("installation_status", step)]
        }
        Happening::Progress { line } => vec![message("installation_log", json!({ "data": line }))],
        Happening::Installed { failed_commands } => {
            let mut all = Vec::new();
            if *failed_commands > 0 {
                let warning = format!("{failed_commands} of the commands failed; the log says why");
                let warning = json!({ "warning": warning, "is_critical": false });
                all.push(message("installation_warning", warning));
            }
            let done = json!({ "status": "running", "failed_commands": failed_commands });
            all.push(message("installation_complete", done));
            all
        }
        Happening::SessionBegan { session, name } => {
            vec![message("session", json!({ "session_id": session, "name": name, "state": "began" }))]
        }
        Happening::SessionEnded { session, name } => {
            vec![message("session", json!({ "session_id": session, "name": name, "state": "ended" }))]
        }
    }
}
