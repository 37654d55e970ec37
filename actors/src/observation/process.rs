//! What this process costs, as Linux tells it (proc(5)); zeros elsewhere.

use std::fs;
use std::time::Duration;

/// Figures of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Process {
    /// Resident memory in bytes.
    pub memory: u64,
    /// CPU time used since it started, by all its threads.
    pub cpu: Duration,
    /// Its threads.
    pub threads: u64,
    /// Its open files and sockets.
    pub files: u64,
}

impl Process {
    /// As it is now.
    #[must_use]
    pub fn now() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let files = fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64);
        Self { files, ..Self::of(&stat, rustix::param::clock_ticks_per_second(), rustix::param::page_size()) }
    }

    /// Reads `/proc/self/stat`. The program's name, the second field, may hold spaces and
    /// brackets, so what follows is counted from its end.
    fn of(stat: &str, ticks_per_second: u64, page_size: usize) -> Self {
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        // The third field of the file is the first here.
        let field =
            |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let (ticks, pages) = (field(14) + field(15), field(24));
        Self {
            memory: pages.saturating_mul(page_size as u64),
            cpu: Duration::from_millis(ticks.saturating_mul(1_000) / ticks_per_second.max(1)),
            threads: field(20),
            files: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 12 0 99 1000000 300 18446744073709551615";
        let read = Process::of(stat, 100, 4096);
        let expected = Process { memory: 300 * 4096, cpu: Duration::from_secs(3), threads: 12, files: 0 };
        assert_eq!(read, expected);
        assert_eq!(Process::of("", 100, 4096), Process::default());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_costs_something() {
        let now = Process::now();
        assert!(now.memory > 100_000 && now.threads > 0 && now.files > 2, "{now:?}");
    }
}
