//! `devpocket cluster`: the clusters that are kept in the database.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use devpocket_actors::cluster::stored;
use devpocket_actors::persistence::clusters::{self, Cluster, DeleteCluster, UpsertCluster};
use devpocket_actors::persistence::{ClusterStatus, Hidden, RuntimeKind, new_id};
use devpocket_actors::runtime::kubernetes::connect::{self, Client};
use devpocket_actors::templates::rules;
use secrecy::SecretString;

use super::admin::persistence;
use super::{Configured, runtime};
use crate::config::Config;

/// The largest kubeconfig that is read.
const MAX_KUBECONFIG: u64 = 256 * 1024;

/// What can be done with clusters.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Keep a cluster's kubeconfig in the database, sealed with SECRET_KEY
    ///
    /// Asks the cluster first whether all is there that environments need. Adding a cluster of the
    /// same name replaces its kubeconfig, and what else is said here; the rest stays. Running servers take it up within half a minute.
    Add {
        /// What to call it
        name: String,
        /// The kubeconfig; `-` reads it from standard input
        #[arg(long, value_name = "FILE")]
        kubeconfig: PathBuf,
        /// Which of its contexts; without it, the current one
        #[arg(long)]
        context: Option<String>,
        /// Where it is, for people who choose [default: default]
        #[arg(long)]
        region: Option<String>,
        /// Environments go there when nobody says where
        #[arg(long)]
        default: bool,
        /// The most environments on it [default: 100]
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..=100_000))]
        max_environments: Option<i32>,
        /// How to reach the database.
        #[command(flatten)]
        configured: Configured,
    },
    /// List the clusters
    List {
        /// How to reach the database.
        #[command(flatten)]
        configured: Configured,
    },
    /// Forget a cluster; refused while environments are on it
    Remove {
        /// Its name
        name: String,
        /// How to reach the database.
        #[command(flatten)]
        configured: Configured,
    },
}

pub(super) async fn run(command: ClusterCommand) -> anyhow::Result<ExitCode> {
    match command {
        ClusterCommand::Add { name, kubeconfig, context, region, default, max_environments, configured } => {
            let config = configured.read()?;
            let text = read_kubeconfig(&kubeconfig)?;
            let wanted = Wanted { name, text, context, region, default, max_environments };
            add(&config, wanted).await
        }
        ClusterCommand::List { configured } => list(&configured.read()?).await,
        ClusterCommand::Remove { name, configured } => remove(&configured.read()?, &name).await,
    }
}

struct Wanted {
    name: String,
    text: SecretString,
    context: Option<String>,
    region: Option<String>,
    default: bool,
    max_environments: Option<i32>,
}

impl Wanted {
    /// The row, without its kubeconfig; of one that is there already, what nothing is said of stays.
    fn row(self, known: Option<Cluster>) -> UpsertCluster {
        let known = known.as_ref();
        UpsertCluster {
            id: known.map_or_else(new_id, |known| known.id.clone()),
            description: known.and_then(|known| known.description.clone()),
            provider: known.map_or_else(|| "kubernetes".to_owned(), |known| known.provider.clone()),
            region: self
                .region
                .or_else(|| known.map(|known| known.region.clone()))
                .unwrap_or_else(|| "default".to_owned()),
            kubeconfig: Hidden::new(String::new()),
            runtime: RuntimeKind::Kubernetes,
            // Whoever brings another kubeconfig wants it used.
            status: ClusterStatus::Active,
            is_default: self.default || known.is_some_and(|known| known.is_default),
            node_count: known.map_or(1, |known| known.node_count),
            max_environments: self
                .max_environments
                .or_else(|| known.map(|known| known.max_environments))
                .unwrap_or(100),
            name: self.name,
        }
    }
}

async fn add(config: &Config, wanted: Wanted) -> anyhow::Result<ExitCode> {
    if !rules::is_name(&wanted.name) {
        bail!("the name must be 1 to 50 letters, digits, `-` or `_`");
    }
    let examined =
        stored::examine(&wanted.text, wanted.context.as_deref(), &config.kubernetes.environments).await?;
    for finding in &examined.findings {
        if let Err(why) = &finding.result {
            println!("{:<5} {:<46} {why}", if finding.needed { "FAIL" } else { "note" }, finding.subject);
        }
    }
    if !examined.missing().is_empty() {
        bail!("the cluster lacks what environments need; nothing was stored");
    }
    let (persistence, _workers) = persistence(config)?;
    let known = clusters::by_id_or_name(persistence.pool(), &wanted.name).await?;
    if known.as_ref().is_some_and(|known| known.cluster.name != wanted.name) {
        bail!("{} is the id of another cluster; choose another name", wanted.name);
    }
    if known.as_ref().is_some_and(|known| known.cluster.runtime != RuntimeKind::Kubernetes) {
        bail!("{} is not a Kubernetes cluster; choose another name", wanted.name);
    }
    let row = wanted.row(known.map(|known| known.cluster));
    let row = stored::seal(&config.vault(), row, &examined.text)?;
    let Cluster { name, .. } = persistence.write(row).await?;
    println!("{name} is stored; running servers use it within half a minute");
    Ok(ExitCode::SUCCESS)
}

async fn list(config: &Config) -> anyhow::Result<ExitCode> {
    let (persistence, _workers) = persistence(config)?;
    for row in clusters::list(persistence.pool(), None).await? {
        let cluster = &row.cluster;
        println!(
            "{:<20} {:<10} {:<11} {:>5} environments  {}{}",
            cluster.name,
            cluster.runtime.as_str(),
            cluster.status.as_str(),
            row.active_environments,
            cluster.region,
            if cluster.is_default { "  (default)" } else { "" },
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn remove(config: &Config, name: &str) -> anyhow::Result<ExitCode> {
    let (persistence, _workers) = persistence(config)?;
    let Some(known) = clusters::by_id_or_name(persistence.pool(), name).await? else {
        bail!("there is no cluster {name}");
    };
    persistence.write(DeleteCluster { id: known.cluster.id }).await?;
    println!("{name} is forgotten");
    Ok(ExitCode::SUCCESS)
}

fn read_kubeconfig(path: &Path) -> anyhow::Result<SecretString> {
    let mut text = String::new();
    let reading = || format!("reading {}", path.display());
    if path == Path::new("-") {
        std::io::stdin().take(MAX_KUBECONFIG).read_to_string(&mut text).with_context(reading)?;
    } else {
        let file = std::fs::File::open(path).with_context(reading)?;
        file.take(MAX_KUBECONFIG).read_to_string(&mut text).with_context(reading)?;
    }
    Ok(text.into())
}

/// The way to a cluster by its name: the given one, or one of the database.
pub(super) async fn client_of(config: &Config, name: &str) -> anyhow::Result<Client> {
    if name == config.kubernetes.cluster
        && let Some(access) = runtime::access(&config.kubernetes)
    {
        return Ok(connect::client(&access).await?);
    }
    let (persistence, _workers) = persistence(config)?;
    let Some(known) = clusters::by_id_or_name(persistence.pool(), name).await? else {
        let names: Vec<_> =
            clusters::list(persistence.pool(), None).await?.into_iter().map(|row| row.cluster.name).collect();
        bail!("there is no cluster {name}; there are: {}", names.join(", "));
    };
    if known.cluster.runtime != RuntimeKind::Kubernetes {
        bail!("{name} is this machine, not a Kubernetes cluster: doctor without --cluster looks at it");
    }
    let access = stored::access(Some(&config.vault()), &known.cluster).map_err(anyhow::Error::msg)?;
    Ok(connect::client(&access).await?)
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    fn known() -> Cluster {
        Cluster {
            id: "id".into(),
            name: "far".into(),
            description: Some("d".into()),
            provider: "ovh".into(),
            region: "west".into(),
            kubeconfig: Hidden::new("v1.old".into()),
            runtime: RuntimeKind::Kubernetes,
            status: ClusterStatus::Inactive,
            is_default: true,
            restricted: true,
            node_count: 7,
            max_environments: 9,
            created_at: Utc::now(),
            updated_at: Utc::now(),
        }
    }

    fn wanted(region: Option<&str>) -> Wanted {
        Wanted {
            name: "far".into(),
            text: "hunter2".into(),
            context: None,
            region: region.map(str::to_owned),
            default: false,
            max_environments: None,
        }
    }

    #[test]
    fn another_kubeconfig_leaves_the_rest_as_it_is() {
        let row = wanted(None).row(Some(known()));
        assert_eq!((row.id.as_str(), row.region.as_str(), row.provider.as_str()), ("id", "west", "ovh"));
        assert_eq!((row.is_default, row.node_count, row.max_environments), (true, 7, 9));
        assert_eq!(row.status, ClusterStatus::Active);
        assert_eq!(wanted(Some("east")).row(Some(known())).region, "east");
        let new = wanted(None).row(None);
        assert_eq!((new.region.as_str(), new.is_default, new.max_environments), ("default", false, 100));
    }
}
