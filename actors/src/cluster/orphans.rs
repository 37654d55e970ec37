//! What is on a cluster that should not be there, and what should be there and is not.
//!
//! The rules:
//! * Something of an environment whose row is **terminated** is left over from a deletion that
//!   was cut short: it is removed.
//! * Something of an environment **without a row** is reported and kept. It holds somebody's
//!   files, and a database that was restored from a backup knows less than the cluster.
//! * An environment that came up before and has **nothing** on its cluster has lost its volume:
//!   that is reported; its actor makes it anew, with an empty volume. One that is being deleted
//!   has not.

use std::collections::{HashMap, HashSet};

use crate::persistence::environments::{self, Fate};
use crate::persistence::{DesiredState, EnvironmentStatus, Persistence};
use crate::runtime::{EnvironmentKey, Runtime};

/// The most ids that a report names.
const NAMED: usize = 20;

/// What a survey found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Left over from deletions, and removed now.
    pub removed: Vec<String>,
    /// Left over from deletions, and still there: removing them failed.
    pub stuck: Vec<String>,
    /// Without a row.
    pub unknown: Vec<String>,
    /// Rows that should have a volume there, and have not.
    pub lost: Vec<String>,
}

/// Compares a cluster with the database, and removes what was to be deleted.
///
/// # Errors
/// Why one of the two could not be asked.
pub async fn survey(
    cluster: &str,
    runtime: &dyn Runtime,
    persistence: &Persistence,
) -> Result<Survey, String> {
    // What is there first: a row is written before anything is made, so whatever is there by
    // then has one, if it ever had.
    let present = runtime.inventory().await.map_err(|error| error.to_string())?;
    let rows = environments::fates(persistence.pool(), cluster, &present).await;
    let rows: HashMap<String, Fate> =
        rows.map_err(|error| error.to_string())?.into_iter().map(|row| (row.id.clone(), row)).collect();
    let mut survey = Survey::default();
    for id in &present {
        match rows.get(id) {
            None => survey.unknown.push(id.clone()),
            Some(row) if row.status == EnvironmentStatus::Terminated => {
                let key = EnvironmentKey { id: id.clone(), user_id: row.user_id.clone() };
                match runtime.delete(&key).await {
                    Ok(()) => survey.removed.push(id.clone()),
                    Err(error) => {
                        tracing::warn!(cluster, environment = id, %error, "what is left of an environment stays");
                        survey.stuck.push(id.clone());
                    }
                }
            }
            Some(_) => {}
        }
    }
    let present: HashSet<&String> = present.iter().collect();
    let missing = |row: &&Fate| {
        row.installed && row.desired_state != DesiredState::Terminated && !present.contains(&row.id)
    };
    survey.lost = rows.values().filter(missing).map(|row| row.id.clone()).collect();
    if !survey.lost.is_empty() {
        // They may have come up since the cluster was asked.
        let present = runtime.inventory().await.map_err(|error| error.to_string())?;
        let present: HashSet<String> = present.into_iter().collect();
        survey.lost.retain(|id| !present.contains(id));
        survey.lost.sort_unstable();
    }
    Ok(survey)
}

impl Survey {
    /// The gravest of what was found that somebody has to look at, in a word or two.
    pub(super) fn word(&self) -> Option<&'static str> {
        if !self.lost.is_empty() {
            Some("volumes lost")
        } else if !self.stuck.is_empty() {
            Some("deletions stuck")
        } else if !self.unknown.is_empty() {
            Some("unknown environments")
        } else {
            None
        }
    }

    /// Tells the operator.
    pub(super) fn report(&self, cluster: &str) {
        let some = |ids: &[String]| ids.iter().take(NAMED).cloned().collect::<Vec<_>>().join(" ");
        if !self.removed.is_empty() {
            let count = self.removed.len();
            tracing::info!(cluster, count, "removed what deletions had left: {}", some(&self.removed));
        }
        if !self.unknown.is_empty() {
            let count = self.unknown.len();
            tracing::warn!(
                cluster,
                count,
                "environments on the cluster that the database does not know; they are kept, remove them by \
                 hand if they are not needed: {}",
                some(&self.unknown)
            );
        }
        if !self.lost.is_empty() {
            let count = self.lost.len();
            tracing::error!(cluster, count, "environments whose volumes are gone: {}", some(&self.lost));
        }
    }
}
