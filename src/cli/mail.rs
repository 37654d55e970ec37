//! `devpocket mail`: mails that did not arrive.

use std::process::ExitCode;

use clap::Subcommand;
use devpocket_actors::mailer;
use devpocket_actors::persistence::connect;
use devpocket_actors::persistence::mails::{self, RetryDead};

use super::Configured;
use super::admin::persistence;

/// What can be done with mails.
#[derive(Debug, Subcommand)]
pub enum MailCommand {
    /// List the mails that were refused, or tried too often
    ///
    /// They are kept for 30 days, at most 1000 of them.
    Dead {
        /// How to reach the database.
        #[command(flatten)]
        configured: Configured,
    },
    /// Have the running server try dead mails again: one, or all
    Retry {
        /// Which
        id: Option<String>,
        /// How to reach the database.
        #[command(flatten)]
        configured: Configured,
    },
}

pub(super) async fn run(command: MailCommand) -> anyhow::Result<ExitCode> {
    match command {
        MailCommand::Dead { configured } => {
            let config = configured.read()?;
            let (persistence, _workers) = persistence(&config)?;
            connect::migrate(persistence.pool()).await?;
            let (dead, vault) = (mails::dead(persistence.pool()).await?, config.vault());
            for mail in &dead {
                let to = mailer::open(&vault, mail).map_or_else(|why| format!("({why})"), |mail| mail.to);
                println!(
                    "{}  {:<14}  {}  {} attempts  {to}  {}",
                    mail.id,
                    mail.kind,
                    mail.created_at.format("%Y-%m-%d %H:%M"),
                    mail.attempts,
                    mail.last_error.as_deref().unwrap_or_default(),
                );
            }
            println!("{} dead mails", dead.len());
            Ok(ExitCode::SUCCESS)
        }
        MailCommand::Retry { id, configured } => {
            let config = configured.read()?;
            let (persistence, _workers) = persistence(&config)?;
            connect::migrate(persistence.pool()).await?;
            let one = id.is_some();
            let woken = persistence.write(RetryDead { id }).await?;
            anyhow::ensure!(woken > 0 || !one, "there is no dead mail of that id; see devpocket mail dead");
            println!("{woken} mails: the running server tries them within half a minute");
            Ok(ExitCode::SUCCESS)
        }
    }
}
