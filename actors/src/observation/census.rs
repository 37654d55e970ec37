//! How many actors there are.

use std::collections::BTreeMap;

use crate::supervision::{ActorSnapshot, Kind};

/// How many actors there are, and how they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// All.
    pub total: usize,
    /// By kind; kinds of which there is none are missing.
    pub by_kind: BTreeMap<Kind, usize>,
    /// Restarts of those there are.
    pub restarts: u64,
    /// Those that wait for their restart.
    pub restarting: usize,
    /// Those that were given up.
    pub failed: usize,
    /// Those whose handler does not return.
    pub stuck: usize,
    /// Clients of all terminal sessions.
    pub attachments: usize,
    /// Terminal sessions with a client that leaves its window full.
    pub slow: usize,
}

impl Census {
    /// Counts.
    #[must_use]
    pub fn of<'a>(actors: impl Iterator<Item = &'a ActorSnapshot>) -> Self {
        let mut census = Self::default();
        for actor in actors {
            census.total += 1;
            *census.by_kind.entry(actor.path.kind()).or_default() += 1;
            census.restarts += actor.restarts;
            match actor.state {
                "restarting" => census.restarting += 1,
                "failed" => census.failed += 1,
                "stuck" => census.stuck += 1,
                _ => {}
            }
            if let Some(gauges) = actor.gauges {
                census.attachments += gauges.attachments;
                census.slow += usize::from(gauges.is_slow);
            }
        }
        census
    }

    /// Those of one kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.by_kind.get(&kind).copied().unwrap_or(0)
    }
}
