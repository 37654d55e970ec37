//! What this machine has.

use std::path::Path;

use crate::runtime::{Capacity, Resources, RuntimeError};

/// Asks the kernel. CPU that is used is the load of the last minute; storage is that of the file
/// system with the homes.
pub(super) fn of_machine(homes: &Path) -> Result<Capacity, RuntimeError> {
    let unknown = |what: &str, error: &dyn std::fmt::Display| {
        RuntimeError::Unavailable(format!("reading {what}: {error}"))
    };
    let read = |path: &str| std::fs::read_to_string(path).map_err(|error| unknown(path, &error));
    let cores = std::thread::available_parallelism().map_err(|error| unknown("the cores", &error))?;
    let cores = u32::try_from(cores.get()).unwrap_or(u32::MAX);
    let load = read("/proc/loadavg")?;
    let load: f64 = load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default();
    let memory = read("/proc/meminfo")?;
    let kib = |name: &str| -> u64 {
        let line = memory.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
    };
    let (total, available) = (kib("MemTotal:"), kib("MemAvailable:"));
    let disk = rustix::fs::statvfs(homes).map_err(|error| unknown("the file system", &error))?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    let cpu_millis = cores.saturating_mul(1000);
    Ok(Capacity {
        nodes: 1,
        ready_nodes: 1,
        total: Resources { cpu_millis, memory_bytes: total * 1024, storage_bytes: bytes(disk.f_blocks) },
        used: Some(Resources {
            cpu_millis: ((load * 1000.0) as u32).min(cpu_millis),
            memory_bytes: total.saturating_sub(available) * 1024,
            storage_bytes: bytes(disk.f_blocks.saturating_sub(disk.f_bavail)),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_more_than_it_uses() {
        let Capacity { nodes, total, used, .. } = of_machine(Path::new("/")).unwrap();
        let used = used.unwrap();
        assert!(nodes == 1 && total.cpu_millis >= 1000 && total.memory_bytes > 0);
        assert!(used.memory_bytes > 0 && used.memory_bytes < total.memory_bytes);
        assert!(used.storage_bytes <= total.storage_bytes && used.cpu_millis <= total.cpu_millis);
    }
}
