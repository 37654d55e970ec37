//! `devpocket import`: the database of the server that this one replaces.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use devpocket_actors::import::{self, Settings};
use devpocket_actors::persistence::connect;
use secrecy::SecretString;

use super::{Configured, serve};

/// Take over the database of the Node.js server that this one replaces
///
/// The old database is only read. What is here already stays as it is, so this can be run again; if it
/// fails, nothing was imported. Exit code 1: some rows were left out, and the lines say what to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The old database; better set as a variable, as it holds a password
    #[arg(long, value_name = "URL", env = "DEVPOCKET_IMPORT_FROM", hide_env_values = true)]
    from: String,
    /// Do everything and undo it, to see what would be done
    #[arg(long)]
    dry_run: bool,
    /// The variable that holds the old server's SECRET_KEY, which opens its kubeconfigs; without it,
    /// this server's own is tried
    #[arg(long, value_name = "NAME")]
    old_secret_env: Option<String>,
    /// How to reach the database.
    #[command(flatten)]
    configured: Configured,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = args.configured.read()?;
    let old_secret = match &args.old_secret_env {
        None => config.keys.current.clone(),
        Some(name) => match args.configured.source()?.get(name) {
            Some(secret) => SecretString::from(secret),
            None => bail!("{name}, which --old-secret-env names, is not set"),
        },
    };
    let source = connect::pool_from_url(&args.from, 1).context("--from")?;
    let target = serve::pool(&config)?;
    connect::migrate(&target).await?;
    let vault = config.vault();
    let settings = Settings { vault: &vault, old_secret: Some(&old_secret), dry_run: args.dry_run };
    let report = import::run(&source, &target, settings).await?;
    print!("{report}");
    if args.dry_run {
        println!("this was only tried: nothing was changed");
    }
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
