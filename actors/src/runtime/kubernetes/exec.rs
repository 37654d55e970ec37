//! Channels to agents: an exec of `devpocket-agent attach`.

use super::Inner;
use crate::runtime::{BoxStream, EnvironmentKey, RuntimeError};

pub(super) async fn open(_inner: &Inner, _environment: &EnvironmentKey) -> Result<BoxStream, RuntimeError> {
    Err(RuntimeError::Unavailable(String::new()))
}
