//! Outgoing mail: stored in Postgres, sent by a task, retried for a while, then kept as dead.
//!
//! A mail that tells of a write is stored in the same transaction ([`Mailer`] then only needs to be
//! told). One that tells of something else waits in a bounded queue until it is stored; while the
//! database is away it is sent from there. The queue belongs to whoever starts the actor and not to
//! the actor, so a mail that waits survives the actor's restart, and what is stored the process's
//! end. Mails hold codes and links, so they are stored sealed, and none of their text, and no
//! address, is ever logged: a mail is known by its id and its kind.
//!
//! [`letters`] writes mails, [`notices`] tells of environments, [`queue`] and [`stored`] order what
//! waits, [`transport`] hands one mail over.

pub mod letters;
mod notices;
mod queue;
mod stored;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use self::notices::Told;
pub use self::notices::{NoticeLevel, Notices};
pub use self::queue::{CAPACITY, MailQueue};
pub use self::stored::{Store, open};
pub use self::transport::{MailSettings, MailTransport, SettingsError};
use self::transport::{Outcome, Sender};
use crate::persistence::Persistence;
use crate::persistence::mails::StoreMail;
use crate::persistence::vault::{Vault, VaultError};
use crate::supervision::{Behavior, Context, Failure, TaskGuard};

/// Attempts to send one mail. With the pauses between them they cover about an hour.
pub const MAX_ATTEMPTS: u32 = 9;

const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(20);

/// Longest attempt to hand one mail over.
const SEND_LIMIT: Duration = Duration::from_secs(30);

/// A mail to send.
#[derive(Clone, Serialize, Deserialize)]
pub struct Mail {
    /// The address, as `a@b` or `Name <a@b>`.
    pub to: String,
    /// What it is about.
    pub subject: String,
    /// For people who read text.
    pub text: String,
    /// The same as HTML.
    pub html: Option<String>,
    /// What it is for, in a word for the log, e.g. `verify-email`.
    pub kind: String,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What the mailer can be told.
#[derive(Debug)]
pub enum MailerMessage {
    /// Send this, some time soon.
    Send(Mail),
}

/// What the mailer works with. Made once, kept over restarts.
#[derive(Clone)]
pub struct MailerArgs {
    /// What waits to be stored.
    pub queue: Arc<MailQueue>,
    sender: Arc<Sender>,
    store: Store,
}

impl MailerArgs {
    /// An empty queue and the way out.
    ///
    /// # Errors
    /// When the settings cannot work: see [`MailSettings::check`].
    pub fn new(
        settings: &MailSettings,
        persistence: Persistence,
        vault: Vault,
    ) -> Result<Self, SettingsError> {
        Ok(Self {
            queue: Arc::new(MailQueue::default()),
            sender: Arc::new(Sender::new(settings)?),
            store: Store { persistence, vault, stored: Arc::new(Notify::new()) },
        })
    }

    /// A mail, ready to be stored with what it tells of.
    ///
    /// # Errors
    /// When it can't be sealed.
    pub(crate) fn seal(&self, mail: &Mail) -> Result<StoreMail, VaultError> {
        self.store.seal(mail)
    }

    /// One was stored: it is due.
    pub(crate) fn stored(&self) {
        self.store.stored.notify_one();
    }
}

/// The actor. Its handler only queues; storing and sending live in tasks, which do not end.
pub struct Mailer {
    queue: Arc<MailQueue>,
    _tasks: [TaskGuard; 2],
}

impl Behavior for Mailer {
    type Message = MailerMessage;
    type Args = MailerArgs;

    fn start(_context: &Context<Self>, args: MailerArgs) -> Result<Self, Failure> {
        let MailerArgs { queue, sender, store } = args;
        let tasks = [
            TaskGuard::spawn(stored::deliver(store.clone(), Arc::clone(&sender))),
            TaskGuard::spawn(take_in(Arc::clone(&queue), sender, store)),
        ];
        Ok(Self { queue, _tasks: tasks })
    }

    fn handle(&mut self, _context: &Context<Self>, message: MailerMessage) -> Result<(), Failure> {
        match message {
            MailerMessage::Send(mail) => self.queue.push(mail),
        }
        Ok(())
    }

    fn state(&self) -> &'static str {
        if self.queue.is_empty() { "idle" } else { "queueing" }
    }
}

/// Stores what is queued; sends it as long as it can't be stored.
async fn take_in(queue: Arc<MailQueue>, sender: Arc<Sender>, store: Store) {
    loop {
        let waiting = queue.next().await;
        let (id, kind) = (waiting.id, waiting.mail.kind.as_str());
        if let Ok(sealed) = store.seal_as(waiting.stored_as, &waiting.mail)
            && store.persistence.write(sealed).await.is_ok()
        {
            store.stored.notify_one();
            queue.done(id);
            continue;
        }
        match sender.try_send(&waiting.mail).await {
            Outcome::Sent => {
                tracing::debug!(mail = id, kind, "mail sent");
                queue.done(id);
            }
            Outcome::Never(reason) | Outcome::Later(reason) => queue.failed(id, &reason, Instant::now()),
        }
    }
}
