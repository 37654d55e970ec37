//! Every body there is, in canonical form, with its schema; and what the dialects have beyond
//! spelling.

mod account;
mod administration;
mod cluster;
mod cluster_report;
mod environment;
mod overview;
mod service;
mod session;
mod sign_in;
mod supervision;
mod template;
mod user;
mod words;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

pub use self::account::{Account, AccountList};
pub use self::administration::{
    AdminClient, AdminClients, AdminEnvironment, AdminEnvironments, AdminSession, AdminSessions, AuditRecord,
    AuditRecords, LogFilter, Named, Somebody,
};
pub use self::cluster::{
    AddedCluster, Cluster, ClusterDetail, ClusterList, ClusterUser, ClusterUsers, FindingThere,
    Known as KnownHealth, Regions,
};
pub use self::cluster_report::ClusterReport;
pub use self::environment::{
    ChangedEnvironment, CurrentUsage, Environment, EnvironmentDetail, EnvironmentList, LogEntry, Logs,
    Metrics, Recovering, UpdatedEnvironment, UsageLimits, UsageSample,
};
pub use self::overview::{
    ActorFigures, Charts, ClusterFigures, DatabaseFigures, EnvironmentFigures, MailFigures, Overview, Point,
    ProcessFigures, SessionFigures,
};
pub use self::service::{ErrorBody, Features, FieldProblem, Health, Info, Live, PlanLimits, Ready, Root};
pub use self::session::{Session, SessionList, Ticket};
pub use self::sign_in::{SignIn, SignInList};
pub use self::supervision::{Actor, ActorDetail, ActorList, Event, History, Row, TerminalGauges};
pub use self::template::{
    Categories, CategoryCount, Template, TemplateCompatibility, TemplateDetail, TemplateList, TemplateShelf,
    TemplateStats, TemplateSummary, TemplatesLoaded,
};
pub use self::user::{Profile, RecentActivity, Registered, SignedIn, Stats, Tokens, User, UserWithCount};
pub use self::words::{
    CategoryWord, ClusterRoleWord, ClusterStatusWord, LevelWord, PlanWord, RoleWord, SessionStatusWord,
    StatusWord, TemplateStatusWord, Timestamp,
};
use super::View;

/// An answer that only says something.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Message {
    /// For people.
    #[schema(example = "Successfully logged out")]
    pub message: String,
}

impl Message {
    /// Says `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self { message: text.into() }
    }
}

impl View for Message {}

/// Where in a list a page lies.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pagination {
    /// All there are.
    pub total: u64,
    /// The most that a page has.
    pub limit: u32,
    /// How many lie before this page.
    pub offset: u32,
    /// The number of pages.
    pub total_pages: u64,
    /// Whether more follow.
    pub has_more: bool,
}

impl Pagination {
    /// Of a page that was asked for.
    #[must_use]
    pub fn new(total: i64, page: devpocket_actors::persistence::Page) -> Self {
        let (limit, offset) = (page.limit.max(1), page.offset);
        let total = total.max(0).unsigned_abs();
        Self {
            total,
            limit,
            offset,
            total_pages: total.div_ceil(u64::from(limit)),
            has_more: u64::from(offset) + u64::from(limit) < total,
        }
    }
}

/// Amounts of CPU, memory and storage, as Kubernetes writes them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Amounts {
    /// `500m` is half a core.
    #[schema(example = "500m")]
    pub cpu: String,
    /// Bytes with a unit.
    #[schema(example = "1Gi")]
    pub memory: String,
    /// Bytes with a unit.
    #[schema(example = "10Gi")]
    pub storage: String,
}

/// `null`, for members that some clients look for and nothing is known of.
const NOTHING: Value = Value::Null;
