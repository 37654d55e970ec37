//! Who a request comes from.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use devpocket_actors::persistence::Role;

use super::error::ApiError;
use crate::app::App;
use crate::auth::tokens::Access;
use crate::auth::{AuthError, Principal, admit};
use crate::dialect::Dialect;

/// The token of an `Authorization: Bearer` header: exactly two parts, exactly that word.
///
/// # Errors
/// `Missing` without the header, `Invalid` when it is something else.
pub fn bearer(headers: &HeaderMap) -> Result<&str, AuthError> {
    let value = headers.get(AUTHORIZATION).ok_or(AuthError::Missing)?;
    let token = value.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
    token.filter(|token| !token.is_empty() && !token.contains(' ')).ok_or(AuthError::Invalid)
}

/// What the token of a request says, read once by the outermost layer.
#[derive(Debug, Clone)]
pub struct Shown(Result<Access, AuthError>);

impl Shown {
    /// What a request shows.
    #[must_use]
    pub fn of(app: &App, headers: &HeaderMap) -> Self {
        Self(bearer(headers).and_then(|token| app.auth().tokens().read_access(token)))
    }

    /// What it says, if it is good. Whether its bearer may still come in is another question.
    #[must_use]
    pub const fn access(&self) -> Option<&Access> {
        match &self.0 {
            Ok(access) => Some(access),
            Err(_) => None,
        }
    }

    /// The dialect in which its bearer signed in.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        self.access()?.dialect
    }
}

async fn principal(parts: &Parts, app: &App) -> Result<Principal, AuthError> {
    let shown = parts.extensions.get::<Shown>().cloned();
    admit(app, shown.unwrap_or_else(|| Shown::of(app, &parts.headers)).0?).await
}

impl FromRequestParts<App> for Principal {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        Ok(principal(parts, app).await?)
    }
}

impl OptionalFromRequestParts<App> for Principal {
    type Rejection = ApiError;

    /// A token that is not good counts as none.
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, ApiError> {
        match principal(parts, app).await {
            Ok(principal) => Ok(Some(principal)),
            Err(AuthError::Unavailable) => Err(ApiError::unavailable()),
            Err(_) => Ok(None),
        }
    }
}

/// Somebody whose address is verified.
pub struct Verified(pub Principal);

impl FromRequestParts<App> for Verified {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let principal = <Principal as FromRequestParts<App>>::from_request_parts(parts, app).await?;
        if principal.is_verified {
            Ok(Self(principal))
        } else {
            Err(ApiError::forbidden("Email address is not verified"))
        }
    }
}

/// Somebody who may look after others' accounts: support, or an administrator.
pub struct Support(pub Principal);

impl FromRequestParts<App> for Support {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let principal = <Principal as FromRequestParts<App>>::from_request_parts(parts, app).await?;
        if matches!(principal.role, Role::Support | Role::Admin) {
            Ok(Self(principal))
        } else {
            Err(ApiError::forbidden("Support or administrator access required"))
        }
    }
}

/// An administrator.
pub struct Admin(pub Principal);

impl FromRequestParts<App> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let principal = <Principal as FromRequestParts<App>>::from_request_parts(parts, app).await?;
        if principal.role == Role::Admin {
            Ok(Self(principal))
        } else {
            Err(ApiError::forbidden("Administrator access required"))
        }
    }
}
