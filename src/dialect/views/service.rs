//! What the server says about itself, and what it says when it can't do something.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Timestamp, View};

/// The front door.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Root {
    /// A greeting.
    pub message: &'static str,
    /// The version of the API.
    pub version: &'static str,
    /// What the server is run for.
    pub environment: &'static str,
    /// Where the documentation is, if it is served.
    pub documentation: Option<&'static str>,
    /// Where to ask how it is.
    pub health: &'static str,
    /// This moment.
    pub timestamp: Timestamp,
}

impl View for Root {}

/// How the server is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Health {
    /// `healthy`.
    pub status: &'static str,
    /// Its name.
    pub service: &'static str,
    /// The version of the API.
    pub version: &'static str,
    /// The version of this build.
    pub build: &'static str,
    /// What the server is run for.
    pub environment: &'static str,
    /// Seconds since 1970.
    pub timestamp: f64,
}

impl View for Health {}

/// Whether it should be restarted.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Live {
    /// `alive` or `stuck`.
    pub status: &'static str,
    /// How many actors do not come back from a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck: Option<usize>,
}

impl View for Live {}

/// Whether it should be sent clients.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Ready {
    /// `ready`, `not ready` or `draining`.
    pub status: &'static str,
    /// What was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Checks>,
}

/// What readiness depends on.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Checks {
    /// `healthy` or `unhealthy`.
    pub database: &'static str,
}

impl Ready {
    /// By the one thing it depends on.
    #[must_use]
    pub const fn new(database: bool) -> Self {
        let (status, database) = if database { ("ready", "healthy") } else { ("not ready", "unhealthy") };
        Self { status, checks: Some(Checks { database }) }
    }
}

impl View for Ready {}

/// What the server can do. Its members are in snake spelling in both dialects.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Info {
    /// Its name.
    pub name: &'static str,
    /// The version of the API.
    pub version: &'static str,
    /// What the server is run for.
    pub environment: &'static str,
    /// What is switched on.
    pub features: Features,
    /// What the plans allow.
    pub limits: PlanLimits,
    /// This moment.
    pub timestamp: Timestamp,
}

/// What is switched on.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[allow(missing_docs, reason = "named after the features")]
#[allow(clippy::struct_excessive_bools, reason = "they are independent")]
pub struct Features {
    pub authentication: bool,
    pub google_oauth: bool,
    pub websockets: bool,
    pub rate_limiting: bool,
    pub metrics: bool,
}

/// How many environments each plan allows.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[allow(missing_docs, reason = "named after the plans")]
pub struct PlanLimits {
    pub free_environments: u32,
    pub starter_environments: u32,
    pub pro_environments: u32,
    pub enterprise_environments: u32,
}

impl View for Info {}

/// The body of every answer that is not a success: a union of what the two families of clients
/// look for.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// The status in words; for fields that can't be used the same as `message`.
    #[schema(example = "Not Found")]
    pub error: String,
    /// What happened and what to do.
    #[schema(example = "Environment not found")]
    pub message: String,
    /// The same as `message`.
    pub detail: String,
    /// The status.
    #[schema(example = 404)]
    pub status_code: u16,
    /// When.
    pub timestamp: Timestamp,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The request's id, as in `X-Request-ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Every field that can't be used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldProblem>,
    /// Seconds after which to ask again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The same, in the other spelling.
    #[serde(rename = "retry_after", skip_serializing_if = "Option::is_none")]
    pub retry_after_too: Option<u64>,
}

/// A field that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldProblem {
    /// Its name, as the caller spells it.
    #[schema(example = "email")]
    pub field: String,
    /// Why.
    #[schema(example = "email must be a valid email address")]
    pub message: String,
    /// The same for programs: `required`, `invalid`, `invalid_type`.
    #[schema(example = "invalid")]
    pub code: &'static str,
}
