//! Snapshots asked of the agent, shared by the clients that wait at the same moment.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use devpocket_protocol::Size;

/// The state of a terminal at an offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The offset at which it is true.
    pub offset: u64,
    /// The size at which it is true.
    pub size: Size,
    /// What to write to a reset terminal of that size.
    pub data: Bytes,
}

/// Where a snapshot will be. Clients that wait hold it; when none does any more it is freed.
pub(super) type SnapshotCell = OnceLock<Snapshot>;

/// A snapshot that came so many bytes ago, or fewer, serves another client as well.
const FRESH: u64 = 16 * 1024;

/// The snapshot that clients wait for, if any does.
#[derive(Debug, Default)]
pub(super) struct SnapshotSlot {
    cell: Weak<SnapshotCell>,
    /// Whether the agent is still to be asked.
    ask: bool,
}

impl SnapshotSlot {
    /// The cell to wait at. One that waits already is shared; so is one that was filled and
    /// from which all bytes up to `end` are still held and few.
    pub(super) fn join(&mut self, held_from: u64, end: u64) -> Arc<SnapshotCell> {
        let usable = |cell: &Arc<SnapshotCell>| {
            cell.get().is_none_or(|s| s.offset >= held_from && end.saturating_sub(s.offset) <= FRESH)
        };
        self.cell.upgrade().filter(usable).unwrap_or_else(|| {
            let cell = Arc::new(SnapshotCell::new());
            self.cell = Arc::downgrade(&cell);
            self.ask = true;
            cell
        })
    }

    /// The channel was opened anew: what was asked before is lost.
    pub(super) fn ask_again(&mut self) {
        self.ask = self.cell.upgrade().is_some_and(|cell| cell.get().is_none());
    }

    /// Whether the agent is to be asked.
    pub(super) fn is_asked(&self) -> bool {
        self.ask
    }

    /// Whether to ask the agent now; counts as asked from then on.
    pub(super) fn take_request(&mut self) -> bool {
        std::mem::take(&mut self.ask)
    }

    /// The agent answered.
    pub(super) fn fill(&mut self, snapshot: Snapshot) {
        if let Some(cell) = self.cell.upgrade() {
            // A second answer to a request that was repeated changes nothing.
            let _ = cell.set(snapshot);
        }
    }
}
