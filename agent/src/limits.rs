//! Limits on what the agent starts.

use devpocket_protocol::agent::config::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How much nicer than the agent the environment's processes are where limits are set: keys
/// are answered while all cores compile.
const NICE: i32 = 5;

/// There is no nicer.
const NICEST: i32 = 19;

/// Binds this process, and all that it will start, to the first `cores` of the cores that it
/// may use now.
pub(crate) fn bind_to_cores(limits: &Limits) -> std::io::Result<()> {
    let Some(cores) = limits.cores else { return Ok(()) };
    let allowed = sched_getaffinity(None)?;
    let mut chosen = CpuSet::new();
    (0..CpuSet::MAX_CPU)
        .filter(|&cpu| allowed.is_set(cpu))
        .take(cores.max(1) as usize)
        .for_each(|cpu| chosen.set(cpu));
    Ok(sched_setaffinity(None, &chosen)?)
}

/// Limits the calling process: made to be called in a child before it becomes another program,
/// so it must not allocate.
pub(crate) fn limit_self(limits: &Limits) -> std::io::Result<()> {
    limit(Resource::Data, limits.memory_bytes)?;
    limit(Resource::Nproc, limits.processes)?;
    if limits.memory_bytes.or(limits.processes).is_some() || limits.cores.is_some() {
        // From where it is: whoever runs the server under `nice` may not be less nice again.
        let own = rustix::process::getpriority_process(None)?;
        rustix::process::setpriority_process(None, (own + NICE).min(NICEST))?;
    }
    Ok(())
}

fn limit(resource: Resource, value: Option<u64>) -> std::io::Result<()> {
    let Some(value) = value else { return Ok(()) };
    let hard = getrlimit(resource).maximum;
    let value = Some(hard.map_or(value, |hard| value.min(hard)));
    Ok(setrlimit(resource, Rlimit { current: value, maximum: value })?)
}
