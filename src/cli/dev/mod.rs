//! `devpocket dev`: everything on this machine, nothing to set up.
//!
//! All it keeps lies in one data directory: the private database ([`files`] has the rest: keys,
//! accounts, the lock that keeps a second instance out), environments, mails. Instances with
//! their own directory and port run side by side.

mod accounts;
mod banner;
mod files;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use devpocket_actors::persistence::connect;
use devpocket_actors::persistence::embedded::{Options, PrivatePostgres};
use devpocket_actors::{LOCAL_CLUSTER, templates};
use sqlx::PgPool;

use self::files::{DataDir, Keys};
use super::runtime::{self, Wanted};
use super::serve;
use super::signals::Signals;
use crate::config::{Config, Source};
use crate::running::url_of;
use crate::{Parts, Running, Server, logging};

/// Names a database to use instead of a private one.
const DATABASE: &str = "DEVPOCKET_DATABASE_URL";

/// The name of the cluster of `--kubeconfig`.
const GIVEN_CLUSTER: &str = "kubernetes";

/// Connections to the private database.
const CONNECTIONS: u32 = 16;

/// Serve from this machine alone
///
/// Starts a private PostgreSQL, runs environments in sandboxes (needs bubblewrap), writes mails
/// to files and makes a demo account. Everything is kept in the data directory; delete it to
/// begin anew. Variables of `devpocket serve` (rate limits, plan limits, LOG_LEVEL, …) count here too.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8000")]
    pub listen: String,
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = ".devpocket", env = "DEVPOCKET_DATA_DIR")]
    pub data_dir: PathBuf,
    /// Run environments without a sandbox: their programs can do whatever you can
    #[arg(long)]
    pub unsandboxed: bool,
    /// Offer the templates of this directory too
    #[arg(long, value_name = "DIR")]
    pub templates: Option<PathBuf>,
    /// Run environments on the Kubernetes cluster of this file instead of on this machine
    ///
    /// The cluster's nodes need the agent's image: `make agent-image` writes it as an archive for
    /// `kind load image-archive` or `ctr images import`.
    #[arg(long, value_name = "FILE", conflicts_with = "unsandboxed")]
    pub kubeconfig: Option<PathBuf>,
    /// The image that brings the agent into pods
    #[arg(long, value_name = "IMAGE", requires = "kubeconfig")]
    pub agent_image: Option<String>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::catch()?;
    let data = DataDir::open(&args.data_dir)?;
    let listener = serve::listen(&args.listen).await?;
    let url = url_of(listener.local_addr()?);
    let config = Config::read(&source(&data, &data.keys()?, &url, &args))?;
    logging::start(&config.log).map_err(anyhow::Error::msg)?;
    let cluster = match runtime::given(&config.kubernetes).await.map_err(anyhow::Error::msg)? {
        Some(given) => given,
        None => {
            let wanted = Wanted { root: data.path("environments"), unsandboxed: args.unsandboxed };
            runtime::local(&wanted).await.map_err(|why| {
                anyhow::anyhow!(
                    "{why}\n(--unsandboxed runs environments without a sandbox, on your own account)"
                )
            })?
        }
    };
    let ready = async {
        let (postgres, pool) = database(&data).await?;
        let parts = Parts { config, listener, pool, clusters: vec![cluster] };
        let running = Server::start(parts).await.context("cannot start")?;
        anyhow::Ok((postgres, running))
    };
    let (postgres, running) = tokio::select! {
        ready = ready => ready?,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    let prepared = prepare(&data, &running, &url, args.templates.as_deref()).await;
    let broken = match &prepared {
        Ok(()) => tokio::select! {
            () = signals.next() => false,
            () = running.asked_to_end() => false,
            () = running.broken() => true,
        },
        Err(_) => true,
    };
    eprintln!("devpocket: ending; environments go on (a second Ctrl-C ends at once)");
    signals
        .until_done(async {
            running.stop().await;
            if let Some(postgres) = postgres
                && let Err(error) = postgres.stop().await
            {
                tracing::warn!(%error, "the private PostgreSQL did not end in good order");
            }
            data.forget_server();
        })
        .await;
    prepared?;
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The variables: what must be so here, over the environment, over defaults for one person.
fn source(data: &DataDir, keys: &Keys, url: &str, args: &Args) -> Source {
    let pairs = |pairs: &[(&str, &str)]| {
        Source::of(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    };
    let defaults = pairs(&[
        ("LOG_LEVEL", "warn,devpocket=info,devpocket_actors=info"),
        ("BCRYPT_ROUNDS", "10"),
        ("TRUST_PROXY_HOPS", "0"),
        ("RATE_LIMIT_MAX_REQUESTS", "10000"),
        ("AUTH_RATE_LIMIT_MAX_REQUESTS", "100"),
        ("FRONTEND_URL", url),
        // Several development servers may use one cluster.
        ("DEVPOCKET_INSTALLATION", &keys.installation()),
    ]);
    let kubeconfig = args.kubeconfig.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
    let outbox = data.path("outbox").display().to_string();
    let forced = pairs(&[
        // Read for its form only; the private database needs none.
        ("DATABASE_URL", "postgres:///devpocket"),
        ("JWT_SECRET", keys.jwt_secret()),
        ("SECRET_KEY", keys.secret_key()),
        ("BASE_URL", url),
        ("SMTP_URL", ""),
        ("MAIL_OUTBOX_DIR", &outbox),
        ("LOCAL_RUNTIME_DIR", ""),
        // A variable that is meant for other programs must not move environments to a cluster.
        ("KUBECONFIG", &kubeconfig),
        ("KUBERNETES_IN_CLUSTER", ""),
        ("CLUSTER_NAME", if args.kubeconfig.is_some() { GIVEN_CLUSTER } else { LOCAL_CLUSTER }),
        ("KUBERNETES_CLUSTER", GIVEN_CLUSTER),
    ]);
    let image = args.agent_image.iter().map(|image| ("AGENT_IMAGE".to_owned(), image.clone()));
    defaults.overlaid(Source::environment()).overlaid(forced).overlaid(Source::of(image))
}

/// The private database, or the one that is named.
async fn database(data: &DataDir) -> anyhow::Result<(Option<PrivatePostgres>, PgPool)> {
    let (postgres, pool) = match std::env::var(DATABASE) {
        Ok(url) => (None, connect::pool_from_url(&url, CONNECTIONS).context(DATABASE)?),
        Err(_) => {
            let postgres = PrivatePostgres::start(Options::durable(data.path("postgres"))).await?;
            postgres.ensure_database("devpocket").await?;
            let pool = connect::pool(postgres.connect_options("devpocket"), CONNECTIONS);
            (Some(postgres), pool)
        }
    };
    connect::migrate(&pool).await.context("the database's schema cannot be brought up to date")?;
    Ok((postgres, pool))
}

/// Templates, accounts, and the word that it runs.
async fn prepare(
    data: &DataDir,
    running: &Running,
    url: &str,
    more_templates: Option<&Path>,
) -> anyhow::Result<()> {
    let persistence = running.system().persistence();
    templates::sync(persistence, templates::built_in()?).await?;
    if let Some(directory) = more_templates {
        templates::sync(persistence, templates::load_directory(directory)?).await?;
    }
    let demo = accounts::ensure(data, running, &accounts::DEMO).await?;
    accounts::ensure(data, running, &accounts::ADMIN).await?;
    data.announce_server(url)?;
    banner::print(url, data, &demo);
    Ok(())
}
