//! Connections to ports inside environments.

use super::Inner;
use crate::runtime::{BoxStream, EnvironmentKey, RuntimeError};

pub(super) async fn open(
    _inner: &Inner,
    _environment: &EnvironmentKey,
    _port: u16,
) -> Result<BoxStream, RuntimeError> {
    Err(RuntimeError::Unavailable(String::new()))
}
