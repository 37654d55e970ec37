//! Ensure, stop, delete, inventory.

use super::Inner;
use crate::runtime::{EnvironmentKey, EnvironmentSpec, RuntimeError};

pub(super) async fn ensure(_inner: &Inner, _spec: &EnvironmentSpec) -> Result<(), RuntimeError> {
    Err(RuntimeError::Unavailable(String::new()))
}

pub(super) async fn stop(_inner: &Inner, _environment: &EnvironmentKey) -> Result<(), RuntimeError> {
    Err(RuntimeError::Unavailable(String::new()))
}

pub(super) async fn delete(_inner: &Inner, _environment: &EnvironmentKey) -> Result<(), RuntimeError> {
    Err(RuntimeError::Unavailable(String::new()))
}

pub(super) async fn inventory(_inner: &Inner) -> Result<Vec<String>, RuntimeError> {
    Err(RuntimeError::Unavailable(String::new()))
}
