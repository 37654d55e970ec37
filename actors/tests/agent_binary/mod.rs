//! The agent's program, for tests that start real environments.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// What `DEVPOCKET_AGENT` names; without it, it is built, once for each test process (cargo
/// makes others wait).
pub fn agent() -> PathBuf {
    static AGENT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        if let Some(agent) = std::env::var_os("DEVPOCKET_AGENT") {
            return agent.into();
        }
        // <target>/<profile>/deps/<this test>
        let profile = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "devpocket-agent", "--target-dir"])
            .arg(profile.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.is_ok_and(|status| status.success()), "the agent can't be built");
        profile.join("devpocket-agent")
    };
    AGENT.get_or_init(build).clone()
}
