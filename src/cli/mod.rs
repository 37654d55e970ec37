//! The command line.

mod admin;
mod cluster;
pub mod connect;
mod dev;
mod doctor;
mod import;
mod keys;
mod mail;
mod runtime;
mod serve;
mod signals;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Source};

/// Terminals that outlive the phone: the DevPocket session server
#[derive(Debug, Parser)]
#[command(
    version,
    long_about = "DevPocket keeps development environments and their terminal sessions alive on a server, so \
                  that a phone can leave and come back to exactly the same screen.\n\n\
                  `devpocket dev` runs everything on this machine with nothing to set up: a private \
                  database, sandboxed environments, a demo account. `devpocket serve` is for production \
                  and is configured by environment variables; .env.example describes each of them.",
    after_long_help = "Examples:\n  \
                       devpocket dev                          try it: prints an address and an account\n  \
                       devpocket connect --create ubuntu      open a terminal in a new environment\n  \
                       devpocket doctor                       what is missing to serve, a line each\n  \
                       devpocket serve --config prod.env      serve with a file of variables\n"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve, as configured by environment variables
    Serve(Configured),
    /// Serve from this machine alone: private database, sandboxed environments, demo account
    Dev(dev::Args),
    /// Bring the database's schema up to this version
    Migrate(Configured),
    /// Manage templates
    #[command(subcommand)]
    Templates(TemplatesCommand),
    /// Manage accounts
    #[command(subcommand)]
    User(UserCommand),
    /// Manage the clusters that environments run on
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Manage the key that seals what the database keeps
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Look after mails that did not arrive
    #[command(subcommand)]
    Mail(mail::MailCommand),
    /// Take over the database of the server that this one replaces
    Import(import::Args),
    /// Check what serving needs: a line each, exit code 1 when something is missing
    Doctor(doctor::Args),
    /// Print the OpenAPI document of the HTTP API
    Openapi,
    /// Open a terminal session in an environment
    Connect(connect::Args),
}

/// What works on a configured database.
#[derive(Debug, clap::Args)]
pub struct Configured {
    /// A file of NAME=value lines; variables of the environment win over it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What can be done with templates.
#[derive(Debug, Subcommand)]
pub enum TemplatesCommand {
    /// Load the .yaml files of a directory; without one, the templates of this build
    Load {
        /// The directory
        directory: Option<PathBuf>,
        /// How to reach the database.
        #[command(flatten)]
        configured: Configured,
    },
}

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make an administrator's account, or make an existing account one
    ///
    /// Without --password-stdin a random password is made and printed once.
    CreateAdmin {
        /// Its address
        #[arg(long)]
        email: String,
        /// Its user name
        #[arg(long)]
        username: String,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
        /// How to reach the database.
        #[command(flatten)]
        configured: Configured,
    },
}

impl Configured {
    fn source(&self) -> anyhow::Result<Source> {
        Ok(Source::environment_over(self.config.as_deref())?)
    }

    fn read(&self) -> anyhow::Result<Config> {
        Ok(Config::read(&self.source()?)?)
    }
}

/// Runs a command to its end.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("devpocket: no async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(dispatch(cli.command));
    // Work that hangs (a name look-up, a hash) must not hold up the end.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| {
        eprintln!("devpocket: {error:#}");
        ExitCode::FAILURE
    })
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(configured) => serve::run(configured.read()?).await,
        Command::Dev(args) => dev::run(args).await,
        Command::Migrate(configured) => admin::migrate(&configured.read()?).await,
        Command::Templates(TemplatesCommand::Load { directory, configured }) => {
            admin::load_templates(&configured.read()?, directory.as_deref()).await
        }
        Command::User(UserCommand::CreateAdmin { email, username, password_stdin, configured }) => {
            admin::create_admin(&configured.read()?, email, username, password_stdin).await
        }
        Command::Cluster(command) => cluster::run(command).await,
        Command::Keys(command) => keys::run(command).await,
        Command::Mail(command) => mail::run(command).await,
        Command::Import(args) => import::run(args).await,
        Command::Doctor(args) => doctor::run(&args).await,
        Command::Openapi => {
            println!("{}", crate::http::routes::docs::document().to_pretty_json()?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Connect(args) => Ok(ExitCode::from(connect::run(args).await?)),
    }
}
