//! Which environment, and having it run.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::sleep;

use super::Args;
use super::sign_in::ask;
use crate::client::{Environment, NewEnvironment, Rest};

/// How often the status is looked at while an environment starts.
const LOOK: Duration = Duration::from_millis(300);

/// Finds or creates the environment that the arguments name.
///
/// # Errors
/// When there is none, or the server refuses.
pub async fn pick(rest: &Rest, args: &Args) -> anyhow::Result<Environment> {
    if let Some(template) = &args.create {
        let name = args.name.clone().or_else(|| args.environment.clone());
        return create(rest, template, &name.unwrap_or_else(|| template.clone())).await;
    }
    let environments = rest.environments().await?;
    if let Some(wanted) = &args.environment {
        return choose(environments, wanted).with_context(|| {
            format!("there is no environment {wanted:?}; `devpocket connect --create TEMPLATE --name {wanted}` makes one")
        });
    }
    if environments.is_empty() {
        return offer_templates(rest).await;
    }
    if environments.len() == 1 || !io::stdin().is_terminal() {
        let mut all = environments.into_iter();
        return match (all.next(), all.next()) {
            (Some(only), None) => Ok(only),
            _ => bail!("there are several environments: name one"),
        };
    }
    eprintln!("Environments:");
    for (i, environment) in environments.iter().enumerate() {
        let template = environment.template_name.as_deref().unwrap_or_default();
        eprintln!("  {}  {}  {}  {template}", i + 1, environment.name, environment.status);
    }
    eprintln!("  n  a new one");
    let answer = ask("Which one? ")?;
    if answer == "n" {
        return offer_templates(rest).await;
    }
    let number: Option<usize> = answer.parse().ok();
    let by_number = number.and_then(|n| environments.get(n.checked_sub(1)?)).cloned();
    by_number.or_else(|| choose(environments, &answer)).context("there is no such environment")
}

/// By name first: it is what people type.
fn choose(environments: Vec<Environment>, wanted: &str) -> Option<Environment> {
    let by_name = environments.iter().position(|environment| environment.name == wanted);
    let at = by_name.or_else(|| environments.iter().position(|environment| environment.id == wanted))?;
    environments.into_iter().nth(at)
}

async fn offer_templates(rest: &Rest) -> anyhow::Result<Environment> {
    let templates = rest.templates().await?;
    if !io::stdin().is_terminal() {
        let names: Vec<&str> = templates.iter().map(|template| template.name.as_str()).collect();
        bail!("there is no environment yet; make one with --create and one of: {}", names.join(", "));
    }
    eprintln!("A new environment, from which template?");
    for (i, template) in templates.iter().enumerate() {
        eprintln!("  {}  {}  {}", i + 1, template.display_name, template.description);
    }
    let answer: usize = ask("Number: ")?.parse().context("this is no number")?;
    let template =
        answer.checked_sub(1).and_then(|i| templates.get(i)).context("there is no such template")?;
    let name = ask(&format!("Its name [{}]: ", template.name))?;
    create(rest, &template.id, if name.is_empty() { &template.name } else { &name }).await
}

async fn create(rest: &Rest, template: &str, name: &str) -> anyhow::Result<Environment> {
    let new = NewEnvironment { name: name.to_owned(), template_id: template.to_owned() };
    Ok(rest.create(&new).await?)
}

/// Waits until the environment runs, showing how it gets there; starts a stopped one after
/// asking.
///
/// # Errors
/// When it does not get there.
pub async fn until_running(rest: &Rest, environment: Environment, yes: bool) -> anyhow::Result<Environment> {
    let mut environment = environment;
    let mut shown = String::new();
    let mut started = false;
    loop {
        if environment.status != shown {
            shown.clone_from(&environment.status);
            if shown != "RUNNING" || started {
                eprintln!("{}: {}", environment.name, shown.to_lowercase());
                io::stderr().flush()?;
            }
        }
        match shown.as_str() {
            "RUNNING" => return Ok(environment),
            "ERROR" => {
                let why = environment.status_reason.unwrap_or_else(|| "see its logs".to_owned());
                bail!("{} failed: {why}", environment.name);
            }
            "TERMINATED" => bail!("{} was deleted", environment.name),
            "STOPPED" if !started => {
                if !yes && !io::stdin().is_terminal() {
                    bail!("{} is stopped; --yes starts it", environment.name);
                }
                if !yes && !matches!(ask("It is stopped. Start it? [Y/n] ")?.as_str(), "" | "y" | "Y" | "yes")
                {
                    bail!("{} is stopped", environment.name);
                }
                rest.act(&environment.id, "start").await?;
                started = true;
            }
            _ => {}
        }
        sleep(LOOK).await;
        environment = rest.environment(&environment.id).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_wins_over_an_id() {
        let environment = |id: &str, name: &str| Environment {
            id: id.to_owned(),
            name: name.to_owned(),
            status: "RUNNING".to_owned(),
            template_name: None,
            status_reason: None,
        };
        let all = || vec![environment("a", "b"), environment("b", "c")];
        assert_eq!(choose(all(), "b").unwrap().id, "a");
        assert_eq!(choose(all(), "a").unwrap().id, "a");
        assert!(choose(all(), "d").is_none());
    }
}
