//! Faults, for tests.

use super::actor::Failure;

/// A fault that tests strike an actor with (feature `chaos`; nothing makes one otherwise).
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    #[cfg_attr(not(feature = "chaos"), expect(dead_code, reason = "made by tests alone"))]
    Panic,
}

impl Fault {
    #[expect(clippy::panic, reason = "a panic is what it is for")]
    pub(super) fn strike(self) -> Result<(), Failure> {
        match self {
            Self::Panic => panic!("injected fault"),
        }
    }
}
