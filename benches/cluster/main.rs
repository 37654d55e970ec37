//! What an environment on a cluster costs, beside kubectl on the same pod: from nothing to the
//! first prompt, and a key's echo. Rounds of both are interleaved. Needs `KUBECONFIG`, as the tests
//! on a cluster do, and kubectl: `cargo bench --features cluster-tests --bench cluster [-- quick]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a benchmark")]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../terminal/figures.rs"]
mod figures;
#[path = "../terminal/keys.rs"]
mod keys;
mod kubectl;

/// Where environments run.
const SITE: common::site::Site = common::site::Site::Kubernetes;

use std::time::{Duration, Instant};

use devpocket::client::{Environment, NewEnvironment};

use self::common::server::{Person, TestServer};
use self::common::shell::Shell;
use self::figures::{Table, percentile};
use self::keys::{ECHO, echoes};
use self::kubectl::Kubectl;

/// The pause between two keys.
const PAUSE: Duration = Duration::from_millis(10);

#[tokio::main]
async fn main() {
    let quick = std::env::args().any(|argument| argument == "quick");
    let (rounds, keys) = if quick { (2, 100) } else { (5, 400) };
    let server = TestServer::start_with(&[("PRO_PLAN_MAX_ENVIRONMENTS", "50"), ("LOG_LEVEL", "warn")]).await;
    let person = server.demo().await;
    // The first one makes the user's namespace, which kubectl finds made.
    let environment = person.environment("bench").await;
    let kubectl = Kubectl::like(&environment.id).await;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        theirs.push(kubectl.create_to_prompt(round).await.as_secs_f64() * 1e3);
        ours.push(create_to_prompt(&person, round).await.as_secs_f64() * 1e3);
    }
    let mut table = Table::beside("kubectl");
    table.compare("nothing to first prompt (ms)", &ours, &theirs);

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        theirs.push(kubectl.echo(ECHO, keys, PAUSE).await);
        ours.push(echo(&person, &environment, round, keys).await);
    }
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let at = |rounds: &[Vec<f64>]| rounds.iter().map(|all| percentile(all, share)).collect::<Vec<_>>();
        table.compare(&format!("echo {name} (us)"), &at(&ours), &at(&theirs));
    }
    table.print();
}

async fn create_to_prompt(person: &Person, round: usize) -> Duration {
    let started = Instant::now();
    let new = NewEnvironment { name: format!("round-{round}"), template_id: SITE.template().to_owned() };
    let made = person.rest.create(&new).await.unwrap();
    let mut shell = Shell::new(person.options(&made.id, "main"));
    shell.until_text("# ").await;
    let took = started.elapsed();
    person.rest.act(&made.id, "stop").await.unwrap();
    took
}

async fn echo(person: &Person, environment: &Environment, round: usize, keys: usize) -> Vec<f64> {
    let mut shell = Shell::open(person.options(&environment.id, &format!("echo-{round}"))).await;
    shell.type_text(&format!("exec sh -c \"{ECHO}\"\n"));
    shell.until_text("READY").await;
    echoes(&mut shell.client, keys, PAUSE).await
}
