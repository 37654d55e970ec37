//! Signing in, staying in, signing out.

use std::time::Instant;

use chrono::Utc;
use devpocket_actors::persistence::tokens::{
    self, RevokeAllRefresh, RevokeUserSession, RotateRefresh, Rotation, StartUserSession,
};
use devpocket_actors::persistence::users::{self, ChangePassword, DeleteUser, RecordFailedLogin, User};
use devpocket_actors::persistence::{AuditEntry, Late, ReadError, TokenHash, WriteError, new_id};

use super::passwords::Busy;
use super::tokens::Pair;
use super::{AuthError, Principal};
use crate::app::App;
use crate::dialect::{Dialect, Spoken};

/// How long after signing in an account may be deleted without its password.
const FRESH_SIGN_IN: chrono::TimeDelta = chrono::TimeDelta::minutes(15);

/// What is known of the client that signs in.
#[derive(Debug, Clone, Default)]
pub struct Device {
    /// What it calls itself.
    pub user_agent: Option<String>,
    /// From where.
    pub ip: Option<String>,
}

/// Why nobody was signed in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// No such account, wrong password, or an inactive account: one answer for all.
    #[error("Incorrect username/email or password")]
    Incorrect,
    /// Too many wrong passwords.
    #[error("Account is temporarily locked because of too many failed sign-ins; try again later")]
    Locked,
    /// Right password, but the address was never verified.
    #[error("Email address is not verified; use the link or the code in the mail we sent")]
    Unverified,
    /// The refresh token is unknown, spent, revoked or expired.
    #[error("Invalid refresh token")]
    BadRefresh,
    /// Changing the password: the old one is wrong.
    #[error("Current password is incorrect")]
    WrongCurrent,
    /// Deleting the account: not its password.
    #[error("Invalid password")]
    WrongPassword,
    /// Deleting the account without its password: the sign-in is not a fresh one.
    #[error("Sign in again to delete your account")]
    NotFresh,
    /// Too busy.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The database says no, or not now.
    #[error(transparent)]
    Database(#[from] WriteError),
}

impl From<ReadError> for SignInError {
    fn from(error: ReadError) -> Self {
        Self::Database(error.into())
    }
}

impl From<AuthError> for SignInError {
    fn from(_: AuthError) -> Self {
        Self::BadRefresh
    }
}

/// Checks a password and begins a sign-in.
///
/// Takes as long for an account that does not exist. A wrong password is counted, and the
/// account locked when there were too many.
///
/// # Errors
/// See [`SignInError`].
pub async fn sign_in(
    app: &App,
    login: &str,
    password: &str,
    device: Device,
    spoken: &Spoken,
) -> Result<(User, Pair), SignInError> {
    let persistence = app.system().persistence();
    let user = users::by_username_or_email(persistence.pool(), login).await?;
    let hash = user.as_ref().and_then(|user| user.password.as_ref());
    let matches = app.auth().passwords().verify(password, hash).await?;
    let rules = &app.config().passwords;
    let miss = |user_id: &str| RecordFailedLogin {
        user_id: user_id.to_owned(),
        max_attempts: i32::try_from(rules.lockout_attempts).unwrap_or(i32::MAX),
        lock_for: rules.lockout_for,
    };
    let Some(user) = user.filter(|user| user.is_active) else {
        // Counted like any other, in words and in time: the write finds no row.
        let locked = app.auth().strangers.miss(login, rules, Instant::now());
        return match persistence.write(miss("nobody")).await {
            Err(error) if error.is_transient() => Err(error.into()),
            _ if locked => Err(SignInError::Locked),
            _ => Err(SignInError::Incorrect),
        };
    };
    if user.is_locked(Utc::now()) {
        return Err(SignInError::Locked);
    }
    if !matches {
        let failed = persistence.write(miss(&user.id)).await?;
        audit(app, "user.sign_in_failed", &user, &device);
        if failed.locked_until.is_some_and(|until| until > Utc::now()) {
            app.auth().forget(&user.id);
            return Err(SignInError::Locked);
        }
        return Err(SignInError::Incorrect);
    }
    if !user.is_verified && !spoken.rules().unverified_may_sign_in {
        return Err(SignInError::Unverified);
    }
    let (start, pair) = prepare_session(app, &user, &device, spoken.known())?;
    persistence.write(start).await?;
    audit(app, "user.sign_in", &user, &device);
    Ok((user, pair))
}

/// The write that begins a sign-in, and the tokens that are good once it is done.
///
/// # Errors
/// When signing fails, which it does not.
pub fn prepare_session(
    app: &App,
    user: &User,
    device: &Device,
    dialect: Option<Dialect>,
) -> Result<(StartUserSession, Pair), AuthError> {
    let session_id = new_id();
    let pair = app.auth().tokens().pair(user, &session_id, dialect)?;
    let start = StartUserSession {
        session_id,
        user_id: user.id.clone(),
        device: None,
        user_agent: device.user_agent.clone(),
        ip: device.ip.clone(),
        refresh: TokenHash::of(&pair.refresh),
        expires_at: pair.refresh_expires_at,
    };
    Ok((start, pair))
}

/// Spends a refresh token for a new pair. One that was spent before ends its sign-in.
///
/// # Errors
/// `BadRefresh` when it is not good, `Database` while the database is away.
pub async fn refresh(app: &App, presented: &str, dialect: Option<Dialect>) -> Result<Pair, SignInError> {
    let persistence = app.system().persistence();
    let claims = app.auth().tokens().read_refresh(presented)?;
    let session = claims.session.ok_or(SignInError::BadRefresh)?;
    let user = users::by_id(persistence.pool(), &claims.user_id)
        .await?
        .filter(|user| user.is_active && !user.is_locked(Utc::now()))
        .ok_or(SignInError::BadRefresh)?;
    let pair = app.auth().tokens().pair(&user, &session, dialect.or(claims.dialect))?;
    let rotation = persistence
        .write(RotateRefresh {
            presented: TokenHash::of(presented),
            next: TokenHash::of(&pair.refresh),
            expires_at: pair.refresh_expires_at,
            grace: app.config().tokens.refresh_grace,
        })
        .await?;
    match rotation {
        Rotation::Rotated(_) => Ok(pair),
        Rotation::Reused(owner) => {
            tracing::warn!(
                user = owner.user_id,
                "a spent refresh token was shown again, its sign-in is ended"
            );
            app.auth().forget(&owner.user_id);
            audit(app, "user.refresh_reused", &user, &Device::default());
            Err(SignInError::BadRefresh)
        }
        Rotation::Invalid => Err(SignInError::BadRefresh),
    }
}

/// Ends the sign-in; all of the person's when the token does not say which.
///
/// # Errors
/// While the database is away.
pub async fn sign_out(app: &App, principal: &Principal) -> Result<(), WriteError> {
    let persistence = app.system().persistence();
    let user_id = principal.user_id.clone();
    match principal.user_session.clone() {
        Some(session_id) => {
            persistence.write(RevokeUserSession { user_id, session_id }).await?;
        }
        None => {
            persistence.write(RevokeAllRefresh { user_id, keep_session: None }).await?;
        }
    }
    app.auth().forget(&principal.user_id);
    Ok(())
}

/// Changes a password. Every other sign-in of the person ends, and this one's refresh tokens
/// stay good.
///
/// # Errors
/// `WrongCurrent`, `Busy`, or while the database is away.
pub async fn change_password(
    app: &App,
    principal: &Principal,
    current: &str,
    new: &str,
) -> Result<(), SignInError> {
    let persistence = app.system().persistence();
    let user =
        users::by_id(persistence.pool(), &principal.user_id).await?.ok_or(SignInError::WrongCurrent)?;
    if !app.auth().passwords().verify(current, user.password.as_ref()).await? {
        return Err(SignInError::WrongCurrent);
    }
    let password = app.auth().passwords().hash(new).await?;
    persistence
        .write(ChangePassword {
            user_id: user.id.clone(),
            password,
            keep_session: principal.user_session.clone(),
        })
        .await?;
    app.auth().forget(&user.id);
    audit(app, "user.password_changed", &user, &Device::default());
    Ok(())
}

/// Deletes an account: its sign-ins end, its environments are taken down. Who does not show the
/// password must have signed in within [`FRESH_SIGN_IN`].
///
/// # Errors
/// `WrongPassword`, `NotFresh`, `Busy`, or while the database is away.
pub async fn delete_account(
    app: &App,
    principal: &Principal,
    password: Option<&str>,
) -> Result<(), SignInError> {
    let persistence = app.system().persistence();
    let user =
        users::by_id(persistence.pool(), &principal.user_id).await?.ok_or(SignInError::WrongPassword)?;
    match password {
        Some(password) => {
            if !app.auth().passwords().verify(password, user.password.as_ref()).await? {
                return Err(SignInError::WrongPassword);
            }
        }
        None => {
            let session = principal.user_session.as_deref().unwrap_or_default();
            let began = tokens::session_began(persistence.pool(), session).await?;
            began.filter(|began| Utc::now() - *began < FRESH_SIGN_IN).ok_or(SignInError::NotFresh)?;
        }
    }
    let environments = persistence.write(DeleteUser { user_id: user.id.clone() }).await?;
    app.auth().forget(&user.id);
    audit(app, "user.deleted", &user, &Device::default());
    app.system().take_down(&user.id, environments);
    Ok(())
}

/// Notes in the audit record what somebody did about their own account.
pub(super) fn audit(app: &App, action: &str, user: &User, device: &Device) {
    let mut entry = AuditEntry::now(action);
    entry.actor_id = Some(user.id.clone());
    entry.actor_name = Some(user.username.clone());
    entry.target_type = Some("user".into());
    entry.target_id = Some(user.id.clone());
    entry.ip = device.ip.clone();
    app.system().persistence().late(Late::Audit(entry));
}
