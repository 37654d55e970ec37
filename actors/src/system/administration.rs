//! What administrators do to what is somebody else's. Each brings its line of the audit record,
//! which is written, or at least handed over, before anything is done.

use super::System;
use crate::environment::{Change, EnvironmentError, EnvironmentMessage};
use crate::persistence::everybody::place_of_session;
use crate::persistence::{AuditEntry, EnvironmentStatus, Late, environments};
use crate::supervision::{ActorPath, CallError, Kind};
use crate::terminal::{ClientShown, Hub, Kick, TerminalMessage};

impl System {
    /// Changes what is wanted of an environment, as its owner would.
    ///
    /// # Errors
    /// As of [`System::change_environment`].
    pub async fn administer_environment(
        &self,
        id: &str,
        change: Change,
        line: AuditEntry,
    ) -> Result<EnvironmentStatus, EnvironmentError> {
        let view = environments::by_id(self.inner.persistence.pool(), id).await?;
        let row = view.ok_or(EnvironmentError::NotFound)?.environment;
        // Asked twice, it is noted once: the line has an id.
        let ask = |reply| EnvironmentMessage::Change(change, Some(Box::new(line.clone())), reply);
        self.ask_environment(&row.user_id, id, ask).await
    }

    /// Ends a terminal session, given by id, as its owner would.
    ///
    /// # Errors
    /// `NoSuchSession`, or when it can't be reached.
    pub async fn administer_session(&self, session: &str, line: AuditEntry) -> Result<(), EnvironmentError> {
        let place = place_of_session(self.inner.persistence.pool(), session).await?;
        let (environment, user) = place.ok_or(EnvironmentError::NoSuchSession)?;
        self.inner.persistence.late(Late::Audit(line));
        self.end_session(&user, &environment, session).await
    }

    /// The clients of a live terminal session.
    ///
    /// # Errors
    /// `NoSuchSession`, or when it can't be reached.
    pub async fn clients(&self, session: &str) -> Result<Vec<ClientShown>, EnvironmentError> {
        let place = place_of_session(self.inner.persistence.pool(), session).await?;
        place.ok_or(EnvironmentError::NoSuchSession)?;
        let hub = self.hub(session).await?;
        // Without an actor nobody is attached.
        Ok(hub.map(|hub| hub.clients()).unwrap_or_default())
    }

    /// Ends the connection of one client of a terminal session; the session and its other clients go
    /// on. False: there is no such client.
    ///
    /// # Errors
    /// When the session can't be reached.
    pub async fn detach(
        &self,
        session: &str,
        number: u64,
        line: AuditEntry,
    ) -> Result<bool, EnvironmentError> {
        let Some(hub) = self.hub(session).await? else { return Ok(false) };
        if !hub.clients().iter().any(|client| client.number == number) {
            return Ok(false);
        }
        self.inner.persistence.late(Late::Audit(line));
        Ok(hub.kick(number, Kick::Detached))
    }

    /// The hub of a session whose actor runs.
    async fn hub(&self, session: &str) -> Result<Option<std::sync::Arc<Hub>>, EnvironmentError> {
        let path = ActorPath::of(Kind::Terminal, session);
        let Some(terminal) = self.inner.registry.find::<TerminalMessage>(&path) else { return Ok(None) };
        match terminal.call(TerminalMessage::Hub).await {
            Ok(hub) => Ok(Some(hub)),
            Err(CallError::Down(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
