//! Mails in Postgres: sealed, taken when they are due, tried again for a while, then kept as dead.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use secrecy::ExposeSecret as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::transport::{Outcome, Sender};
use super::{FIRST_PAUSE, LONGEST_PAUSE, MAX_ATTEMPTS, Mail, SEND_LIMIT};
use crate::persistence::mails::{self, MailFailed, MailSent, StoreMail, StoredMail, TakeDue, TidyMails};
use crate::persistence::vault::{Vault, VaultError};
use crate::persistence::{Persistence, new_id};

/// Mails that are tried at once.
const AT_ONCE: usize = 4;
/// Shortest sleep: what is due and not taken is another server's.
const SHORTEST_LOOK: Duration = Duration::from_millis(250);
/// Longest sleep: mails of another server, or woken by the command line, are found after it.
const LOOK: Duration = Duration::from_secs(20);
/// How long the database is left alone when it is away.
const AWAY_PAUSE: Duration = Duration::from_secs(2);
/// How often the table is kept within its bounds.
const TIDY: Duration = Duration::from_mins(10);

/// Where stored mails are, and what opens them.
#[derive(Clone)]
pub struct Store {
    pub(super) persistence: Persistence,
    pub(super) vault: Vault,
    /// Rung when one was stored.
    pub(super) stored: Arc<Notify>,
}

impl Store {
    /// A mail, ready to be stored.
    ///
    /// # Errors
    /// When it can't be sealed.
    pub(super) fn seal(&self, mail: &Mail) -> Result<StoreMail, VaultError> {
        self.seal_as(new_id(), mail)
    }

    /// The same under an id: stored again, it is one mail.
    pub(super) fn seal_as(&self, id: String, mail: &Mail) -> Result<StoreMail, VaultError> {
        let text = serde_json::to_vec(mail).map_err(|_| VaultError::Damaged)?;
        let content = self.vault.seal(&mails::place(&id), &text)?;
        Ok(StoreMail { id, kind: mail.kind.clone(), content })
    }
}

/// What a stored mail says.
///
/// # Errors
/// As [`Vault::open`].
pub fn open(vault: &Vault, stored: &StoredMail) -> Result<Mail, VaultError> {
    let text = vault.open(&mails::place(&stored.id), &stored.content)?;
    serde_json::from_str(text.expose_secret()).map_err(|_| VaultError::Damaged)
}

/// Sends what is due, for ever. One that takes long does not hold up the others.
pub(super) async fn deliver(store: Store, sender: Arc<Sender>) {
    let mut tidied: Option<Instant> = None;
    let mut attempts = JoinSet::new();
    loop {
        if tidied.is_none_or(|at| at.elapsed() > TIDY) {
            tidied = Some(Instant::now());
            if let Ok(dropped @ 1..) = store.persistence.write(TidyMails).await {
                tracing::warn!(dropped, "too many mails waited, the oldest were dropped");
            }
        }
        let take = TakeDue { limit: AT_ONCE - attempts.len(), lease: SEND_LIMIT * 4 };
        let pause = match store.persistence.write(take).await {
            Ok(due) => {
                for mail in due {
                    attempts.spawn(attempt(store.clone(), Arc::clone(&sender), mail));
                }
                pause(&store).await
            }
            Err(_) => AWAY_PAUSE,
        };
        if attempts.len() == AT_ONCE {
            attempts.join_next().await;
            continue;
        }
        tokio::select! {
            _ = attempts.join_next(), if !attempts.is_empty() => {}
            _ = timeout(pause, store.stored.notified()) => {}
        }
    }
}

/// How long until one is due, as far as is known.
async fn pause(store: &Store) -> Duration {
    match mails::next_due(store.persistence.pool()).await {
        Ok(due) => due.unwrap_or(LOOK).clamp(SHORTEST_LOOK, LOOK),
        Err(_) => AWAY_PAUSE,
    }
}

async fn attempt(store: Store, sender: Arc<Sender>, stored: StoredMail) {
    let (id, kind) = (stored.id.as_str(), stored.kind.as_str());
    let attempts = u32::try_from(stored.attempts).unwrap_or(u32::MAX);
    let outcome = match open(&store.vault, &stored) {
        // Each attempt before this one ended with its process.
        Ok(_) if attempts > MAX_ATTEMPTS => Outcome::Never("it was tried too often".into()),
        Ok(mail) => sender.try_send(&mail).await,
        Err(error) => Outcome::Never(error.to_string()),
    };
    let failed = |error: String, again_in| MailFailed { id: id.to_owned(), error, again_in };
    let written = match outcome {
        Outcome::Sent => {
            tracing::debug!(mail = id, kind, "mail sent");
            store.persistence.write(MailSent { id: id.to_owned() }).await
        }
        Outcome::Later(reason) if attempts < MAX_ATTEMPTS => {
            let pause = pause_after(attempts);
            tracing::warn!(mail = id, kind, reason, ?pause, "mail could not be sent, trying again later");
            store.persistence.write(failed(reason, Some(pause))).await
        }
        Outcome::Later(reason) | Outcome::Never(reason) => {
            tracing::error!(mail = id, kind, reason, "mail could not be sent; see devpocket mail dead");
            store.persistence.write(failed(reason, None)).await
        }
    };
    if let Err(error) = written {
        // It is due again after its lease: sent twice rather than never.
        tracing::warn!(mail = id, kind, %error, "what became of a mail could not be written down");
    }
}

/// The pause after so many attempts: doubled each time, a little random, bounded.
pub(super) fn pause_after(attempts: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1)));
    doubled.min(LONGEST_PAUSE).mul_f64(rand::rng().random_range(0.8..1.2))
}
