//! The runtimes that a server is given: this machine, as far as it has what that needs, or a
//! cluster.

use std::path::PathBuf;
use std::sync::Arc;

use devpocket_actors::GivenCluster;
use devpocket_actors::persistence::RuntimeKind;
use devpocket_actors::runtime::Runtime as _;
use devpocket_actors::runtime::kubernetes::KubernetesRuntime;
use devpocket_actors::runtime::kubernetes::connect::{self, Access};
use devpocket_actors::runtime::local::{LocalConfig, LocalRuntime, Sandbox, sandbox};

use crate::config::{Given, Kubernetes};

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

/// How the given cluster is reached.
pub(super) fn access(kubernetes: &Kubernetes) -> Option<Access> {
    Some(match kubernetes.given.as_ref()? {
        Given::InCluster => Access::InCluster,
        Given::Kubeconfig(file) => Access::File(file.clone()),
    })
}

/// The cluster that the configuration gives, if it gives one.
pub(super) async fn given(kubernetes: &Kubernetes) -> Result<Option<GivenCluster>, String> {
    let Some(access) = access(kubernetes) else { return Ok(None) };
    let description = match &access {
        Access::File(file) => format!("The cluster of {}", file.display()),
        _ => "The cluster that the server runs in".to_owned(),
    };
    let client = connect::client(&access).await.map_err(|error| error.to_string())?;
    Ok(Some(GivenCluster {
        name: kubernetes.cluster.clone(),
        description,
        kind: RuntimeKind::Kubernetes,
        runtime: Arc::new(KubernetesRuntime::new(client, kubernetes.environments.clone())),
    }))
}

/// Makes it.
pub(super) async fn local(wanted: &Wanted) -> Result<GivenCluster, String> {
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
    Ok(GivenCluster::local(Arc::new(runtime)))
}
