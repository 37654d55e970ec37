//! Accounts and the proofs by mail: registering, verifying an address, a forgotten password.

use chrono::{DateTime, TimeDelta, Utc};
use devpocket_actors::persistence::tokens::StartUserSession;
use devpocket_actors::persistence::users::{self, ChangePassword, CreateUser, MarkVerified, User};
use devpocket_actors::persistence::verification::{CreateVerification, Proof, UseVerification, Verification};
use devpocket_actors::persistence::{Plan, Role, TokenHash, VerificationPurpose, Write, WriteError, new_id};
use rand::RngExt as _;
use sqlx::PgTransaction;

use super::mails;
use super::sign_in::{Device, SignInError, audit, prepare_session};
use super::tokens::Pair;
use crate::app::App;
use crate::dialect::Dialect;

/// Who registers, with every field checked.
#[derive(Clone)]
#[allow(missing_docs, reason = "named after the form's fields")]
pub struct NewAccount {
    pub email: String,
    pub username: String,
    pub password: String,
    pub full_name: String,
}

/// All that registering writes: in one transaction, so that nobody is left with half an account.
struct Register {
    user: CreateUser,
    verification: CreateVerification,
    session: StartUserSession,
}

impl Write for Register {
    type Output = User;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<User, WriteError> {
        let user = self.user.apply(tx).await?;
        self.verification.apply(tx).await?;
        self.session.apply(tx).await?;
        Ok(user)
    }
}

/// Makes an account whose address is yet to be verified, signs it in and mails the proof.
///
/// # Errors
/// `Database(Conflict)` when address or user name is taken; `Busy`; or while the database is away.
pub async fn register(
    app: &App,
    new: NewAccount,
    device: Device,
    dialect: Option<Dialect>,
) -> Result<(User, Pair), SignInError> {
    let password = app.auth().passwords().hash(&new.password).await?;
    // The tokens are made of it before its row is there.
    let now = Utc::now();
    let draft = User {
        id: new_id(),
        email: new.email.to_lowercase(),
        username: new.username.to_lowercase(),
        full_name: new.full_name,
        password: Some(password),
        avatar_url: None,
        preferred_region: None,
        is_active: true,
        is_verified: false,
        email_verified_at: None,
        subscription_plan: Plan::Free,
        role: Role::User,
        google_id: None,
        failed_login_attempts: 0,
        account_locked_until: None,
        last_login_at: None,
        last_seen_at: None,
        created_at: now,
        updated_at: now,
    };
    let (session, pair) = prepare_session(app, &draft, &device, dialect)?;
    let secrets = Secrets::new(TimeDelta::hours(24));
    let verification = secrets.write_for(app, &draft.id, VerificationPurpose::VerifyEmail);
    let user = CreateUser {
        id: draft.id.clone(),
        email: draft.email.clone(),
        username: draft.username.clone(),
        full_name: draft.full_name.clone(),
        password: draft.password.clone(),
        avatar_url: None,
        is_verified: false,
        subscription_plan: Plan::Free,
        role: Role::User,
        google_id: None,
    };
    let mail = mails::verify_email(app.config(), &draft, &secrets.link, &secrets.code);
    let user = app.system().write_and_mail(Register { user, verification, session }, &mail).await?;
    audit(app, "user.register", &user, &device);
    Ok((user, pair))
}

/// Mails a new proof; the one before is void.
///
/// # Errors
/// While the database is away.
pub async fn resend_verification(app: &App, user: &User) -> Result<(), WriteError> {
    let secrets = Secrets::new(TimeDelta::hours(24));
    let mail = mails::verify_email(app.config(), user, &secrets.link, &secrets.code);
    let verification = secrets.write_for(app, &user.id, VerificationPurpose::VerifyEmail);
    app.system().write_and_mail(verification, &mail).await
}

/// Mails a new proof to that address, if it is of an account that waits for one. Does nothing, and
/// says the same, if not.
///
/// # Errors
/// While the database is away.
pub async fn resend_to(app: &App, email: &str) -> Result<(), WriteError> {
    let user = users::by_username_or_email(app.system().persistence().pool(), email).await?;
    let waits = |user: &User| user.is_active && !user.is_verified && user.email == email.to_lowercase();
    match user.filter(waits) {
        Some(user) => resend_verification(app, &user).await,
        None => Ok(()),
    }
}

/// What a shown proof led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// It was good.
    Accepted,
    /// It was not.
    Rejected,
    /// It may be, but too many wrong codes came before: a new mail is needed.
    Exhausted,
}

/// Uses the proof of a verification mail: the link's token, or the six digits together with
/// who types them.
///
/// # Errors
/// While the database is away.
pub async fn verify_email(app: &App, token: &str, user_id: Option<&str>) -> Result<Shown, WriteError> {
    let proof = match (is_code(token), user_id) {
        (true, Some(user_id)) => {
            let code = app.system().vault().code_hash(user_id, token);
            Proof::Code { user_id: user_id.to_owned(), code }
        }
        (true, None) => return Ok(Shown::Rejected),
        (false, _) => Proof::Link(TokenHash::of(token)),
    };
    let purpose = VerificationPurpose::VerifyEmail;
    match app.system().persistence().write(UseVerification { purpose, proof }).await? {
        Verification::Accepted { user_id } => {
            app.auth().forget(&user_id);
            welcome(app, &user_id).await;
            Ok(Shown::Accepted)
        }
        Verification::Rejected => Ok(Shown::Rejected),
        Verification::Exhausted => Ok(Shown::Exhausted),
    }
}

/// Welcomes somebody whose address is verified. It is no more than kind, so it may fail.
async fn welcome(app: &App, user_id: &str) {
    if let Ok(Some(user)) = users::by_id(app.system().persistence().pool(), user_id).await {
        app.system().send_mail(mails::welcome(app.config(), &user));
    }
}

/// Mails a link and a code to set a new password, if the address is one of ours. Does nothing,
/// and says the same, if not.
///
/// # Errors
/// While the database is away.
pub async fn forgot_password(app: &App, email: &str) -> Result<(), WriteError> {
    let persistence = app.system().persistence();
    let user = users::by_username_or_email(persistence.pool(), email).await?;
    let Some(user) = user.filter(|user| user.is_active && user.email == email.to_lowercase()) else {
        return Ok(());
    };
    let secrets = Secrets::new(TimeDelta::hours(1));
    let mail = mails::reset_password(app.config(), &user, &secrets.link, &secrets.code);
    let verification = secrets.write_for(app, &user.id, VerificationPurpose::ResetPassword);
    app.system().write_and_mail(verification, &mail).await?;
    audit(app, "user.password_forgotten", &user, &Device::default());
    Ok(())
}

/// Sets a new password with the proof of such a mail. All sign-ins of the person end. The
/// address is verified by it as well.
///
/// # Errors
/// `Busy`, or while the database is away.
pub async fn reset_password(
    app: &App,
    token: &str,
    email: Option<&str>,
    new: &str,
) -> Result<Shown, SignInError> {
    let persistence = app.system().persistence();
    let proof = if is_code(token) {
        let Some(email) = email else { return Ok(Shown::Rejected) };
        let Some(user) = users::by_username_or_email(persistence.pool(), email).await? else {
            return Ok(Shown::Rejected);
        };
        Proof::Code { code: app.system().vault().code_hash(&user.id, token), user_id: user.id }
    } else {
        Proof::Link(TokenHash::of(token))
    };
    let password = app.auth().passwords().hash(new).await?;
    match persistence.write(ResetPassword { proof, password }).await? {
        Verification::Accepted { user_id } => {
            app.auth().forget(&user_id);
            Ok(Shown::Accepted)
        }
        Verification::Rejected => Ok(Shown::Rejected),
        Verification::Exhausted => Ok(Shown::Exhausted),
    }
}

/// In one transaction: a proof that is spent has set the password.
struct ResetPassword {
    proof: Proof,
    password: devpocket_actors::persistence::Hidden,
}

impl Write for ResetPassword {
    type Output = Verification;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Verification, WriteError> {
        let purpose = VerificationPurpose::ResetPassword;
        let verification = UseVerification { purpose, proof: self.proof }.apply(tx).await?;
        if let Verification::Accepted { user_id } = &verification {
            let (user_id, password) = (user_id.clone(), self.password);
            ChangePassword { user_id: user_id.clone(), password, keep_session: None }.apply(tx).await?;
            // Who reads the mail owns the address.
            MarkVerified { user_id }.apply(tx).await?;
        }
        Ok(verification)
    }
}

fn is_code(token: &str) -> bool {
    token.len() == 6 && token.bytes().all(|byte| byte.is_ascii_digit())
}

/// A link's token and six digits. No `Debug`: both are secrets until used.
struct Secrets {
    link: String,
    code: String,
    expires_at: DateTime<Utc>,
}

impl Secrets {
    fn new(life: TimeDelta) -> Self {
        Self {
            link: uuid::Uuid::new_v4().to_string(),
            code: format!("{:06}", rand::rng().random_range(0..1_000_000_u32)),
            expires_at: Utc::now() + life,
        }
    }

    fn write_for(&self, app: &App, user_id: &str, purpose: VerificationPurpose) -> CreateVerification {
        CreateVerification {
            user_id: user_id.to_owned(),
            purpose,
            link: TokenHash::of(&self.link),
            code: Some(app.system().vault().code_hash(user_id, &self.code)),
            expires_at: self.expires_at,
        }
    }
}
