//! Registering, signing in and out, proofs by mail.

use axum::extract::State;
use devpocket_actors::persistence::users;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Conflict, Signed, TooMany, Unverified};
use crate::app::App;
use crate::auth::Principal;
use crate::auth::proofs::{self, NewAccount, Shown};
use crate::auth::sign_in::{self, Device};
use crate::dialect::views::{Message, Registered, SignedIn, Tokens};
use crate::dialect::{Reply, Spoken};
use crate::http::client;
use crate::http::error::{ApiError, ApiResult};
use crate::http::input::{Checked, Fields, Form};
use crate::http::validate;

const REGISTERED: &str = "Registration successful. Please check your email to verify your account.";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(verify_email))
        .routes(routes!(resend_verification))
        .routes(routes!(forgot_password))
        .routes(routes!(reset_password))
}

/// One account from one address.
fn key(account: &str, device: &Device) -> String {
    let network = device.ip.as_ref().and_then(|ip| Some(client::network(ip.parse().ok()?).to_string()));
    format!("{} {}", account.to_lowercase(), network.unwrap_or_default())
}

/// A new password, as strong as the dialect wants it.
pub(super) fn new_password(fields: &mut Fields, name: &'static str) -> String {
    let rule = if fields.rules().needs_special_character {
        validate::password
    } else {
        validate::password_without_special
    };
    fields.required(name, rule)
}

/// What the device calls itself, in the list of sign-ins.
pub(super) fn device_name(fields: &mut Fields) -> Option<String> {
    fields.optional("deviceName", validate::device_name).map(|name| name.trim().to_owned())
}

/// Who registers.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct Register {
    #[schema(format = "email", max_length = 254)]
    email: String,
    #[schema(min_length = 3, max_length = 30, pattern = "^[A-Za-z0-9_-]+$")]
    username: String,
    /// A lower-case and an upper-case letter, a digit and (in camel) a special character.
    #[schema(format = "password", min_length = 8, max_length = 128)]
    password: String,
    /// Needed in camel; without one it is the user name.
    #[schema(min_length = 1, max_length = 100)]
    full_name: Option<String>,
    /// What the device is called in the list of sign-ins.
    #[schema(min_length = 1, max_length = 64)]
    device_name: Option<String>,
}

impl Form for Register {
    const ASKS_FOR_TOKENS: bool = true;

    fn read(fields: &mut Fields) -> Self {
        Self {
            email: fields.required("email", validate::email),
            username: fields.required("username", validate::username),
            password: new_password(fields, "password"),
            full_name: if fields.rules().needs_full_name {
                Some(fields.required("fullName", validate::full_name))
            } else {
                fields.optional("fullName", validate::full_name_or_none).filter(|name| !name.is_empty())
            },
            device_name: device_name(fields),
        }
    }
}

/// Makes an account, signs it in and mails the proof of its address.
#[utoipa::path(
    post, path = "/register", tag = "auth", request_body = Register,
    responses((status = 201, body = Registered), Conflict, TooMany),
)]
async fn register(
    State(app): State<App>,
    device: Device,
    spoken: Spoken,
    Checked(form): Checked<Register>,
) -> ApiResult {
    app.limits().check(&app.limits().sign_ins, &key(&form.email, &device))?;
    let Register { email, username, password, full_name, device_name } = form;
    let full_name = full_name.unwrap_or_else(|| username.clone());
    let device = Device { name: device_name, ..device };
    let account = NewAccount { email, username, password, full_name };
    let (user, pair) = proofs::register(&app, account, device, spoken.known()).await?;
    Ok(Reply::created(Registered { user: (&user).into(), tokens: pair.into(), message: REGISTERED }))
}

/// Who signs in.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct Login {
    #[schema(min_length = 1)]
    username_or_email: String,
    #[schema(format = "password", min_length = 1)]
    password: String,
    /// What the device is called in the list of sign-ins.
    #[schema(min_length = 1, max_length = 64)]
    device_name: Option<String>,
}

impl Form for Login {
    const ASKS_FOR_TOKENS: bool = true;

    fn read(fields: &mut Fields) -> Self {
        Self {
            username_or_email: fields.required_as(
                "usernameOrEmail",
                &["usernameOrEmail", "email", "username"],
                validate::any,
            ),
            password: fields.required("password", validate::any),
            device_name: device_name(fields),
        }
    }
}

/// Signs in.
///
/// In camel the address must have been verified. Five wrong passwords from one address lock it for
/// this account for 15 minutes, the next ones for twice as long (401 with `locked` in the text);
/// other addresses and who is signed in already do not notice.
#[utoipa::path(
    post, path = "/login", tag = "auth", request_body = Login,
    responses((status = 200, body = SignedIn), Signed, Unverified, TooMany),
)]
async fn login(
    State(app): State<App>,
    device: Device,
    spoken: Spoken,
    Checked(form): Checked<Login>,
) -> ApiResult {
    app.limits().check(&app.limits().sign_ins, &key(&form.username_or_email, &device))?;
    let device = Device { name: form.device_name, ..device };
    let (user, pair) =
        sign_in::sign_in(&app, &form.username_or_email, &form.password, device, &spoken).await?;
    Ok(Reply::ok(SignedIn { tokens: pair.into(), user: (&user).into() }))
}

/// A refresh token.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct Refresh {
    #[schema(min_length = 1)]
    refresh_token: String,
}

impl Form for Refresh {
    const ASKS_FOR_TOKENS: bool = true;

    fn read(fields: &mut Fields) -> Self {
        Self { refresh_token: fields.required("refreshToken", validate::any) }
    }
}

/// Changes a refresh token into a new pair.
///
/// A refresh token is good once. One that is shown again later ends its sign-in: of several
/// requests with the same token at once the first gets a pair, and the next ends the sign-in and
/// with it that pair, unless the server is set to forgive it (`JWT_REFRESH_GRACE`).
#[utoipa::path(
    post, path = "/refresh", tag = "auth", request_body = Refresh,
    responses((status = 200, body = Tokens), Signed),
)]
async fn refresh(State(app): State<App>, spoken: Spoken, Checked(form): Checked<Refresh>) -> ApiResult {
    let pair = sign_in::refresh(&app, &form.refresh_token, spoken.known()).await?;
    Ok(Reply::ok(Tokens::from(pair)))
}

/// Ends this sign-in.
#[utoipa::path(
    post, path = "/logout", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = Message), Signed),
)]
async fn logout(State(app): State<App>, principal: Principal) -> ApiResult {
    sign_in::sign_out(&app, &principal).await?;
    Ok(Reply::ok(Message::new("Successfully logged out")))
}

/// The outcome of a shown proof as an answer.
fn shown(outcome: Shown, done: &str) -> ApiResult {
    match outcome {
        Shown::Accepted => Ok(Reply::ok(Message::new(done))),
        Shown::Rejected => Err(ApiError::bad_proof()),
        Shown::Exhausted => Err(ApiError::bad_request("Too many wrong codes; please ask for a new mail")),
    }
}

/// A link's token, or six digits and whose they are.
#[derive(ToSchema)]
pub(super) struct VerifyEmail {
    /// The link's token, or the six digits.
    #[schema(min_length = 1)]
    token: String,
    /// Whose digits they are, if nobody is signed in.
    #[schema(format = "email")]
    email: Option<String>,
}

impl Form for VerifyEmail {
    fn read(fields: &mut Fields) -> Self {
        Self {
            token: fields.required_as("token", &["token", "code"], validate::any),
            email: fields.optional("email", validate::email),
        }
    }
}

/// Verifies an address.
///
/// Takes the link's token from anybody, and the six digits from who is signed in or names the
/// address.
#[utoipa::path(
    post, path = "/verify-email", tag = "auth", request_body = VerifyEmail,
    security((), ("bearer" = [])),
    responses((status = 200, body = Message), super::answers::BadProof, TooMany),
)]
async fn verify_email(
    State(app): State<App>,
    principal: Option<Principal>,
    Checked(form): Checked<VerifyEmail>,
) -> ApiResult {
    let user_id = match (principal, form.email) {
        (Some(principal), _) => Some(principal.user_id),
        (None, Some(email)) => {
            app.limits().check(&app.limits().verifications, &format!("verify {email}"))?;
            let pool = app.system().persistence().pool();
            users::by_username_or_email(pool, &email).await?.map(|user| user.id)
        }
        (None, None) => None,
    };
    let outcome = proofs::verify_email(&app, form.token.trim(), user_id.as_deref()).await?;
    shown(outcome, "Email verified successfully")
}

/// Who wants another mail.
#[derive(ToSchema)]
pub(super) struct ResendVerification {
    /// Whose address, if nobody is signed in.
    #[schema(format = "email")]
    email: Option<String>,
}

impl Form for ResendVerification {
    fn read(fields: &mut Fields) -> Self {
        Self { email: fields.optional("email", validate::email) }
    }
}

/// Mails another proof; the one before is void.
///
/// Needs no sign-in: who is not signed in names the address, and learns nothing about it.
#[utoipa::path(
    post, path = "/resend-verification", tag = "auth", request_body = Option<ResendVerification>,
    security((), ("bearer" = [])),
    responses((status = 200, body = Message), Signed, TooMany),
)]
async fn resend_verification(
    State(app): State<App>,
    principal: Option<Principal>,
    device: Device,
    Checked(form): Checked<ResendVerification>,
) -> ApiResult {
    let pool = app.system().persistence().pool();
    match (principal, form.email) {
        (Some(principal), _) => {
            let user =
                users::by_id(pool, &principal.user_id).await?.ok_or_else(|| ApiError::not_found("User"))?;
            if user.is_verified {
                return Err(ApiError::bad_request("Email address is already verified"));
            }
            app.limits().check(&app.limits().verifications, &user.id)?;
            proofs::resend_verification(&app, &user).await?;
        }
        (None, Some(email)) => {
            app.limits().check(&app.limits().verifications, &key(&email, &device))?;
            in_the_background(&app, move |app| async move { proofs::resend_to(&app, &email).await }).await?;
        }
        (None, None) => return Err(crate::auth::AuthError::Missing.into()),
    }
    Ok(Reply::ok(Message::new("Verification email sent")))
}

/// What is done for a known address takes longer than for an unknown one, and nobody shall see
/// that: it is only waited for while the database is away, when it fails for all alike.
async fn in_the_background<F>(app: &App, work: impl FnOnce(App) -> F) -> Result<(), ApiError>
where
    F: Future<Output = Result<(), devpocket_actors::persistence::WriteError>> + Send + 'static,
{
    let task = tokio::spawn(work(app.clone()));
    if !app.system().persistence().stats().available {
        task.await.map_err(|error| ApiError::internal(&error))??;
    }
    Ok(())
}

/// Whose password was forgotten.
#[derive(ToSchema)]
pub(super) struct ForgotPassword {
    #[schema(format = "email")]
    email: String,
}

impl Form for ForgotPassword {
    fn read(fields: &mut Fields) -> Self {
        Self { email: fields.required("email", validate::email) }
    }
}

/// Mails a link and a code to set a new password with.
///
/// The answer is the same whether there is such an account or not.
#[utoipa::path(
    post, path = "/forgot-password", tag = "auth", request_body = ForgotPassword,
    responses((status = 200, body = Message), TooMany),
)]
async fn forgot_password(
    State(app): State<App>,
    device: Device,
    Checked(form): Checked<ForgotPassword>,
) -> ApiResult {
    app.limits().check(&app.limits().resets, &key(&form.email, &device))?;
    in_the_background(&app, move |app| async move { proofs::forgot_password(&app, &form.email).await })
        .await?;
    Ok(Reply::ok(Message::new("If an account with this email exists, a mail has been sent")))
}

/// A proof and a new password.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct ResetPassword {
    /// The link's token, or the six digits.
    #[schema(min_length = 1)]
    token: String,
    /// Whose digits they are.
    #[schema(format = "email")]
    email: Option<String>,
    #[schema(format = "password", min_length = 8, max_length = 128)]
    new_password: String,
}

impl Form for ResetPassword {
    fn read(fields: &mut Fields) -> Self {
        Self {
            token: fields.required_as("token", &["token", "code"], validate::any),
            email: fields.optional("email", validate::email),
            new_password: new_password(fields, "newPassword"),
        }
    }
}

/// Sets a new password; all sign-ins end.
#[utoipa::path(
    post, path = "/reset-password", tag = "auth", request_body = ResetPassword,
    responses((status = 200, body = Message), super::answers::BadProof, TooMany),
)]
async fn reset_password(
    State(app): State<App>,
    device: Device,
    Checked(form): Checked<ResetPassword>,
) -> ApiResult {
    app.limits().check(&app.limits().sign_ins, &key("reset", &device))?;
    let outcome =
        proofs::reset_password(&app, form.token.trim(), form.email.as_deref(), &form.new_password).await?;
    shown(outcome, "Password changed successfully; please sign in")
}
