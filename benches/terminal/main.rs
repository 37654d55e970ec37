//! What a terminal costs, beside a bare WebSocket in front of a PTY.
//!
//! Rounds of both are interleaved, so that what else the machine does hits both. Client and
//! servers share its cores. Run by `make bench`; `cargo bench --bench terminal -- quick` takes
//! fewer rounds, and a name (`echo`, `bulk`, `attach`, `memory`, `start`) runs that part alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a benchmark")]

#[path = "../../tests/common/mod.rs"]
mod common;

/// Where environments run.
const SITE: common::site::Site = common::site::Site::Local;

mod bare;
mod figures;
mod product;

use self::figures::{Table, median};
use self::product::Product;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, port] = arguments.as_slice()
        && word == "bare-server"
    {
        return bare::serve(port.parse().unwrap()).await;
    }
    let quick = arguments.iter().any(|argument| argument == "quick");
    let parts = ["echo", "bulk", "attach", "memory", "start"];
    let named: Vec<&str> =
        parts.into_iter().filter(|part| arguments.iter().any(|argument| argument == part)).collect();
    let runs = |part: &str| named.is_empty() || named.contains(&part);
    let rounds = if quick { 2 } else { 5 };

    let mut table = Table::default();
    if runs("echo") || runs("bulk") || runs("attach") {
        let mut product = Product::start().await;
        let bare = bare::Bare::start().await;
        if runs("echo") {
            for sessions in [1, 100] {
                let keys = if quick { 200 } else { 400 };
                let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                for _ in 0..rounds {
                    theirs.push(bare.echo(sessions, keys).await);
                    ours.push(product.echo(sessions, keys).await);
                }
                let name = |q: &str| format!("echo {q}, {sessions} sessions (us)");
                table.compare(&name("p50"), &p(&ours, 0), &p(&theirs, 0));
                table.compare(&name("p99"), &p(&ours, 1), &p(&theirs, 1));
            }
        }
        if runs("bulk") {
            let bytes = if quick { 20_000_000 } else { 100_000_000 };
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                theirs.push(bare.bulk(bytes).await);
                ours.push(product.bulk(bytes).await);
            }
            table.compare("bulk output (MB/s)", &ours, &theirs);
        }
        if runs("attach") {
            let all = product.attach(if quick { 50 } else { 200 }).await;
            table.alone("attach to first byte, p50 (ms)", median(&all));
        }
    }
    if runs("memory") {
        let sessions = if quick { 100 } else { 1000 };
        let mut product = Product::start().await;
        let kib = product.memory(sessions).await;
        table.alone(&format!("server memory per idle session, {sessions} attached (KiB)"), kib);
    }
    if runs("start") {
        let seconds = product::start_with_environments(1000, rounds).await;
        table.alone("start to ready, 1000 environments (ms)", median(&seconds));
    }
    table.print();
}

fn p(rounds: &[(f64, f64)], which: usize) -> Vec<f64> {
    rounds.iter().map(|round| if which == 0 { round.0 } else { round.1 }).collect()
}
