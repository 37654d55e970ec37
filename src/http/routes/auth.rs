//! Registering, signing in and out, proofs by mail.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use devpocket_actors::persistence::users;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Principal;
use crate::auth::proofs::{self, NewAccount, Shown};
use crate::auth::sign_in::{self, Device};
use crate::http::error::{ApiError, ApiResult};
use crate::http::input::Fields;
use crate::http::{render, validate};

const REGISTERED: &str = "Registration successful. Please check your email to verify your account.";

/// One account from one address.
fn key(account: &str, device: &Device) -> String {
    format!("{} {}", account.to_lowercase(), device.ip.as_deref().unwrap_or_default())
}

pub(super) async fn register(
    State(app): State<App>,
    device: Device,
    mut fields: Fields,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let email = fields.required("email", validate::email);
    let username = fields.required("username", validate::username);
    let password = fields.required("password", validate::password);
    // One client leaves it out when it is empty.
    let full_name = fields.optional("fullName", validate::full_name);
    app.limits().check(&app.limits().sign_ins, &key(&email, &device))?;
    fields.finish()?;
    let full_name = full_name.unwrap_or_else(|| username.clone());
    let (user, pair) =
        proofs::register(&app, NewAccount { email, username, password, full_name }, device).await?;
    let mut body = render::user(&user);
    render::extend(&mut body, render::tokens(&pair));
    render::extend(&mut body, json!({ "message": REGISTERED }));
    Ok((StatusCode::CREATED, Json(body)))
}

pub(super) async fn login(State(app): State<App>, device: Device, mut fields: Fields) -> ApiResult {
    let login =
        fields.required_as("usernameOrEmail", &["usernameOrEmail", "email", "username"], validate::any);
    let password = fields.required("password", validate::any);
    app.limits().check(&app.limits().sign_ins, &key(&login, &device))?;
    fields.finish()?;
    let (user, pair) = sign_in::sign_in(&app, &login, &password, device).await?;
    Ok(Json(render::sign_in(&pair, &user)))
}

pub(super) async fn refresh(State(app): State<App>, mut fields: Fields) -> ApiResult {
    let token = fields.required("refreshToken", validate::any);
    fields.finish()?;
    let pair = sign_in::refresh(&app, &token).await?;
    Ok(Json(render::tokens(&pair)))
}

pub(super) async fn logout(State(app): State<App>, principal: Principal) -> ApiResult {
    sign_in::sign_out(&app, &principal).await?;
    Ok(render::message("Successfully logged out"))
}

/// The outcome of a shown proof as an answer.
fn shown(outcome: Shown, done: &str) -> ApiResult {
    match outcome {
        Shown::Accepted => Ok(render::message(done)),
        Shown::Rejected => {
            Err(ApiError::new(StatusCode::NOT_FOUND, "The token or code is invalid, expired or used already"))
        }
        Shown::Exhausted => Err(ApiError::bad_request("Too many wrong codes; please ask for a new mail")),
    }
}

/// Takes the link's token from anybody, and the six digits from who is signed in or names the
/// address.
pub(super) async fn verify_email(
    State(app): State<App>,
    principal: Option<Principal>,
    mut fields: Fields,
) -> ApiResult {
    let token = fields.required_as("token", &["token", "code"], validate::any);
    let email = fields.optional("email", validate::email);
    fields.finish()?;
    let user_id = match (principal, email) {
        (Some(principal), _) => Some(principal.user_id),
        (None, Some(email)) => {
            app.limits().check(&app.limits().verifications, &format!("verify {email}"))?;
            let pool = app.system().persistence().pool();
            users::by_username_or_email(pool, &email).await?.map(|user| user.id)
        }
        (None, None) => None,
    };
    let outcome = proofs::verify_email(&app, token.trim(), user_id.as_deref()).await?;
    shown(outcome, "Email verified successfully")
}

pub(super) async fn resend_verification(State(app): State<App>, principal: Principal) -> ApiResult {
    let pool = app.system().persistence().pool();
    let user = users::by_id(pool, &principal.user_id).await?.ok_or_else(|| ApiError::not_found("User"))?;
    if user.is_verified {
        return Err(ApiError::bad_request("Email address is already verified"));
    }
    app.limits().check(&app.limits().verifications, &user.id)?;
    proofs::resend_verification(&app, &user).await?;
    Ok(render::message("Verification email sent"))
}

pub(super) async fn forgot_password(State(app): State<App>, device: Device, mut fields: Fields) -> ApiResult {
    let email = fields.required("email", validate::email);
    fields.finish()?;
    app.limits().check(&app.limits().resets, &key(&email, &device))?;
    // What is done for a known address takes longer; nobody shall see that.
    let task = tokio::spawn({
        let app = app.clone();
        async move { proofs::forgot_password(&app, &email).await }
    });
    if app.system().persistence().stats().available {
        drop(task);
    } else {
        task.await.map_err(|error| ApiError::internal(&error))??;
    }
    Ok(render::message("If an account with this email exists, a mail has been sent"))
}

pub(super) async fn reset_password(State(app): State<App>, device: Device, mut fields: Fields) -> ApiResult {
    let token = fields.required_as("token", &["token", "code"], validate::any);
    let email = fields.optional("email", validate::email);
    let password = fields.required("newPassword", validate::password);
    fields.finish()?;
    app.limits().check(&app.limits().sign_ins, &key("reset", &device))?;
    let outcome = proofs::reset_password(&app, token.trim(), email.as_deref(), &password).await?;
    shown(outcome, "Password changed successfully; please sign in")
}
