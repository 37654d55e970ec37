//! Channels into pods and what is told of them, on the cluster of `KUBECONFIG`. It has to have the
//! images `devbox:1` and `devpocket-agent:dev` (`DEVPOCKET_AGENT_IMAGE`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a failed test"
)]

#[path = "../cluster_account/mod.rs"]
mod cluster_account;
mod containers;
mod place;
mod rights;
#[path = "../runtime_suite/mod.rs"]
mod runtime_suite;
mod streams;

use devpocket_actors::runtime::RuntimeError;

/// What a person reads of a failure.
fn words<T>(result: Result<T, RuntimeError>) -> String {
    result.err().expect("it fails").to_string()
}
