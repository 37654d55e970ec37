//! Mails in Postgres: sealed, taken when they are due, tried again for a while, then kept as dead.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::future::join_all;
use rand::RngExt as _;
use secrecy::ExposeSecret as _;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::transport::{Outcome, Sender};
use super::{FIRST_PAUSE, LONGEST_PAUSE, MAX_ATTEMPTS, Mail, SEND_LIMIT};
use crate::persistence::mails::{self, MailFailed, MailSent, StoreMail, StoredMail, TakeDue, TidyMails};
use crate::persistence::vault::{Vault, VaultError};
use crate::persistence::{Persistence, new_id};

/// Mails that are tried at once.
const AT_ONCE: i64 = 4;
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
        let id = new_id();
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

/// Sends what is due, for ever.
pub(super) async fn deliver(store: Store, sender: Arc<Sender>) {
    let mut tidied: Option<Instant> = None;
    loop {
        if tidied.is_none_or(|at| at.elapsed() > TIDY) {
            tidied = Some(Instant::now());
            if let Ok(dropped @ 1..) = store.persistence.write(TidyMails).await {
                tracing::warn!(dropped, "too many mails waited, the oldest were dropped");
            }
        }
        let take = TakeDue { limit: AT_ONCE, lease: SEND_LIMIT * 4 };
        match store.persistence.write(take).await {
            Ok(due) if due.is_empty() => wait(&store).await,
            Ok(due) => {
                join_all(due.into_iter().map(|mail| attempt(&store, &sender, mail))).await;
            }
            Err(_) => sleep(AWAY_PAUSE).await,
        }
    }
}

/// Until one is due, or was stored.
async fn wait(store: &Store) {
    let pause = match mails::next_due(store.persistence.pool()).await {
        Ok(Some(due)) => (due - Utc::now()).to_std().unwrap_or_default().min(LOOK),
        Ok(None) => LOOK,
        Err(_) => AWAY_PAUSE,
    };
    let _ = timeout(pause, store.stored.notified()).await;
}

async fn attempt(store: &Store, sender: &Sender, stored: StoredMail) {
    let (id, kind) = (stored.id.as_str(), stored.kind.as_str());
    let outcome = match open(&store.vault, &stored) {
        Ok(mail) => timeout(SEND_LIMIT, sender.send(&mail)).await.unwrap_or_else(|_| Outcome::slow()),
        Err(error) => Outcome::Never(error.to_string()),
    };
    let attempts = u32::try_from(stored.attempts).unwrap_or(u32::MAX);
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
