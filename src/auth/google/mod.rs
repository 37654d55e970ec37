//! Signing in with Google: by an ID token, which the app got from Google.

mod keys;

use devpocket_actors::persistence::WriteError;
use devpocket_actors::persistence::google::{EnterByGoogle, Entered, GoogleIdentity};
use devpocket_actors::persistence::users::User;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;

use self::keys::{Keys, NoKey};
use super::sign_in::{self, Device, SignInError};
use super::tokens::Pair;
use crate::app::App;
use crate::config;
use crate::dialect::Dialect;
use crate::http::validate;

/// Largest ID token looked at, in bytes; Google's have some 1 KiB.
const LARGEST_TOKEN: usize = 8 * 1024;

/// Seconds by which Google's clock and ours may differ.
const LEEWAY: u64 = 30;

/// Of people who come for the first time at once, one makes the account and the others find it.
const ATTEMPTS: usize = 4;

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum GoogleError {
    /// There is no client id.
    #[error("Sign-in with Google is not set up on this server; please use your password")]
    NotSetUp,
    /// Not Google's, not for us, or expired: one answer for all.
    #[error("The Google token is not valid; please sign in with Google again")]
    BadToken,
    /// The keys can't be fetched.
    #[error("Google can't be reached to check the token; please try again in a moment")]
    Unreachable {
        /// Seconds after which to try again.
        retry_after: u64,
    },
    /// Google does not vouch for the address.
    #[error("Google has not verified your email address; please verify it there first")]
    Unverified,
    /// The account of the address belongs to another Google account.
    #[error("The account with this email address is linked with another Google account")]
    Taken,
    /// The account is suspended or locked, or the database says no.
    #[error(transparent)]
    SignIn(#[from] SignInError),
}

impl From<WriteError> for GoogleError {
    fn from(error: WriteError) -> Self {
        Self::SignIn(error.into())
    }
}

/// Checks ID tokens.
pub(super) struct Google {
    keys: Keys,
    validation: Validation,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    email: Option<String>,
    /// A word, in tokens of old.
    #[serde(default)]
    email_verified: serde_json::Value,
    name: Option<String>,
    picture: Option<String>,
}

impl Google {
    /// As it is configured; `None` when it is not.
    pub(super) fn new(config: &config::Google) -> Option<Self> {
        if config.client_ids.is_empty() {
            return None;
        }
        // Exactly this algorithm: a token must not choose its own.
        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_audience(&config.client_ids);
        validation.set_issuer(&config.issuers);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        Some(Self { keys: Keys::new(config.jwks_url.parse().ok()?), validation })
    }

    /// Who a token is about.
    async fn read(&self, token: &str) -> Result<GoogleIdentity, GoogleError> {
        if token.len() > LARGEST_TOKEN {
            return Err(GoogleError::BadToken);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| GoogleError::BadToken)?;
        let name = header.kid.filter(|_| header.alg == Algorithm::RS256).ok_or(GoogleError::BadToken)?;
        let key = self.keys.get(&name).await.map_err(|error| match error {
            NoKey::Unknown => GoogleError::BadToken,
            NoKey::Unreachable => GoogleError::Unreachable { retry_after: keys::RETRY_SECONDS },
        })?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &self.validation)
            .map_err(|_| GoogleError::BadToken)?
            .claims;
        identity(claims).ok_or(GoogleError::BadToken)
    }
}

/// What is taken of a token's claims, as far as it fits what an account may hold.
fn identity(claims: Claims) -> Option<GoogleIdentity> {
    let verified = claims.email_verified == true || claims.email_verified == "true";
    let plain = |text: &String| !text.chars().any(char::is_control);
    let name = claims.name.map(|name| name.trim().chars().take(100).collect::<String>());
    Some(GoogleIdentity {
        id: Some(claims.sub).filter(|id| (1..=255).contains(&id.len()) && plain(id))?,
        email: claims
            .email
            .filter(|email| verified && validate::is_email(email))
            .map(|email| email.to_lowercase()),
        name: name.filter(|name| !name.is_empty() && plain(name)),
        picture: claims
            .picture
            .filter(|url| url.starts_with("https://") && validate::url(url).is_ok() && plain(url)),
    })
}

/// Signs in whom an ID token is about. Who comes for the first time gets an account, or the one of
/// their address.
///
/// # Errors
/// See [`GoogleError`].
pub async fn sign_in(
    app: &App,
    token: &str,
    device: Device,
    dialect: Option<Dialect>,
) -> Result<(User, Pair), GoogleError> {
    let google = app.auth().google.as_ref().ok_or(GoogleError::NotSetUp)?;
    let identity = google.read(token).await?;
    let (user, what) = match enter(app, identity).await? {
        Entered::Known(user) => (user, None),
        Entered::Linked(user) => (user, Some("user.google_linked")),
        Entered::Created(user) => (user, Some("user.register")),
        Entered::Unverified => return Err(GoogleError::Unverified),
        Entered::Taken => return Err(GoogleError::Taken),
    };
    // What was known of them may have been that they are not verified.
    app.auth().forget(&user.id);
    if let Some(what) = what {
        sign_in::audit(app, what, &user, &device);
    }
    let pair = sign_in::begin(app, &user, &device, dialect).await?;
    Ok((user, pair))
}

async fn enter(app: &App, identity: GoogleIdentity) -> Result<Entered, WriteError> {
    let mut attempt = 1;
    loop {
        match app.system().persistence().write(EnterByGoogle { identity: identity.clone() }).await {
            Err(WriteError::Conflict { .. }) if attempt < ATTEMPTS => attempt += 1,
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(claims: serde_json::Value) -> Option<GoogleIdentity> {
        identity(serde_json::from_value(claims).unwrap())
    }

    #[test]
    fn only_what_google_vouches_for_is_taken() {
        let good =
            of(json!({ "sub": "1", "email": "Ann@Example.org", "email_verified": true, "name": " Ann ",
                              "picture": "https://x.org/a.png" }))
            .unwrap();
        assert_eq!(good.email.as_deref(), Some("ann@example.org"));
        assert_eq!((good.name.as_deref(), good.picture.is_some()), (Some("Ann"), true));
        for verified in [json!(false), json!("false"), json!(null), json!(1)] {
            let claims = json!({ "sub": "1", "email": "ann@example.org", "email_verified": verified });
            assert_eq!(of(claims).unwrap().email, None);
        }
        let old = json!({ "sub": "1", "email": "ann@example.org", "email_verified": "true" });
        assert!(of(old).unwrap().email.is_some());
        let odd = of(json!({ "sub": "1", "name": "A\nB", "picture": "javascript:x" })).unwrap();
        assert_eq!((odd.name, odd.picture), (None, None));
        assert_eq!(of(json!({ "sub": "" })), None);
    }
}
