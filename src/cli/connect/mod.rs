//! `devpocket connect`: a terminal session in this terminal.
//!
//! [`sign_in`] finds the server and the person's tokens ([`credentials`]), [`pick`] the
//! environment; [`attach`] then joins [`screen`] and session, with the [`escape`]s that a person
//! types to the client itself.

mod attach;
mod credentials;
mod escape;
mod pick;
mod screen;
mod sign_in;

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use devpocket_protocol::client::Mode;
use uuid::Uuid;

use self::credentials::Credentials;
use self::screen::Screen;
use crate::client::{Options, Rest, TerminalClient};

/// Opens a terminal session in an environment.
///
/// Type `~.` at the beginning of a line to leave; the session goes on, and connecting again
/// comes back to it. With input from a pipe, the commands run in a session of their own, which
/// ends with them. Output into a file or a pipe is what the session writes from then on, without
/// its screen so far; if some of it had to be left out, standard error says how much.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The environment's name or id
    pub environment: Option<String>,
    /// The server's address; without it, the one that `devpocket dev` runs on the data directory
    #[arg(long, value_name = "URL", env = "DEVPOCKET_SERVER")]
    pub server: Option<String>,
    /// The data directory of `devpocket dev`
    #[arg(long, value_name = "DIR", env = "DEVPOCKET_DATA_DIR", default_value = ".devpocket")]
    pub data_dir: PathBuf,
    /// Sign in with the name and the password in this file (JSON)
    #[arg(long, value_name = "FILE")]
    pub account: Option<PathBuf>,
    /// The session's name [default: main]
    #[arg(long, value_name = "NAME")]
    pub session: Option<String>,
    /// Look only: type nothing, and leave the size as it is
    #[arg(long)]
    pub view: bool,
    /// Create an environment from this template (id or name)
    #[arg(long, value_name = "TEMPLATE")]
    pub create: Option<String>,
    /// The name of the environment that is created
    #[arg(long, value_name = "NAME", requires = "create")]
    pub name: Option<String>,
    /// Start a stopped environment without asking
    #[arg(long, short)]
    pub yes: bool,
}

/// Runs the command; returns the exit code.
///
/// # Errors
/// With a text for the person, when there was no session or it could not go on.
pub async fn run(args: Args) -> anyhow::Result<u8> {
    let server = sign_in::find_server(args.server.as_deref(), &args.data_dir)?;
    let rest = Rest::new(server.clone());
    let credentials = Credentials::of_person()?;
    let token = sign_in::sign_in(&rest, &credentials, args.account.as_deref()).await?;
    let signed_in = rest.with_token(&token);
    let environment = pick::pick(&signed_in, &args).await?;
    let environment = pick::until_running(&signed_in, environment, args.yes).await?;

    let piped = !io::stdin().is_terminal();
    let own = piped && !args.view && args.session.is_none();
    let session = match args.session {
        Some(name) => name,
        // Its end is the end of the input, which must not end somebody's shell.
        None if own => format!("pipe-{}", &Uuid::new_v4().simple().to_string()[..8]),
        None => "main".to_owned(),
    };
    let mut options = Options::new(server, &environment.id, &token);
    options.session = session;
    options.mode = if args.view { Mode::View } else { Mode::Control };
    options.size = Screen::size();
    options.auth = sign_in::auth_source(rest, credentials, token);
    let end = if own { attach::AtEnd::EndShell } else { attach::AtEnd::Leave };
    attach::attach(TerminalClient::new(options), end).await
}
