//! Errors as clients see them. Every body is a union of what the two dialects look for:
//! `error` and `message`, and `detail`.

use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use devpocket_actors::ClusterError;
use devpocket_actors::environment::EnvironmentError;
use devpocket_actors::persistence::environments::NAME_TAKEN;
use devpocket_actors::persistence::{ReadError, WriteError};

use crate::auth::AuthError;
use crate::auth::google::GoogleError;
use crate::auth::passwords::Busy;
use crate::auth::sign_in::SignInError;
use crate::dialect::views::{ErrorBody, FieldProblem, Timestamp};
use crate::dialect::{Dialect, Rules, spelling};

/// Seconds after which a client may ask again when the database is away.
const RETRY_SECONDS: u64 = 2;

/// A field that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Its name, in canonical spelling.
    pub field: &'static str,
    /// Why, to go after its name.
    pub why: String,
    /// The same for programs.
    pub code: &'static str,
}

/// The status of an answer: the same in both dialects, or by their rules.
#[derive(Debug, Clone, Copy)]
enum Status {
    Plain(StatusCode),
    By(fn(&Rules) -> StatusCode),
}

/// An answer that is not a success. Its texts hold no secret.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: Status,
    title: Option<String>,
    message: String,
    fields: Vec<FieldError>,
    retry_after: Option<u64>,
}

/// The result of a handler.
pub type ApiResult<T = crate::dialect::Reply> = Result<T, ApiError>;

impl ApiError {
    /// With that status and text.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status: Status::Plain(status),
            title: None,
            message: message.into(),
            fields: Vec::new(),
            retry_after: None,
        }
    }

    /// The request makes no sense: 400, the text also as `error`.
    pub fn bad_request(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { title: Some(message.clone()), ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    /// A proof by mail that is not good (any more): 404 or 400.
    #[must_use]
    pub fn bad_proof() -> Self {
        let message = "The token or code is invalid, expired or used already";
        Self { status: Status::By(|rules| rules.bad_proof), ..Self::new(StatusCode::NOT_FOUND, message) }
    }

    /// Fields that cannot be used: 400 or 422. The text is about the first.
    #[must_use]
    pub fn validation(fields: Vec<FieldError>) -> Self {
        let message = match fields.first() {
            Some(first) if first.code == "required" => "Some required fields are missing",
            Some(FieldError { field: "email", .. }) => "Invalid email format",
            Some(FieldError { field: "password", .. }) => "Invalid password format",
            _ => "Validation failed",
        };
        Self { fields, status: Status::By(|rules| rules.invalid), ..Self::bad_request(message) }
    }

    /// 401.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    /// 403.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// 404: the same for what does not exist and what is somebody else's.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what} not found"))
    }

    /// 404 for a path that is not served.
    #[must_use]
    pub fn no_route(method: &str, path: &str) -> Self {
        let message = format!("Cannot {method} {path}");
        Self { title: Some("Not found".into()), ..Self::new(StatusCode::NOT_FOUND, message) }
    }

    /// 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// 429.
    #[must_use]
    pub fn too_many(retry_after: u64) -> Self {
        let message = "Too many requests, please try again later";
        Self { retry_after: Some(retry_after.max(1)), ..Self::new(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    /// 503.
    #[must_use]
    pub fn unavailable() -> Self {
        let message = "The service is temporarily unavailable, please try again";
        Self { retry_after: Some(RETRY_SECONDS), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }

    /// 503 of a server that ends: the next one may be there already.
    #[must_use]
    pub fn going_away() -> Self {
        Self {
            message: "The server restarts, connect again".into(),
            retry_after: Some(1),
            ..Self::unavailable()
        }
    }

    /// 500. What happened goes to the log, not to the client.
    #[must_use]
    pub fn internal(what: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %what, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side")
    }

    /// Its status in a dialect.
    #[must_use]
    pub fn status(&self, dialect: Dialect) -> StatusCode {
        match self.status {
            Status::Plain(status) => status,
            Status::By(rule) => rule(dialect.rules()),
        }
    }

    /// Its text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The body, as far as it can be known without the request.
    #[must_use]
    pub fn body(&self, dialect: Dialect) -> ErrorBody {
        let status = self.status(dialect);
        let problem = |error: &FieldError| {
            let field = match dialect {
                Dialect::Camel => error.field.to_owned(),
                Dialect::Snake => spelling::snake(error.field),
            };
            FieldProblem { message: format!("{field} {}", error.why), field, code: error.code }
        };
        ErrorBody {
            error: self.title.clone().unwrap_or_else(|| reason(status).to_owned()),
            message: self.message.clone(),
            detail: self.message.clone(),
            status_code: status.as_u16(),
            timestamp: Timestamp::now(),
            path: None,
            request_id: None,
            errors: self.fields.iter().map(problem).collect(),
            retry_after: self.retry_after,
            retry_after_too: self.retry_after,
        }
    }
}

/// What `error` says for a status.
fn reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 401 | 403 | 404 | 409 | 429 | 500 | 503 => status.canonical_reason().unwrap_or("Unknown Error"),
        _ => "Unknown Error",
    }
}

impl IntoResponse for ApiError {
    /// The outermost layer writes the body, in the request's dialect.
    fn into_response(self) -> Response {
        let mut response = self.status(Dialect::default()).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable => Self::unavailable(),
            ReadError::Internal(text) => Self::internal(&text),
        }
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Unavailable | WriteError::Overloaded => Self::unavailable(),
            WriteError::Conflict { constraint } => Self::conflict(match constraint.as_str() {
                "users_email_key" => "A user with this email already exists",
                "users_username_key" => "A user with this username already exists",
                NAME_TAKEN => "An environment with this name already exists",
                "templates_name_key" => "A template with this name already exists",
                "clusters_name_key" => "A cluster with this name already exists",
                "clusters_default" => "Another cluster was made the default at the same moment. Look again.",
                "terminal_sessions_name_live" => "A session with this name already exists",
                _ => "It already exists",
            }),
            WriteError::NotFound { what } => Self::not_found(&capitalised(what)),
            WriteError::LimitReached { limit } => limit_reached(limit),
            WriteError::BeyondPlan(why) => Self::forbidden(why),
            WriteError::Refused { why } => Self::conflict(capitalised(why)),
            WriteError::Internal(text) => Self::internal(&text),
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Unavailable => Self::unavailable(),
            error => Self {
                title: Some(format!("Unauthorized: authentication required ({error})")),
                ..Self::unauthorized(format!("Authentication failed: {error}"))
            },
        }
    }
}

impl From<Busy> for ApiError {
    fn from(_: Busy) -> Self {
        Self::unavailable()
    }
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Busy(busy) => busy.into(),
            SignInError::Database(error) => error.into(),
            SignInError::Unverified | SignInError::NotFresh => Self::forbidden(error.to_string()),
            SignInError::WrongCurrent | SignInError::WrongPassword => Self::bad_request(error.to_string()),
            SignInError::Incorrect
            | SignInError::Locked
            | SignInError::Suspended
            | SignInError::BadRefresh => Self::unauthorized(error.to_string()),
        }
    }
}

impl From<GoogleError> for ApiError {
    fn from(error: GoogleError) -> Self {
        let message = error.to_string();
        match error {
            // Not a fault that passes: such a server does not have it.
            GoogleError::NotSetUp => Self::new(StatusCode::NOT_FOUND, message),
            GoogleError::BadToken => Self::unauthorized(message),
            GoogleError::Unreachable { retry_after } => {
                Self { message, retry_after: Some(retry_after), ..Self::unavailable() }
            }
            GoogleError::Unverified => Self::forbidden(message),
            GoogleError::Taken => Self::conflict(message),
            GoogleError::SignIn(error) => error.into(),
        }
    }
}

impl From<EnvironmentError> for ApiError {
    fn from(error: EnvironmentError) -> Self {
        match error {
            EnvironmentError::NotFound => Self::not_found("Environment"),
            EnvironmentError::NoSuchSession => Self::not_found("Terminal session"),
            EnvironmentError::NameTaken => Self::conflict("An environment with this name already exists"),
            EnvironmentError::LimitReached { limit } => limit_reached(limit),
            EnvironmentError::BeyondPlan(why) => Self::forbidden(why),
            EnvironmentError::NoSuchTemplate => Self::not_found("Template"),
            EnvironmentError::NoSuchCluster => {
                Self::bad_request("There is no such cluster, or it takes no environments")
            }
            EnvironmentError::Refused(why) => Self::conflict(capitalised(&why)),
            EnvironmentError::TooSoon { wait } => {
                Self { message: error.to_string(), ..Self::too_many(wait.as_secs()) }
            }
            EnvironmentError::StillRunning => Self::bad_request(error.to_string()),
            EnvironmentError::KeepsFailing => Self { message: error.to_string(), ..Self::unavailable() },
            EnvironmentError::Unavailable(why) => Self { message: why, ..Self::unavailable() },
            EnvironmentError::Internal => Self::internal(&"an environment's actor"),
        }
    }
}

impl From<ClusterError> for ApiError {
    fn from(error: ClusterError) -> Self {
        let message = error.to_string();
        match error {
            ClusterError::Kubeconfig(why) => {
                let why = format!("can't be used: {why}");
                Self::validation(vec![FieldError { field: "kubeconfig", why, code: "invalid" }])
            }
            ClusterError::Unusable(_) => Self::bad_request(message),
            ClusterError::Given => Self::conflict(message),
            ClusterError::InUse => {
                Self { status: Status::By(|rules| rules.cluster_in_use), ..Self::conflict(message) }
            }
            ClusterError::Write(error) => error.into(),
        }
    }
}

fn limit_reached(limit: u32) -> ApiError {
    ApiError::forbidden(format!("Environment limit reached: your plan allows {limit}"))
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_serves_both_dialects() {
        let error = ApiError::validation(vec![FieldError {
            field: "fullName",
            why: "must have 1 to 100 characters".into(),
            code: "invalid",
        }]);
        let (camel, snake) = (error.body(Dialect::Camel), error.body(Dialect::Snake));
        assert_eq!((camel.status_code, snake.status_code), (400, 422));
        assert_eq!(camel.error, "Validation failed");
        assert_eq!(camel.message, camel.detail);
        assert_eq!(camel.errors[0].field, "fullName");
        assert_eq!(snake.errors[0].message, "full_name must have 1 to 100 characters");
        let large = ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "x").body(Dialect::Camel);
        assert_eq!(large.error, "Unknown Error");
        assert_eq!(ApiError::conflict("x").body(Dialect::Camel).error, "Conflict");
    }
}
