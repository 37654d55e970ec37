//! Who is asking.
//!
//! An access token says who its bearer is; whether they still may is asked of the database
//! (through a cache of [`standing::FRESH`]): the account must be active and not locked by hand, and
//! the sign-in that the token came from must not have been ended. So signing out, changing the
//! password and switching an account off take effect at once here and within seconds
//! everywhere. Wrong passwords are no reason to refuse who is in already: anybody can type them.
//!
//! [`tokens`] makes and reads tokens, [`tickets`] opens WebSockets, [`passwords`] hashes,
//! [`sign_in`], [`google`] and [`proofs`] are what people do with them, [`mails`] what they are
//! written, [`devices`] names what they sign in on.

pub mod devices;
pub mod google;
mod guesses;
pub mod mails;
pub mod passwords;
pub mod proofs;
pub mod sign_in;
mod standing;
pub mod tickets;
pub mod tokens;

use chrono::{DateTime, Utc};
use devpocket_actors::persistence::{Late, Plan, ReadError, Role};

use crate::app::App;
use crate::config::Config;
use crate::dialect::Dialect;

/// Everything about authentication that a server keeps in memory. All of it is bounded, none
/// of it is needed after a restart.
pub struct AuthState {
    tokens: tokens::Signer,
    tickets: tickets::Used,
    standing: standing::Cache,
    guesses: guesses::Guesses,
    passwords: passwords::Hasher,
    google: Option<google::Google>,
}

impl AuthState {
    /// Fresh state.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            tokens: tokens::Signer::new(&config.tokens),
            tickets: tickets::Used::default(),
            standing: standing::Cache::default(),
            guesses: guesses::Guesses::new(&config.tokens.secret),
            passwords: passwords::Hasher::new(config.passwords.bcrypt_cost),
            google: google::Google::new(&config.google),
        }
    }

    /// Makes and reads tokens.
    #[must_use]
    pub const fn tokens(&self) -> &tokens::Signer {
        &self.tokens
    }

    /// Hashes and checks passwords.
    #[must_use]
    pub const fn passwords(&self) -> &passwords::Hasher {
        &self.passwords
    }

    /// Whether sign-in with Google is set up.
    #[must_use]
    pub const fn takes_google(&self) -> bool {
        self.google.is_some()
    }

    /// Forgets what is cached of a person: something about them has changed.
    pub fn forget(&self, user_id: &str) {
        self.standing.forget(user_id);
    }
}

/// Somebody who proved who they are.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Their id.
    pub user_id: String,
    /// Their user name.
    pub username: String,
    /// What they pay for.
    pub plan: Plan,
    /// What they may administer.
    pub role: Role,
    /// Whether their address is verified.
    pub is_verified: bool,
    /// The sign-in they came by. `None`: a token made elsewhere with our key.
    pub user_session: Option<String>,
    /// The end of the token they showed.
    pub expires_at: DateTime<Utc>,
    /// The dialect in which they signed in, if that was told.
    pub dialect: Option<Dialect>,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// They showed nothing.
    #[error("no authentication token was sent")]
    Missing,
    /// What they showed is not ours, or for something else.
    #[error("the token is not valid")]
    Invalid,
    /// It was good once.
    #[error("the token has expired")]
    Expired,
    /// The account is gone or switched off, or the sign-in was ended.
    #[error("this sign-in has ended")]
    Ended,
    /// Somebody has locked the account by hand.
    #[error("the account is locked")]
    Locked,
    /// The database is away, so nobody can say.
    #[error("authentication is not available now")]
    Unavailable,
}

impl From<ReadError> for AuthError {
    fn from(_: ReadError) -> Self {
        Self::Unavailable
    }
}

/// Finds out who shows this access token, and whether they may still come in.
///
/// # Errors
/// `Unavailable` while the database is away and the answer is not in the cache; else why not.
pub async fn authenticate(app: &App, token: &str) -> Result<Principal, AuthError> {
    let access = app.auth().tokens.read_access(token)?;
    admit(app, access).await
}

/// Whether somebody who came in earlier may stay: for sockets, which outlive the request that
/// opened them. True while nobody can say, so that an outage of the database ends no terminal.
/// The end of the token is not looked at: a socket may live as long as the sign-in does.
pub async fn is_still_valid(app: &App, principal: &Principal) -> bool {
    let session = principal.user_session.as_deref();
    let standing = app.auth().standing.of(app.system().persistence(), &principal.user_id, session).await;
    !matches!(standing, Err(AuthError::Ended | AuthError::Locked))
}

/// What somebody who came in earlier may administer now; `Some(None)`: they may not stay at all,
/// `None`: nobody can say at the moment.
pub async fn standing_role(app: &App, principal: &Principal) -> Option<Option<Role>> {
    let session = principal.user_session.as_deref();
    match app.auth().standing.of(app.system().persistence(), &principal.user_id, session).await {
        Ok(standing) => Some(Some(standing.role)),
        Err(AuthError::Ended | AuthError::Locked) => Some(None),
        Err(_) => None,
    }
}

/// Whether somebody whose token is good may still come in.
///
/// # Errors
/// As [`authenticate`].
pub async fn admit(app: &App, access: tokens::Access) -> Result<Principal, AuthError> {
    let persistence = app.system().persistence();
    let session = access.session.as_deref();
    let standing = app.auth().standing.of(persistence, &access.user_id, session).await?;
    persistence.late(Late::UserSeen {
        user_id: access.user_id.clone(),
        session_id: access.session.clone(),
        at: Utc::now(),
    });
    Ok(Principal {
        user_id: access.user_id,
        username: standing.username,
        plan: standing.plan,
        role: standing.role,
        is_verified: standing.is_verified,
        user_session: access.session,
        expires_at: access.expires_at,
        dialect: access.dialect,
    })
}
