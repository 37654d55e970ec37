//! The same as on one machine, with environments on a cluster: the tests of sessions, and what
//! can go wrong with a cluster. `KUBECONFIG` names it; the server is let in with the rights of
//! deploy/kubernetes/rbac.yaml alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a failed test"
)]

#[path = "../common/mod.rs"]
mod common;

/// Where environments run.
const SITE: common::site::Site = common::site::Site::Kubernetes;

mod clusters;
mod errors;
mod faults;
#[path = "../websocket/flood.rs"]
mod flood;
#[path = "../chaos/inside.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod inside;
mod lifecycle;
#[path = "../chaos/panics.rs"]
mod panics;
mod pod;
#[path = "../websocket/resume.rs"]
mod resume;
#[path = "../websocket/size.rs"]
mod size;
