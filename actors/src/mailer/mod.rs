//! Outgoing mail: written down in a bounded queue, sent by one task, retried for a while.
//!
//! The queue belongs to whoever starts the actor and not to the actor, so a mail that waits
//! survives the actor's restart. Mails hold codes and links, so none of their text, and no
//! address, is ever logged: a mail is known by its id and its kind.
//!
//! [`queue`] orders what waits, [`transport`] hands one mail over, [`Mailer`] is the actor.

mod queue;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use self::queue::{CAPACITY, MAX_ATTEMPTS, MailQueue};
pub use self::transport::{MailSettings, MailTransport, SettingsError};
use self::transport::{Outcome, Sender};
use crate::supervision::{Behavior, Context, Failure, TaskGuard};

/// A mail to send.
#[derive(Clone)]
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
    pub kind: &'static str,
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
    /// What waits.
    pub queue: Arc<MailQueue>,
    sender: Arc<Sender>,
}

impl MailerArgs {
    /// An empty queue and the way out.
    ///
    /// # Errors
    /// When the settings cannot work: a sender that is no address, an SMTP URL that cannot be
    /// read. The text does not repeat the URL, as it holds a password.
    pub fn new(settings: &MailSettings) -> Result<Self, SettingsError> {
        Ok(Self { queue: Arc::new(MailQueue::default()), sender: Arc::new(Sender::new(settings)?) })
    }
}

/// The actor. Its handler only queues; sending lives in a task.
pub struct Mailer {
    queue: Arc<MailQueue>,
    task: TaskGuard,
    sender: Arc<Sender>,
}

impl Behavior for Mailer {
    type Message = MailerMessage;
    type Args = MailerArgs;

    fn start(_context: &Context<Self>, args: MailerArgs) -> Result<Self, Failure> {
        let MailerArgs { queue, sender } = args;
        let task = TaskGuard::spawn(deliver(Arc::clone(&queue), Arc::clone(&sender)));
        Ok(Self { queue, task, sender })
    }

    fn handle(&mut self, _context: &Context<Self>, message: MailerMessage) -> Result<(), Failure> {
        if self.task.is_finished() {
            // Only a panic in the transport ends it.
            self.task = TaskGuard::spawn(deliver(Arc::clone(&self.queue), Arc::clone(&self.sender)));
        }
        match message {
            MailerMessage::Send(mail) => self.queue.push(mail),
        }
        Ok(())
    }

    fn state(&self) -> &'static str {
        if self.queue.is_empty() { "idle" } else { "sending" }
    }
}

/// Longest attempt to hand one mail over.
const SEND_LIMIT: Duration = Duration::from_secs(30);

async fn deliver(queue: Arc<MailQueue>, sender: Arc<Sender>) {
    loop {
        let waiting = queue.next().await;
        let outcome = tokio::time::timeout(SEND_LIMIT, sender.send(&waiting.mail)).await;
        match outcome.unwrap_or(Outcome::Later("it took too long".into())) {
            Outcome::Sent => {
                tracing::debug!(mail = waiting.id, kind = waiting.mail.kind, "mail sent");
                queue.done(waiting.id);
            }
            Outcome::Never(reason) => {
                tracing::warn!(mail = waiting.id, kind = waiting.mail.kind, %reason, "mail refused, dropping it");
                queue.done(waiting.id);
            }
            Outcome::Later(reason) => queue.failed(waiting.id, &reason, Instant::now()),
        }
    }
}
