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
mod keys;
mod product;
mod relay;

use self::figures::{Table, median};
use self::product::Product;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["relay", socket] = words[..] {
        return relay::serve(socket.as_ref());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match words[..] {
            ["bare-server", port] => bare::serve(port.parse().unwrap(), None).await,
            ["bare-server", port, relay] => bare::serve(port.parse().unwrap(), Some(relay.into())).await,
            _ => measure(&arguments).await,
        }
    });
}

async fn measure(arguments: &[String]) {
    let quick = arguments.iter().any(|argument| argument == "quick");
    let parts = ["echo", "bulk", "attach", "memory", "start"];
    let named: Vec<&str> =
        parts.into_iter().filter(|part| arguments.iter().any(|argument| argument == part)).collect();
    let runs = |part: &str| named.is_empty() || named.contains(&part);
    let rounds = if quick { 2 } else { 5 };

    let mut table = Table::beside("bare");
    if runs("echo") || runs("bulk") || runs("attach") {
        let mut product = Product::start().await;
        let bare = bare::Bare::start().await;
        let floor = bare::Bare::relayed().await;
        if runs("echo") {
            for sessions in [1, 100] {
                let keys = if quick { 200 } else { 400 };
                let (mut ours, mut theirs, mut least) = (Vec::new(), Vec::new(), Vec::new());
                for _ in 0..rounds {
                    theirs.push(bare.echo(sessions, keys).await);
                    least.push(floor.echo(sessions, keys).await);
                    ours.push(product.echo(sessions, keys).await);
                }
                for (q, which) in [("p50", 0), ("p99", 1)] {
                    let name = format!("echo {q}, {sessions} sessions (us)");
                    table.compare(&name, &p(&ours, which), &p(&theirs, which));
                    table.compare(
                        &format!("{name}: PTYs in a process of their own, nothing else"),
                        &p(&least, which),
                        &p(&theirs, which),
                    );
                }
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
