//! Tickets: what a browser opens a WebSocket with, as it cannot send headers and a token in
//! the URL would end up in logs. Good for one use within [`LIFE`].

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{AuthError, Principal, admit};
use crate::app::App;

/// Life of a ticket.
pub const LIFE: Duration = Duration::from_secs(30);

/// Used tickets remembered. They are forgotten when they have expired, so this many would
/// have to be used within [`LIFE`]; beyond it tickets are refused for a moment.
const CAPACITY: usize = 50_000;

/// The tickets used of late.
#[derive(Default)]
pub(super) struct Used(Mutex<HashMap<String, Instant>>);

impl Used {
    /// Notes a use.
    fn spend(&self, id: String) -> Result<(), AuthError> {
        let now = Instant::now();
        let mut used = self.0.lock();
        if used.len() >= CAPACITY / 2 {
            used.retain(|_, forget_at| *forget_at > now);
        }
        if used.len() >= CAPACITY {
            return Err(AuthError::Unavailable);
        }
        match used.insert(id, now + LIFE + Duration::from_secs(1)) {
            Some(_) => Err(AuthError::Invalid),
            None => Ok(()),
        }
    }
}

/// A ticket for somebody who is in already.
///
/// # Errors
/// `Invalid` when signing fails, which it does not.
pub fn issue_ticket(app: &App, principal: &Principal) -> Result<String, AuthError> {
    let session = principal.user_session.as_deref();
    app.auth().tokens().ticket(&principal.user_id, session, principal.expires_at, LIFE, principal.dialect)
}

/// Uses a ticket.
///
/// # Errors
/// `Invalid` when it is none or was used, `Expired`; else as [`super::authenticate`].
pub async fn redeem_ticket(app: &App, ticket: &str) -> Result<Principal, AuthError> {
    let ticket = app.auth().tokens().read_ticket(ticket)?;
    app.auth().tickets.spend(ticket.id)?;
    admit(app, ticket.access).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once() {
        let used = Used::default();
        assert_eq!(used.spend("a".into()), Ok(()));
        assert_eq!(used.spend("b".into()), Ok(()));
        assert_eq!(used.spend("a".into()), Err(AuthError::Invalid));
    }
}
