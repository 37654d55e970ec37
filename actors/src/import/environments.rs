//! Environments and their records.

use std::collections::BTreeMap;

use serde_json::Value;

use super::rows::{Row, Table, last_id, text};
use super::{Import, ImportError, report::Count};
use crate::persistence::{KeptVariables, Variables};

/// Without `installation_completed`: volumes do not come along, so what was installed is not there.
const ENVIRONMENTS: Table = Table {
    name: "environments",
    columns: "id, name, description, user_id, template_id, cluster_id, desired_state, status, docker_image, \
              port, web_port, resources_cpu, resources_memory, resources_storage, environment_variables, \
              last_activity_at, created_at, updated_at",
};

const LOGS: Table = Table {
    name: "environment_logs",
    columns: "id, environment_id, level, message, source, metadata, timestamp",
};

const METRICS: Table = Table {
    name: "environment_metrics",
    columns: "id, environment_id, cpu_usage, memory_usage, storage_usage, network_rx, network_tx, timestamp",
};

const HAS_ENVIRONMENT: &str = "EXISTS (SELECT FROM environments e WHERE e.id = r.environment_id)";

impl Import<'_> {
    pub(super) async fn environments(&mut self) -> Result<(), ImportError> {
        let (mut count, mut after) = (Count::default(), String::new());
        loop {
            let Some(mut rows) = self.page_of_users(&ENVIRONMENTS, &mut after, &mut count).await? else {
                break;
            };
            let ids: Vec<String> = rows.iter().map(|row| text(row, "id").to_owned()).collect();
            let present = ENVIRONMENTS.present(&mut *self.target, &ids).await?;
            count.present += present.len() as u64;
            rows.retain(|row| !present.iter().any(|id| id == text(row, "id")));
            for mut row in rows {
                self.prepare(&mut row).await?;
                count.added += ENVIRONMENTS.add(&mut *self.target, vec![row], "true").await?.len() as u64;
            }
        }
        self.report.count("environments", count);
        Ok(())
    }

    async fn prepare(&mut self, row: &mut Row) -> Result<(), ImportError> {
        self.put_id(row, "template_id");
        self.put_id(row, "cluster_id");
        let desired = match text(row, "status") {
            "TERMINATED" => "TERMINATED",
            "STOPPED" | "STOPPING" | "ERROR" => "STOPPED",
            _ => "RUNNING",
        };
        row.insert("desired_state".into(), Value::String(desired.into()));
        if desired != "TERMINATED" {
            let (name, user) = (text(row, "name").to_owned(), text(row, "user_id").to_owned());
            let free = self.free_name(&user, &name).await?;
            if free != name {
                let id = text(row, "id");
                self.report.note(format!("environment {id}: {name} is taken, so it is {free} here"));
                row.insert("name".into(), Value::String(free));
            }
        }
        let variables = row.get("environment_variables").map(variables).unwrap_or_default();
        let kept = KeptVariables::seal(self.vault, text(row, "id"), &variables);
        let kept = kept.map_err(|error| ImportError::Target(error.to_string()))?;
        row.insert("environment_variables".into(), serde_json::to_value(kept).unwrap_or_default());
        Ok(())
    }

    /// The name, or the first of `name-2`, `name-3`, … that no living environment of the person has.
    async fn free_name(&mut self, user: &str, name: &str) -> Result<String, ImportError> {
        let taken = "SELECT EXISTS (SELECT FROM environments
                                    WHERE user_id = $1 AND name = $2 AND status <> 'TERMINATED')";
        let mut free = name.to_owned();
        for number in 2_u32.. {
            let query = sqlx::query_scalar(taken).bind(user).bind(&free);
            if !query.fetch_one(&mut *self.target).await.map_err(ImportError::target)? {
                break;
            }
            free = format!("{name}-{number}");
        }
        Ok(free)
    }

    pub(super) async fn records(&mut self) -> Result<(), ImportError> {
        for table in [&LOGS, &METRICS] {
            let (mut count, mut after) = (Count::default(), String::new());
            loop {
                let rows = table.page(&mut *self.source, &after).await?;
                let Some(last) = last_id(&rows) else { break };
                after = last;
                let read = rows.len() as u64;
                let ids: Vec<String> = rows.iter().map(|row| text(row, "id").to_owned()).collect();
                let present = table.present(&mut *self.target, &ids).await?.len() as u64;
                let added = table.add(&mut *self.target, rows, HAS_ENVIRONMENT).await?.len() as u64;
                count.read += read;
                count.present += present;
                count.added += added;
                count.left_out += read - present - added;
            }
            self.report.count(table.name, count);
        }
        Ok(())
    }
}

/// The old column took any JSON; here variables are texts.
fn variables(value: &Value) -> Variables {
    let Value::Object(all) = value else { return Variables::default() };
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    Variables(
        all.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect::<BTreeMap<_, _>>(),
    )
}
