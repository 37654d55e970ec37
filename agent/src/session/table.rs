//! All sessions of the agent.

use std::cell::RefCell;
use std::rc::Rc;

use devpocket_protocol::agent::{OpenSession, Refusal, RefusalCode, SessionInfo};
use devpocket_protocol::client::ExitReason;
use tokio::sync::Notify;

use super::Session;
use crate::agent::Agent;

/// How many sessions may live at the same time.
pub const LIVE: usize = 64;

/// How many ended sessions are kept for those who have not seen their end.
const ENDED: usize = 32;

/// The sessions by id, those that ended and were not forgotten included.
#[derive(Default)]
pub struct Sessions {
    /// In the order of their start; the ended ones are few enough to search.
    all: RefCell<Vec<Rc<Session>>>,
    /// A session ended.
    ended: Notify,
}

impl Sessions {
    /// The session that a channel wants; it is started if need be.
    pub(crate) fn open(&self, agent: &Rc<Agent>, open: &OpenSession) -> Result<Rc<Session>, Refusal> {
        if let Some(session) = self.get(&open.id) {
            return Ok(session);
        }
        if !open.create {
            return refuse(RefusalCode::NoSuchSession, format!("There is no session {}.", open.id));
        }
        if agent.is_ending() {
            return refuse(RefusalCode::FailedToStart, "The environment is being stopped.".into());
        }
        if self.live().count() >= LIVE {
            let message = format!("The environment has {LIVE} sessions already; close one of them first.");
            return refuse(RefusalCode::TooManySessions, message);
        }
        match Session::start(agent, open) {
            Ok(session) => {
                self.all.borrow_mut().push(session.clone());
                Ok(session)
            }
            Err(message) => refuse(RefusalCode::FailedToStart, message),
        }
    }

    /// A session by its id.
    pub(crate) fn get(&self, id: &str) -> Option<Rc<Session>> {
        self.all.borrow().iter().find(|session| session.id() == id).cloned()
    }

    pub(crate) fn infos(&self) -> Vec<SessionInfo> {
        self.all.borrow().iter().map(|session| session.info()).collect()
    }

    /// Asks a session to end.
    pub(crate) fn close(&self, id: &str) -> Result<(), String> {
        let session = self.get(id).ok_or_else(|| format!("There is no session {id}."))?;
        if session.exit().is_none() {
            session.close(ExitReason::Closed);
        }
        Ok(())
    }

    /// Lets go of a session that has ended.
    pub(crate) fn forget(&self, id: &str) -> Result<(), String> {
        let session = self.get(id).ok_or_else(|| format!("There is no session {id}."))?;
        if session.exit().is_none() {
            return Err(format!("The session {id} still runs; close it first."));
        }
        self.all.borrow_mut().retain(|other| !Rc::ptr_eq(other, &session));
        Ok(())
    }

    /// Notes that a session ended; too many of those push the oldest out.
    pub(super) fn ended(&self, session: &Session) {
        debug_assert!(session.exit().is_some());
        let mut all = self.all.borrow_mut();
        let ended = all.iter().filter(|session| session.exit().is_some()).count();
        if ended > ENDED
            && let Some(oldest) = all.iter().position(|session| session.exit().is_some())
        {
            all.remove(oldest);
        }
        self.ended.notify_waiters();
    }

    /// Asks all sessions to end because the environment does.
    pub(crate) fn close_all(&self, reason: ExitReason) {
        self.live().for_each(|session| session.close(reason));
    }

    /// Ends all sessions without asking.
    pub(crate) fn kill_all(&self) {
        self.live().for_each(|session| session.kill());
    }

    /// Returns when no session lives any more.
    pub(crate) async fn all_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.live().next().is_none() {
                return;
            }
            ended.await;
        }
    }

    fn live(&self) -> impl Iterator<Item = Rc<Session>> + use<> {
        let live: Vec<_> = self.all.borrow().iter().filter(|s| s.exit().is_none()).cloned().collect();
        live.into_iter()
    }
}

fn refuse<T>(code: RefusalCode, message: String) -> Result<T, Refusal> {
    Err(Refusal { code, message })
}
