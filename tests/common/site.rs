//! Where the environments of a test binary run: each binary says it once, as `SITE`.

use std::path::{Path, PathBuf};

/// A place for environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// Sandboxes on this machine.
    Local,
    /// The cluster of `KUBECONFIG`.
    Kubernetes,
}

impl Site {
    /// The template to make environments of: one that has what the tests type.
    pub const fn template(self) -> &'static str {
        match self {
            Self::Local => "ubuntu",
            Self::Kubernetes => "devbox",
        }
    }
}

/// Templates of images that test clusters have.
pub fn templates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/templates")
}
