//! Signing in, staying in, signing out.

use chrono::Utc;
use devpocket_actors::persistence::lockout::{self, MissSignIn, PassSignIn};
use devpocket_actors::persistence::tokens::{
    self, RevokeAllRefresh, RevokeUserSession, RotateRefresh, Rotation, StartUserSession,
};
use devpocket_actors::persistence::users::{self, ChangePassword, DeleteUser, User};
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
    /// What its owner calls it.
    pub name: Option<String>,
}

/// Why nobody was signed in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// No such account, wrong password, or an inactive account: one answer for all.
    #[error("Incorrect username/email or password")]
    Incorrect,
    /// Too many wrong passwords from there, or locked by hand.
    #[error("Account is temporarily locked because of too many failed sign-ins; try again later")]
    Locked,
    /// Whoever it is proved to be them, but the account is suspended.
    #[error("This account is suspended; please contact support")]
    Suspended,
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
/// Takes as long for an account that does not exist. A wrong password is counted, and its address
/// locked when there were too many: others, and who is in already, do not notice.
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
    let user = users::by_username_or_email(persistence.pool(), login).await?.filter(|user| user.is_active);
    let guesses = &app.auth().guesses;
    let place = guesses.place(user.as_ref(), login, device.ip.as_deref());
    // One after the other: what comes at once must not be more than may be tried.
    let _turn = guesses.turn(&place).await;
    if lockout::is_locked(persistence.pool(), &place).await? {
        return Err(SignInError::Locked);
    }
    let hash = user.as_ref().and_then(|user| user.password.as_ref());
    if !app.auth().passwords().verify(password, hash).await? {
        // Names that nobody has are counted as well: nobody can tell them apart.
        let rules = app.config().passwords.lockout;
        let locked = persistence.write(MissSignIn { place, rules }).await?;
        if let Some(user) = &user {
            audit(app, "user.sign_in_failed", user, &device);
        }
        return Err(if locked { SignInError::Locked } else { SignInError::Incorrect });
    }
    // Without an account no password is right.
    let user = user.ok_or(SignInError::Incorrect)?;
    if !user.is_verified && !spoken.rules().unverified_may_sign_in {
        persistence.write(PassSignIn { place }).await?;
        return Err(SignInError::Unverified);
    }
    let pair = begin(app, &user, &device, spoken.known()).await?;
    Ok((user, pair))
}

/// Begins a sign-in of somebody who has proved who they are.
///
/// # Errors
/// `Suspended`, `Locked` (by hand), or while the database is away.
pub(super) async fn begin(
    app: &App,
    user: &User,
    device: &Device,
    dialect: Option<Dialect>,
) -> Result<Pair, SignInError> {
    if !user.is_active {
        return Err(SignInError::Suspended);
    }
    if user.is_locked(Utc::now()) {
        return Err(SignInError::Locked);
    }
    let (start, pair) = prepare_session(app, user, device, dialect)?;
    app.system().persistence().write(start).await?;
    audit(app, "user.sign_in", user, device);
    Ok(pair)
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
        device: device.name.clone(),
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

/// Ends one of somebody's sign-ins. False: they have no such one.
///
/// # Errors
/// While the database is away.
pub async fn end(app: &App, principal: &Principal, session_id: String) -> Result<bool, WriteError> {
    let user_id = principal.user_id.clone();
    let ended = app.system().persistence().write(RevokeUserSession { user_id, session_id }).await?;
    if ended {
        app.auth().forget(&principal.user_id);
        audit_of(app, "user.sign_in_ended", &principal.user_id, &principal.username, &Device::default());
    }
    Ok(ended)
}

/// Ends all of somebody's sign-ins but the one they came by. Returns how many.
///
/// # Errors
/// While the database is away.
pub async fn end_others(app: &App, principal: &Principal) -> Result<usize, WriteError> {
    let revoke =
        RevokeAllRefresh { user_id: principal.user_id.clone(), keep_session: principal.user_session.clone() };
    let ended = app.system().persistence().write(revoke).await?.len();
    app.auth().forget(&principal.user_id);
    audit_of(app, "user.sign_ins_ended", &principal.user_id, &principal.username, &Device::default());
    Ok(ended)
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
    // Who comes by Google only has none to show.
    match password.filter(|_| user.password.is_some()) {
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
    audit_of(app, action, &user.id, &user.username, device);
}

fn audit_of(app: &App, action: &str, id: &str, username: &str, device: &Device) {
    let mut entry = AuditEntry::now(action);
    entry.actor_id = Some(id.to_owned());
    entry.actor_name = Some(username.to_owned());
    entry.target_type = Some("user".into());
    entry.target_id = Some(id.to_owned());
    entry.ip = device.ip.clone();
    app.system().persistence().late(Late::Audit(entry));
}
