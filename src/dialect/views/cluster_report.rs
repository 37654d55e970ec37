//! How a cluster is.

use std::time::Duration;

use devpocket_actors::persistence::RuntimeKind;
use devpocket_actors::persistence::clusters::ClusterWithLoad;
use devpocket_actors::runtime::Resources;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::view::{spelled, with};
use super::cluster::{Known, Sums, word};
use super::{Timestamp, View};

/// A health report: a union of what clients look for.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterReport {
    /// Which.
    pub cluster_id: String,
    /// Its name.
    pub cluster_name: String,
    /// `healthy`, `degraded`, `unhealthy`, or `checking` while that is not known.
    pub status: &'static str,
    /// The same for people.
    pub message: String,
    /// Its machines, where they can be counted.
    pub nodes: Option<u32>,
    /// The same.
    pub node_count: Option<u32>,
    /// Those that take environments.
    pub ready_nodes: Option<u32>,
    /// Percent of what there is; `null` where nobody tells.
    pub cpu_usage: Option<f64>,
    /// Likewise.
    pub memory_usage: Option<f64>,
    /// Likewise.
    pub storage_usage: Option<f64>,
    /// What all its machines have.
    pub available_resources: Option<Sums>,
    /// When it was last looked at.
    pub last_check: Option<Timestamp>,
    /// The same.
    pub last_checked: Option<Timestamp>,
    /// How long its answer took, in milliseconds.
    pub response_time_ms: Option<u64>,
    /// What is wrong.
    pub error_message: Option<String>,
    /// Its parts.
    pub components: Vec<ComponentThere>,
}

/// A part of a cluster.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ComponentThere {
    /// Which.
    pub name: &'static str,
    /// `healthy`, `degraded` or `unhealthy`.
    pub status: &'static str,
    /// Why.
    pub message: String,
}

impl ClusterReport {
    /// Of a cluster and how it is.
    #[must_use]
    pub fn new(row: &ClusterWithLoad, known: &Known) -> Self {
        let health = known.as_ref().ok().and_then(Option::as_ref);
        let capacity = health.and_then(|health| health.capacity);
        let wrong = match known {
            Err(why) => Some(why.clone()),
            Ok(known) => known.as_ref().and_then(|health| health.result.clone().err()),
        };
        let status = word(known);
        let usage = |part: fn(&Resources) -> f64| {
            let (total, used) = capacity.and_then(|capacity| Some((capacity.total, capacity.used?)))?;
            Some(((part(&used) / part(&total).max(1.0)) * 1000.0).round().clamp(0.0, 1000.0) / 10.0)
        };
        let checked = health.map(|health| Timestamp(health.checked_at));
        let component = |name, good: bool, bad: &'static str, message: String| ComponentThere {
            name,
            status: if good { "healthy" } else { bad },
            message,
        };
        let place = if row.cluster.runtime == RuntimeKind::Local { "sandbox" } else { "api-server" };
        let answer = wrong.clone().unwrap_or_else(|| "answers".to_owned());
        let mut components = vec![component(place, wrong.is_none(), "unhealthy", answer)];
        if let Some(capacity) = capacity {
            let (ready, all) = (capacity.ready_nodes, capacity.nodes);
            components.push(component(
                "nodes",
                ready == all,
                "degraded",
                format!("{ready} of {all} are ready"),
            ));
        }
        if let Some(health) = health {
            let found = health.found.unwrap_or("as the database says");
            components.push(component("environments", health.found.is_none(), "degraded", found.to_owned()));
        }
        Self {
            cluster_id: row.cluster.id.clone(),
            cluster_name: row.cluster.name.clone(),
            status,
            message: wrong.clone().unwrap_or_else(|| format!("The cluster is {status}")),
            nodes: capacity.map(|capacity| capacity.nodes),
            node_count: capacity.map(|capacity| capacity.nodes),
            ready_nodes: capacity.map(|capacity| capacity.ready_nodes),
            cpu_usage: usage(|amounts| f64::from(amounts.cpu_millis)),
            memory_usage: usage(|amounts| amounts.memory_bytes as f64),
            storage_usage: usage(|amounts| amounts.storage_bytes as f64),
            available_resources: capacity.map(|capacity| capacity.total.into()),
            last_check: checked,
            last_checked: checked,
            response_time_ms: health.map(|health| millis(health.took)),
            error_message: wrong,
            components,
        }
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

impl View for ClusterReport {
    fn snake(&self) -> Value {
        let parts: serde_json::Map<String, Value> = self
            .components
            .iter()
            .map(|part| (part.name.to_owned(), json!({ "status": part.status, "message": part.message })))
            .collect();
        with(spelled(self), json!({ "details": parts }))
    }
}
