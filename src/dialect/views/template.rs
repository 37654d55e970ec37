//! Templates.

use devpocket_actors::persistence::Variables;
use devpocket_actors::persistence::{Plan, templates};
use devpocket_actors::plans::Allowance;
use devpocket_actors::templates::Synced;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::view::{bare, spelled, with};
use super::{Amounts, CategoryWord, Pagination, PlanWord, TemplateStatusWord, Timestamp, View};

/// The members that short lists show.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateSummary {
    /// Its id.
    pub id: String,
    /// Its name for programs; as good as the id.
    #[schema(example = "nodejs")]
    pub name: String,
    /// Its name for people.
    #[schema(example = "Node.js")]
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// The shelf it stands on.
    pub category: CategoryWord,
    /// For searching.
    pub tags: Vec<String>,
    /// What containers are made of.
    pub docker_image: String,
    /// Where what runs in it listens.
    pub default_port: i32,
    /// A picture.
    pub icon_url: Option<String>,
    /// How many environments were made of it.
    pub usage_count: i32,
    /// When it was made.
    pub created_at: Timestamp,
}

impl From<&templates::Template> for TemplateSummary {
    fn from(template: &templates::Template) -> Self {
        Self {
            id: template.id.clone(),
            name: template.name.clone(),
            display_name: template.display_name.clone(),
            description: template.description.clone(),
            category: template.category.into(),
            tags: template.tags.clone(),
            docker_image: template.docker_image.clone(),
            default_port: template.default_port,
            icon_url: template.icon_url.clone(),
            usage_count: template.usage_count,
            created_at: template.created_at.into(),
        }
    }
}

impl View for TemplateSummary {}

/// A template.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// What short lists show.
    #[serde(flatten)]
    pub summary: TemplateSummary,
    /// The CPU that an environment gets unless it asks for another amount.
    #[schema(example = "500m")]
    pub default_resources_cpu: String,
    /// The memory, likewise.
    #[schema(example = "1Gi")]
    pub default_resources_memory: String,
    /// The storage, likewise.
    #[schema(example = "10Gi")]
    pub default_resources_storage: String,
    /// Set in every environment made of it.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub environment_variables: Variables,
    /// Run once, when an environment is made.
    pub install_commands: Vec<String>,
    /// Run at every start.
    pub startup_commands: Vec<String>,
    /// Where to read about it.
    pub documentation_url: Option<String>,
    /// Whether it may be used.
    pub status: TemplateStatusWord,
    /// Its version.
    #[schema(example = "1.0.0")]
    pub version: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl From<&templates::Template> for Template {
    fn from(template: &templates::Template) -> Self {
        Self {
            summary: template.into(),
            default_resources_cpu: template.default_resources_cpu.clone(),
            default_resources_memory: template.default_resources_memory.clone(),
            default_resources_storage: template.default_resources_storage.clone(),
            environment_variables: template.environment_variables.clone(),
            install_commands: template.install_commands.clone(),
            startup_commands: template.startup_commands.clone(),
            documentation_url: template.documentation_url.clone(),
            status: template.status.into(),
            version: template.version.clone(),
            updated_at: template.updated_at.into(),
        }
    }
}

impl View for Template {
    fn snake(&self) -> Value {
        let more = json!({
            "image": self.summary.docker_image,
            "config": {},
            "default_resources": {
                "cpu": self.default_resources_cpu,
                "memory": self.default_resources_memory,
                "storage": self.default_resources_storage,
            },
        });
        with(spelled(self), more)
    }
}

/// A template and how much it is used.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateDetail {
    /// The template.
    #[serde(flatten)]
    pub template: Template,
    /// Environments made of it that are not terminated.
    pub active_environment_count: i64,
}

impl View for TemplateDetail {
    fn snake(&self) -> Value {
        with(self.template.snake(), json!({ "active_environment_count": self.active_environment_count }))
    }
}

/// A page of templates.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TemplateList {
    /// The most used first.
    pub templates: Vec<Template>,
    /// Where the page lies.
    pub pagination: Pagination,
}

impl View for TemplateList {
    fn snake(&self) -> Value {
        bare(&self.templates)
    }
}

/// A short list of templates.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TemplateShelf {
    /// The most used first.
    pub templates: Vec<TemplateSummary>,
    /// Where the page lies, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pagination: Option<Pagination>,
}

impl View for TemplateShelf {
    fn snake(&self) -> Value {
        bare(&self.templates)
    }
}

/// The shelves and how many templates stand on each.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Categories {
    /// Those with any.
    pub categories: Vec<CategoryCount>,
}

/// A shelf.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CategoryCount {
    /// Which.
    pub name: CategoryWord,
    /// How many active templates.
    pub count: i64,
}

impl View for Categories {
    fn snake(&self) -> Value {
        let shelf = |one: &CategoryCount| json!({ "name": one.name.0.as_str().to_ascii_lowercase(), "count": one.count });
        json!({ "categories": self.categories.iter().map(shelf).collect::<Vec<_>>() })
    }
}

/// How much a template is used.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateStats {
    /// Which.
    pub template_id: String,
    /// Its name for programs.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// Environments ever made of it.
    pub total_usage: i64,
    /// Those that are not terminated.
    pub active_environments: i64,
    /// Lately.
    pub recent_usage: RecentUsage,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How much a template was used lately.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecentUsage {
    /// Environments made of it within 30 days.
    #[serde(rename = "last30Days")]
    pub last_30_days: i64,
}

impl TemplateStats {
    /// Of a template.
    #[must_use]
    pub fn new(template: &templates::Template, usage: &templates::TemplateUsage) -> Self {
        Self {
            template_id: template.id.clone(),
            name: template.name.clone(),
            display_name: template.display_name.clone(),
            // Rows of deleted accounts are gone, and those of another server were never counted.
            total_usage: usage.total.max(i64::from(template.usage_count)),
            active_environments: usage.active,
            recent_usage: RecentUsage { last_30_days: usage.last_30_days },
            created_at: template.created_at.into(),
        }
    }
}

impl View for TemplateStats {}

/// Whether a template's suggestions fit a plan.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateCompatibility {
    /// Which.
    pub template_id: String,
    /// Its name for programs.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// Whether the plan allows all that it suggests.
    pub compatible: bool,
    /// Whether environments can be made of it on this plan at all, with what the plan allows.
    pub usable: bool,
    /// The plan of who asks.
    pub user_plan: PlanWord,
    /// What it suggests.
    pub requirements: Amounts,
    /// What an environment gets that asks for nothing in particular.
    pub granted: Amounts,
    /// What is less than it suggests, a sentence each.
    pub limitations: Vec<String>,
}

impl TemplateCompatibility {
    /// Of a template that may be used, with a plan.
    #[must_use]
    pub fn new(template: &templates::Template, plan: Plan, allowance: &Allowance) -> Self {
        let requirements = Amounts {
            cpu: template.default_resources_cpu.clone(),
            memory: template.default_resources_memory.clone(),
            storage: template.default_resources_storage.clone(),
        };
        let granted = Amounts {
            cpu: allowance.at_most_cpu(requirements.cpu.clone()),
            memory: allowance.at_most_memory(requirements.memory.clone()),
            storage: allowance.at_most_storage(requirements.storage.clone()),
        };
        let limitations: Vec<_> = [
            ("CPU", &requirements.cpu, &granted.cpu),
            ("memory", &requirements.memory, &granted.memory),
            ("storage", &requirements.storage, &granted.storage),
        ]
        .into_iter()
        .filter(|(_, suggested, given)| suggested != given)
        .map(|(what, suggested, given)| {
            format!("It suggests {suggested} of {what}, your plan allows {given}")
        })
        .collect();
        Self {
            template_id: template.id.clone(),
            name: template.name.clone(),
            display_name: template.display_name.clone(),
            compatible: limitations.is_empty(),
            usable: allowance.environments > 0,
            user_plan: plan.into(),
            requirements,
            granted,
            limitations,
        }
    }
}

impl View for TemplateCompatibility {}

/// What loading the server's own templates did.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplatesLoaded {
    /// For people.
    pub message: String,
    /// New ones.
    pub created: usize,
    /// Those that a newer server brings in another version.
    pub updated: usize,
    /// Those that were loaded before.
    pub skipped: usize,
    /// The same as `created`.
    pub templates_created: usize,
}

impl From<Synced> for TemplatesLoaded {
    fn from(synced: Synced) -> Self {
        let Synced { created, updated, unchanged } = synced;
        Self {
            message: format!(
                "Templates initialized: {created} created, {updated} updated, {unchanged} skipped"
            ),
            created,
            updated,
            skipped: unchanged,
            templates_created: created,
        }
    }
}

impl View for TemplatesLoaded {}
