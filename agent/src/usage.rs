//! What the environment uses.

use std::path::Path;

use devpocket_protocol::agent::Usage;

use crate::processes;

/// Adds up the environment's processes and its volume.
pub(crate) fn usage(home: &Path) -> Usage {
    let processes = processes::environment();
    let ticks: u64 = processes.iter().map(|p| p.cpu_ticks).sum();
    let pages: u64 = processes.iter().map(|p| p.resident_pages).sum();
    let storage = rustix::fs::statvfs(home).map_or(0, |s| (s.f_blocks - s.f_bfree) * s.f_frsize);
    Usage {
        cpu_ms: ticks * 1000 / rustix::param::clock_ticks_per_second().max(1),
        memory_bytes: pages * rustix::param::page_size() as u64,
        // Without the agent itself, which nobody asked for.
        processes: u32::try_from(processes.len().saturating_sub(1)).unwrap_or(u32::MAX),
        storage_bytes: storage,
    }
}
