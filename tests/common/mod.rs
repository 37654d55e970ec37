//! What the end-to-end tests and the benchmark share: a real server with its database and its
//! environments, clients whose connections break, and what to compare their screens with.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a failed test"
)]

#[cfg(feature = "cluster-tests")]
pub mod cluster;
pub mod cut;
pub mod http;
pub mod leash;
pub mod pty;
pub mod random;
pub mod raw;
pub mod screen;
pub mod secrets;
pub mod server;
pub mod shell;
pub mod site;

use std::time::Duration;

/// The most that a test waits for one thing.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that must come.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {} s for {what}", PATIENCE.as_secs()),
    }
}
