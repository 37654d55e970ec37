//! What the agent costs. Run by hand, with `DEVPOCKET_STATIC_AGENT` naming what
//! `scripts/build-agent` made: `cargo test -p devpocket-agent --test figures -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use common::{Agent, open};
use devpocket_protocol::agent::OpenSession;

#[test]
#[ignore = "prints figures"]
fn figures() {
    let agent = Agent::start();
    let start = agent.resident();
    let mut sessions: Vec<_> = (0..50).map(|n| agent.session(&format!("idle{n}"))).collect();
    sessions.iter_mut().for_each(|s| s.wait_for("$ "));
    println!(
        "agent {} KiB; idle session with a channel {} KiB",
        start / 1024,
        (agent.resident() - start) / 50 / 1024
    );
    let before = agent.resident();
    for s in &mut sessions {
        s.type_in("ls -la --color /usr/bin | head -300; echo do''ne\n");
        s.wait_for("done\r\n");
        s.snapshot();
    }
    println!(
        "session with 300 coloured lines and a snapshot: {} KiB more",
        (agent.resident() - before) / 50 / 1024
    );
    drop(sessions);

    let lines: String = (0..2_000_000 / 80)
        .map(|n| format!("\x1b[3{}mline {n:>8} \x1b[0m{}\n", n % 8, "x".repeat(50)))
        .collect();
    std::fs::write(agent.home().join("lines"), lines.repeat(16)).unwrap();
    for (what, command) in [("yes", "yes | head -c 32000000"), ("coloured lines", "cat lines")] {
        for reads in [true, false] {
            let mut s = agent.session(&format!("{what}{reads}"));
            s.wait_for("$ ");
            let (cpu, begun, from) = (agent.cpu_ms(), Instant::now(), s.offset);
            s.type_in(&format!("{command}; echo do''ne\n"));
            let mut watch;
            let watched = if reads {
                &mut s
            } else {
                watch =
                    agent.open(OpenSession { from: None, backfill: 0, ..open(&format!("{what}{reads}")) });
                watch.welcome();
                // Only looks now and then.
                while {
                    watch.stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
                    !watch.text().ends_with("done\r\n$ ")
                } {
                    std::thread::sleep(Duration::from_millis(200));
                    watch.output.clear();
                    for _ in 0..64 {
                        if watch.next().is_none() || watch.text().ends_with("done\r\n$ ") {
                            break;
                        }
                    }
                }
                &mut watch
            };
            if reads {
                watched.wait_for("done\r\n");
            }
            let megabytes = (watched.offset - from) as f64 / 1e6;
            let seconds = begun.elapsed().as_secs_f64();
            println!(
                "{what}, {}: {:.0} MB/s, {:.1} ms CPU per MB, {} KiB resident",
                if reads { "read by a channel" } else { "hardly read" },
                megabytes / seconds,
                (agent.cpu_ms() - cpu) as f64 / megabytes,
                agent.resident() / 1024,
            );
        }
    }
    let mut s = agent.session("echo");
    s.wait_for("$ ");
    let mut times: Vec<Duration> = (0..500)
        .map(|n| {
            let key = char::from(b'a' + (n % 26) as u8).to_string();
            let begun = Instant::now();
            s.type_in(&key);
            s.wait_for(&key);
            begun.elapsed()
        })
        .collect();
    times.sort();
    println!("echo: median {:?}, 99% {:?}", times[250], times[495]);
}
