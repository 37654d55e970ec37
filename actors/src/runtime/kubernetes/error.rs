//! What a person reads when a cluster says no.

use crate::runtime::RuntimeError;

/// What went wrong while `doing` something, and what to do about it.
pub(super) fn explain(doing: &str, error: &kube::Error) -> RuntimeError {
    RuntimeError::Unavailable(format!("{doing}: {error}"))
}
