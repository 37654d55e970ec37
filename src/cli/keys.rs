//! `devpocket keys`: the key that seals what the database keeps.

use std::process::ExitCode;

use clap::Subcommand;
use devpocket_actors::persistence::connect;
use devpocket_actors::persistence::rotation::{self, Survey};
use devpocket_actors::persistence::vault::Vault;

use super::Configured;
use super::admin::persistence;

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Seal everything in the database under SECRET_KEY
    ///
    /// To change the key: set SECRET_KEY to the new one and SECRET_KEY_PREVIOUS to the old one, restart
    /// all servers with both, run this, then take SECRET_KEY_PREVIOUS away. It may run beside servers,
    /// and when it was cut short it goes on where it was.
    Rotate {
        /// How to reach the database.
        #[command(flatten)]
        configured: Configured,
    },
}

pub(super) async fn run(command: KeysCommand) -> anyhow::Result<ExitCode> {
    let KeysCommand::Rotate { configured } = command;
    let config = configured.read()?;
    let (persistence, _workers) = persistence(&config)?;
    connect::migrate(persistence.pool()).await?;
    let vault = config.vault();
    let before = rotation::survey(persistence.pool(), &vault).await?;
    let missing: Vec<String> = before.iter().flat_map(missing).collect();
    if !missing.is_empty() {
        for line in &missing {
            eprintln!("{line}");
        }
        anyhow::bail!(
            "nothing was changed: name the keys of that time in SECRET_KEY_PREVIOUS, parted by commas, and \
             run this again"
        );
    }
    let mut unreadable = 0;
    println!("{:<36} {:>8} {:>8} {:>10}", "", "sealed", "before", "unreadable");
    for Survey { kept, current, .. } in before {
        let done = rotation::reseal(&persistence, &vault, kept).await?;
        println!("{:<36} {:>8} {current:>8} {:>10}", kept.to_string(), done.sealed, done.unreadable);
        for (id, why) in &done.examples {
            eprintln!("{kept} of {id}: {why}");
        }
        unreadable += done.unreadable;
    }
    let left = left(&persistence, &vault).await?;
    if unreadable > 0 {
        anyhow::bail!("{unreadable} values cannot be opened and were left as they are");
    }
    if left > 0 {
        anyhow::bail!(
            "{left} values were sealed with another key meanwhile: restart all servers with the new \
             SECRET_KEY, and run this again"
        );
    }
    println!("everything is sealed under SECRET_KEY (id {})", vault.key_id());
    Ok(ExitCode::SUCCESS)
}

async fn left(
    persistence: &devpocket_actors::persistence::Persistence,
    vault: &Vault,
) -> anyhow::Result<i64> {
    let after = rotation::survey(persistence.pool(), vault).await?;
    Ok(after.iter().map(|survey| survey.earlier + survey.plain).sum())
}

/// A line for each key that is needed and not given.
fn missing(survey: &Survey) -> Vec<String> {
    let kept = survey.kept;
    let line = |(id, values): &(String, i64)| {
        format!("{kept}: {values} sealed under a key (id {id}) that is neither SECRET_KEY nor a previous one")
    };
    survey.unknown.iter().map(line).collect()
}

/// How everything is sealed, in a line; an error when keys are missing.
pub(super) fn summary(surveys: &[Survey], vault: &Vault) -> Result<String, String> {
    let missing: Vec<String> = surveys.iter().flat_map(missing).collect();
    if !missing.is_empty() {
        return Err(missing.join("; "));
    }
    let sum = |count: fn(&Survey) -> i64| surveys.iter().map(count).sum::<i64>();
    let (current, earlier, plain) = (sum(|it| it.current), sum(|it| it.earlier), sum(|it| it.plain));
    let key = vault.key_id();
    if earlier + plain == 0 {
        return Ok(format!("all {current} sealed values are under SECRET_KEY (id {key})"));
    }
    let parts: Vec<String> = surveys.iter().filter(|it| it.earlier + it.plain > 0).map(old).collect();
    Ok(format!(
        "{current} values under SECRET_KEY (id {key}), {}; run devpocket keys rotate",
        parts.join(", ")
    ))
}

fn old(survey: &Survey) -> String {
    let Survey { kept, earlier, plain, .. } = survey;
    match plain {
        0 => format!("{earlier} of {kept} under earlier keys"),
        _ => format!("{earlier} of {kept} under earlier keys and {plain} not sealed"),
    }
}
