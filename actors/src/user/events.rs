//! What happens to what is a user's, as it happens.
//!
//! Like [`super::Presence`] it lives outside of the user's actor, because those who listen
//! outlive it. Events are news, not state: whoever begins to listen, or has missed some, reads
//! the state from the database first.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::persistence::EnvironmentStatus;

/// Events held for a listener that does not keep up; one that falls further behind is told
/// that it missed some.
const HELD: usize = 64;

/// Something that happened to an environment of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserEvent {
    /// Which environment.
    pub environment: String,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub what: Happening,
}

/// What can happen to an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// It is in another status.
    Status {
        /// The status.
        status: EnvironmentStatus,
        /// Why, and what to do about it.
        reason: Option<String>,
    },
    /// Its install or startup commands wrote a line. Not every line comes: the log has all.
    Progress {
        /// The line.
        line: String,
    },
    /// All its commands have run.
    Installed {
        /// How many of them failed.
        failed_commands: u32,
    },
    /// A terminal session began.
    SessionBegan {
        /// Its id.
        session: String,
        /// Its name.
        name: String,
    },
    /// A terminal session ended.
    SessionEnded {
        /// Its id.
        session: String,
        /// Its name.
        name: String,
    },
}

/// All listeners, by user. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Events {
    channels: Arc<DashMap<String, broadcast::Sender<UserEvent>>>,
}

/// Hears what happens to what is one user's.
#[derive(Debug)]
pub struct Listener {
    user: String,
    // Before the channels: it must be gone when they look whether there are others.
    receiver: Option<broadcast::Receiver<UserEvent>>,
    channels: Arc<DashMap<String, broadcast::Sender<UserEvent>>>,
}

/// So many events were missed: the state has to be read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed(pub u64);

impl Events {
    /// Tells whoever listens. Never waits.
    pub fn tell(&self, user: &str, environment: &str, what: Happening) {
        if let Some(channel) = self.channels.get(user) {
            // The last listener may be leaving: then nobody needs to know.
            let _ = channel.send(UserEvent { environment: environment.to_owned(), at: Utc::now(), what });
        }
    }

    /// Whether anybody listens to that user's events.
    #[must_use]
    pub fn has_listeners(&self, user: &str) -> bool {
        self.channels.contains_key(user)
    }

    /// Listens to all that happens from now on.
    #[must_use]
    pub fn listen(&self, user: &str) -> Listener {
        let receiver = match self.channels.entry(user.to_owned()) {
            Entry::Occupied(channel) => channel.get().subscribe(),
            Entry::Vacant(place) => {
                let (channel, receiver) = broadcast::channel(HELD);
                place.insert(channel);
                receiver
            }
        };
        Listener { user: user.to_owned(), receiver: Some(receiver), channels: Arc::clone(&self.channels) }
    }
}

impl Listener {
    /// The next event. Cancel-safe.
    ///
    /// # Errors
    /// When some were missed; the ones that follow are still to come.
    pub async fn next(&mut self) -> Result<UserEvent, Missed> {
        let Some(receiver) = &mut self.receiver else { return std::future::pending().await };
        match receiver.recv().await {
            Ok(event) => Ok(event),
            Err(RecvError::Lagged(missed)) => Err(Missed(missed)),
            // Its channel lives as long as it has a listener.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.receiver = None;
        self.channels.remove_if(&self.user, |_, channel| channel.receiver_count() == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize) -> Happening {
        Happening::Progress { line: number.to_string() }
    }

    #[tokio::test]
    async fn who_listens_hears_their_own_alone_and_in_order() {
        let events = Events::default();
        events.tell("ann", "e1", line(0));
        let (mut ann, mut also, mut bob) = (events.listen("ann"), events.listen("ann"), events.listen("bob"));
        events.tell("ann", "e1", line(1));
        events.tell("ann", "e1", line(2));
        events.tell("bob", "e2", line(3));
        for listener in [&mut ann, &mut also] {
            assert_eq!(listener.next().await.unwrap().what, line(1));
            assert_eq!(listener.next().await.unwrap().what, line(2));
        }
        assert_eq!(bob.next().await.unwrap().environment, "e2");
        drop((ann, bob));
        assert!(events.has_listeners("ann") && !events.has_listeners("bob"));
        drop(also);
        assert!(events.channels.is_empty());
    }

    #[tokio::test]
    async fn who_falls_behind_is_told_and_goes_on() {
        let events = Events::default();
        let mut slow = events.listen("ann");
        for number in 0..HELD + 3 {
            events.tell("ann", "e1", line(number));
        }
        assert_eq!(slow.next().await, Err(Missed(3)));
        assert_eq!(slow.next().await.unwrap().what, line(3));
    }
}
