//! What environments use, sampled by node.

use super::Inner;
use crate::runtime::{EnvironmentSpec, RuntimeError, Stats};

/// The newest samples of each node.
#[derive(Debug, Default)]
pub(super) struct Samples {}

pub(super) async fn of(_inner: &Inner, _spec: &EnvironmentSpec) -> Result<Stats, RuntimeError> {
    Err(RuntimeError::Unavailable(String::new()))
}
