//! Templates and clusters. One that is here under the same name takes the old one's place.

use std::collections::HashMap;

use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::rows::{Row, Table, last_id, text};
use super::{Import, ImportError, kubeconfig, report::Count};
use crate::cluster::stored;

const TEMPLATES: Table = Table {
    name: "templates",
    columns: "id, name, display_name, description, category, tags, docker_image, default_port, \
              default_resources_cpu, default_resources_memory, default_resources_storage, \
              environment_variables, startup_commands, documentation_url, icon_url, status, version, \
              usage_count, created_at, updated_at",
};

const CLUSTERS: Table = Table {
    name: "clusters",
    columns: "id, name, description, provider, region, kubeconfig, status, node_count, created_at, updated_at",
};

const USER_CLUSTERS: Table =
    Table { name: "user_clusters", columns: "id, user_id, cluster_id, role, created_at" };

impl Import<'_> {
    pub(super) async fn templates(&mut self) -> Result<(), ImportError> {
        let by_name = "SELECT id FROM templates WHERE name = $1";
        let mut changed = HashMap::new();
        self.named(&TEMPLATES, by_name, &mut changed, Self::fill_lists).await?;
        self.templates = changed;
        Ok(())
    }

    pub(super) async fn clusters(&mut self) -> Result<(), ImportError> {
        let by_name = "SELECT id FROM clusters WHERE name = $1 AND deleted_at IS NULL";
        let mut changed = HashMap::new();
        self.named(&CLUSTERS, by_name, &mut changed, Self::seal_kubeconfig).await?;
        self.clusters = changed;
        Ok(())
    }

    /// Adds a table's rows; of one whose name is here already, notes which id it has here.
    async fn named(
        &mut self,
        table: &Table,
        by_name: &'static str,
        changed: &mut HashMap<String, String>,
        prepare: fn(&mut Self, &mut Row) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let (mut count, mut after) = (Count::default(), String::new());
        loop {
            let rows = table.page(&mut *self.source, &after).await?;
            let Some(last) = last_id(&rows) else { break };
            after = last;
            for mut row in rows {
                count.read += 1;
                let (id, name) = (text(&row, "id").to_owned(), text(&row, "name").to_owned());
                let here: Option<String> = sqlx::query_scalar(by_name)
                    .bind(&name)
                    .fetch_optional(&mut *self.target)
                    .await
                    .map_err(ImportError::target)?;
                let ids = [id.clone()];
                match here {
                    _ if !table.present(&mut *self.target, &ids).await?.is_empty() => count.present += 1,
                    Some(here) => {
                        let what = table.name.trim_end_matches('s');
                        self.report.note(format!("the {what} {name} is here already and stays as it is"));
                        changed.insert(id, here);
                        count.present += 1;
                    }
                    None => {
                        prepare(self, &mut row)?;
                        count.added += table.add(&mut *self.target, vec![row], "true").await?.len() as u64;
                    }
                }
            }
        }
        self.report.count(table.name, count);
        Ok(())
    }

    /// The old columns may be NULL, which read as empty there.
    fn fill_lists(&mut self, row: &mut Row) -> Result<(), ImportError> {
        for column in ["tags", "startup_commands"] {
            row.entry(column).and_modify(|list| {
                if list.is_null() {
                    *list = Value::Array(Vec::new());
                }
            });
        }
        Ok(())
    }

    fn seal_kubeconfig(&mut self, row: &mut Row) -> Result<(), ImportError> {
        let (id, name) = (text(row, "id").to_owned(), text(row, "name").to_owned());
        let kept = if let Some(opened) = kubeconfig::open(self.old_key.as_ref(), text(row, "kubeconfig")) {
            let sealed = self.vault.seal(&stored::place(&id), opened.expose_secret().as_bytes());
            sealed.map_err(|error| ImportError::Target(error.to_string()))?.expose().to_owned()
        } else {
            self.report.problem(format!(
                "cluster {name}: its kubeconfig cannot be opened, so it is INACTIVE. Name the old server's \
                 SECRET_KEY with --old-secret-env and import into an empty database, or add the cluster anew: \
                 devpocket cluster add {name} --kubeconfig FILE"
            ));
            row.insert("status".into(), Value::String("INACTIVE".into()));
            String::new()
        };
        row.insert("kubeconfig".into(), Value::String(kept));
        Ok(())
    }

    pub(super) async fn user_clusters(&mut self) -> Result<(), ImportError> {
        let (mut count, mut after) = (Count::default(), String::new());
        loop {
            let Some(mut rows) = self.page_of_users(&USER_CLUSTERS, &mut after, &mut count).await? else {
                break;
            };
            for row in &mut rows {
                self.put_id(row, "cluster_id");
            }
            let wanted = rows.len() as u64;
            // Also one that is here under another id counts as present.
            let new = "NOT EXISTS (SELECT FROM user_clusters u
                                   WHERE u.user_id = r.user_id AND u.cluster_id = r.cluster_id)";
            let added = USER_CLUSTERS.add(&mut *self.target, rows, new).await?.len() as u64;
            count.added += added;
            count.present += wanted - added;
        }
        self.report.count("user_clusters", count);
        Ok(())
    }

    /// The id that a template or cluster has here.
    pub(super) fn put_id(&self, row: &mut Row, column: &'static str) {
        let map = if column == "cluster_id" { &self.clusters } else { &self.templates };
        if let Some(here) = map.get(text(row, column)) {
            row.insert(column.into(), Value::String(here.clone()));
        }
    }
}
