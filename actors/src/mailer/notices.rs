//! Mails about environments, to their owners.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{MailQueue, letters};
use crate::persistence::environments::Environment;
use crate::persistence::{EnvironmentStatus, Persistence, users};

/// The shortest time between two mails about one environment of the same kind: one that comes and
/// goes must not fill a mailbox.
const PAUSE: Duration = Duration::from_hours(1);

/// What people are told by mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoticeLevel {
    /// Nothing.
    None,
    /// That an environment failed.
    #[default]
    Errors,
    /// Also that it runs, was stopped, was deleted.
    All,
}

/// Tells owners. Cheap to clone.
#[derive(Clone)]
pub struct Notices {
    pub(crate) level: NoticeLevel,
    /// Where the mail's link leads.
    pub(crate) link: Arc<str>,
    pub(crate) queue: Arc<MailQueue>,
    pub(crate) persistence: Persistence,
}

/// What was told of one environment, and when.
#[derive(Debug, Default)]
pub(crate) struct Told(Vec<(EnvironmentStatus, Instant)>);

impl Told {
    /// Whether to tell it now; then it counts as told.
    fn is_new(&mut self, status: EnvironmentStatus) -> bool {
        self.0.retain(|(_, at)| at.elapsed() < PAUSE);
        let new = self.0.iter().all(|(told, _)| *told != status);
        if new {
            self.0.push((status, Instant::now()));
        }
        new
    }
}

impl Notices {
    /// Words for a status that people are told of.
    fn words(&self, status: EnvironmentStatus) -> Option<&'static str> {
        use EnvironmentStatus as S;
        match (self.level, status) {
            (NoticeLevel::None, _) => None,
            (_, S::Error) => Some("has failed"),
            (NoticeLevel::Errors, _) => None,
            (_, S::Running) => Some("runs"),
            (_, S::Stopped) => Some("was stopped"),
            (_, S::Terminated) => Some("was deleted"),
            _ => None,
        }
    }

    /// The work of telling the owner of a status, if they are told of it.
    pub(crate) fn tell(
        &self,
        told: &mut Told,
        row: &Environment,
        status: EnvironmentStatus,
        reason: Option<&str>,
    ) -> Option<impl Future<Output = ()> + Send + 'static> {
        let what = self.words(status).filter(|_| told.is_new(status))?;
        let notices = self.clone();
        let (owner, environment) = (row.user_id.clone(), row.name.clone());
        let why = reason.unwrap_or_default().to_owned();
        Some(async move {
            let user = match users::by_id(notices.persistence.pool(), &owner).await {
                Ok(user) => user,
                Err(error) => return tracing::warn!(%error, "an owner is not told of their environment"),
            };
            if let Some(user) = user.filter(|user| user.is_active && user.is_verified) {
                let values = [
                    ("environment", environment.as_str()),
                    ("what", what),
                    ("why", &why),
                    ("link", &notices.link),
                ];
                notices.queue.push(letters::write(&letters::ENVIRONMENT, &user, &values));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_told_once_an_hour() {
        let mut told = Told::default();
        assert!(told.is_new(EnvironmentStatus::Error) && told.is_new(EnvironmentStatus::Running));
        tokio::time::advance(Duration::from_mins(59)).await;
        assert!(!told.is_new(EnvironmentStatus::Error));
        tokio::time::advance(Duration::from_mins(2)).await;
        assert!(told.is_new(EnvironmentStatus::Error));
    }
}
