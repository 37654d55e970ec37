//! Actors that are none, to see how a dashboard bears many (feature `chaos`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::registry::{ActorPath, Gauges, Kind, Registry};

/// Of one simulated user: itself, environments, and a terminal session in each.
const ENVIRONMENTS: usize = 9;

impl Registry {
    /// Adds about `count` actors that only seem to be there: users with environments with terminal
    /// sessions, whose figures change with every look at them. They take no messages.
    pub fn simulate(&self, count: usize) {
        for user in 0..count.div_ceil(1 + 2 * ENVIRONMENTS) {
            let path = ActorPath::of(Kind::User, &format!("simulated{user}"));
            self.appear(path.clone(), ActorPath::single(Kind::Users), &format!("user {user}"));
            for number in 0..ENVIRONMENTS {
                let id = format!("simulated{user}x{number}");
                let environment = ActorPath::of(Kind::Environment, &id);
                self.appear(environment.clone(), path.clone(), &format!("environment {number}"));
                self.appear(ActorPath::of(Kind::Terminal, &id), environment, "main");
            }
        }
    }

    fn appear(&self, path: ActorPath, parent: ActorPath, label: &str) {
        let is_terminal = path.kind() == Kind::Terminal;
        let addr = self.register::<()>(path, Some(parent));
        addr.describe(label);
        addr.probe().started();
        if is_terminal {
            let looks = Arc::new(AtomicU64::new(0));
            addr.show(move || {
                let looks = looks.fetch_add(1, Ordering::Relaxed) + 1;
                let gauges = Gauges {
                    attachments: 1,
                    bytes_in: looks,
                    bytes_out: looks * 1_000,
                    keys: looks,
                    ring_used: usize::try_from(looks % 100).unwrap_or(0) * 1024,
                    ring_limit: 256 * 1024,
                    ..Gauges::default()
                };
                ("live", gauges)
            });
        }
    }
}
