//! The local runtime, as far as this machine has what it needs.

use std::path::PathBuf;
use std::sync::Arc;

use devpocket_actors::runtime::Runtime;
use devpocket_actors::runtime::local::{LocalConfig, LocalRuntime, Sandbox, sandbox};

/// Names the agent's program.
const AGENT: &str = "DEVPOCKET_AGENT";

/// How it should be.
pub(super) struct Wanted {
    /// Where environments live.
    pub(super) root: PathBuf,
    /// Run them without a sandbox.
    pub(super) unsandboxed: bool,
}

/// Finds the agent: named by `DEVPOCKET_AGENT`, else beside this program.
pub(super) fn agent() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os(AGENT) {
        let named = PathBuf::from(named);
        return named.is_file().then_some(named).ok_or_else(|| format!("{AGENT} names no file"));
    }
    let own = std::env::current_exe().map_err(|error| format!("where this program is: {error}"))?;
    let beside = own.with_file_name("devpocket-agent");
    if beside.is_file() {
        return Ok(beside);
    }
    Err(format!(
        "no agent at {}; build it with `make run` or scripts/build-agent, or name it in {AGENT}",
        beside.display()
    ))
}

/// Makes it.
pub(super) async fn local(wanted: &Wanted) -> Result<Arc<dyn Runtime>, String> {
    let agent = agent()?;
    let sandbox = if wanted.unsandboxed {
        Sandbox::None
    } else {
        let why = |why| format!("environments cannot be sandboxed on this machine: {why}");
        Sandbox::Bubblewrap(sandbox::probe().await.map_err(why)?)
    };
    let root = std::path::absolute(&wanted.root).map_err(|error| error.to_string())?;
    let runtime = LocalRuntime::new(LocalConfig { root, agent, sandbox });
    runtime.check().await.map_err(|error| format!("environments cannot run here: {error}"))?;
    Ok(Arc::new(runtime))
}
