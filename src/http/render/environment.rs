//! Environments.

use chrono::Utc;
use devpocket_actors::persistence::environments::EnvironmentView;
use devpocket_actors::persistence::records::StoredMetric;
use devpocket_actors::persistence::terminals::TerminalSession;
use serde_json::{Value, json};

use super::{both, extend, optional_timestamp, session, timestamp};

/// What list and detail share.
fn common(view: &EnvironmentView) -> Value {
    let row = &view.environment;
    let resources = json!({
        "cpu": row.resources_cpu,
        "memory": row.resources_memory,
        "storage": row.resources_storage,
    });
    both(json!({
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "templateId": row.template_id,
        "clusterId": row.cluster_id,
        "status": row.status,
        "statusReason": row.status_reason,
        "dockerImage": row.docker_image,
        "port": row.port,
        "webPort": row.web_port,
        "resources": resources,
        "resource_limits": resources,
        "environmentVariables": row.environment_variables,
        "installationCompleted": row.installation_completed,
        "externalUrl": row.external_url,
        "url": row.external_url,
        "createdAt": timestamp(row.created_at),
        "updatedAt": timestamp(row.updated_at),
        "lastActivityAt": optional_timestamp(row.last_activity_at),
        "last_activity": optional_timestamp(row.last_activity_at),
        "last_accessed": optional_timestamp(row.last_activity_at),
        "cpuUsage": row.cpu_usage,
        "memoryUsage": row.memory_usage,
        "storageUsage": row.storage_usage,
    }))
}

/// An environment in a list, or just made.
#[must_use]
pub fn environment(view: &EnvironmentView) -> Value {
    let mut body = common(view);
    let names = json!({
        "templateName": view.template_display_name,
        "clusterName": view.cluster_name,
        "template": view.template_name,
    });
    extend(&mut body, both(names));
    body
}

/// An environment with its template, its cluster and its live sessions.
#[must_use]
pub fn environment_detail(view: &EnvironmentView, sessions: &[TerminalSession]) -> Value {
    let mut body = common(view);
    let row = &view.environment;
    let more = json!({
        "template": {
            "name": view.template_name,
            "displayName": view.template_display_name,
            "description": view.template_description,
            "category": view.template_category,
            "tags": view.template_tags,
        },
        "cluster": { "name": view.cluster_name, "region": view.cluster_region },
        "kubernetesNamespace": row.kubernetes_namespace,
        "kubernetesPodName": row.kubernetes_pod_name,
        "kubernetesServiceName": row.kubernetes_service_name,
        "terminalSessions": sessions.iter().map(session).collect::<Vec<_>>(),
    });
    extend(&mut body, both(more));
    body
}

/// Log lines, as one text.
#[must_use]
pub fn log_lines(view: &EnvironmentView, lines: &[String], wanted: u32) -> Value {
    both(json!({
        "environmentId": view.environment.id,
        "environmentName": view.environment.name,
        "logs": lines.join("\n"),
        "lines": lines.len(),
        "total": lines.len(),
        "totalLines": lines.len(),
        "hasMore": lines.len() >= wanted as usize,
        "timestamp": timestamp(Utc::now()),
    }))
}

/// What an environment uses, and used.
#[must_use]
pub fn metrics(view: &EnvironmentView, history: &[StoredMetric]) -> Value {
    let row = &view.environment;
    let newest = history.first();
    let historical: Vec<_> = history
        .iter()
        .map(|metric| {
            json!({
                "cpuUsage": metric.cpu_usage,
                "memoryUsage": metric.memory_usage,
                "storageUsage": metric.storage_usage,
                "networkIn": metric.network_rx,
                "networkOut": metric.network_tx,
                "timestamp": timestamp(metric.timestamp),
            })
        })
        .collect();
    let at = newest.map_or_else(Utc::now, |metric| metric.timestamp);
    both(json!({
        "environmentId": row.id,
        "status": row.status,
        "current": {
            "cpuUsage": row.cpu_usage,
            "memoryUsage": row.memory_usage,
            "storageUsage": row.storage_usage,
            "timestamp": timestamp(at),
        },
        "historical": historical,
        "resources": { "limits": {
            "cpu": row.resources_cpu, "memory": row.resources_memory, "storage": row.resources_storage,
        } },
        "cpuUsage": row.cpu_usage,
        "memoryUsage": row.memory_usage,
        "storageUsage": row.storage_usage,
        "disk_usage": row.storage_usage,
        "networkIn": newest.map(|metric| metric.network_rx),
        "networkOut": newest.map(|metric| metric.network_tx),
        "timestamp": timestamp(at),
    }))
}
