//! The Kubernetes runtime on a real cluster, with the real agent.
//!
//! It has to have the images `devbox:1` and `devpocket-agent:dev` (`DEVPOCKET_AGENT_IMAGE`).

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod cuts;
mod many;
mod objects;
mod orphans;
mod place;
#[path = "../runtime_suite/mod.rs"]
mod runtime_suite;
mod state;
mod suite;
#[path = "../persistence/support.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod support;
mod trouble;
