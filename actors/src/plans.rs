//! What each plan allows.

use crate::persistence::Plan;
use crate::runtime::Resources;

const GIB: u64 = 1 << 30;

/// What a plan allows one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Environments that are not terminated.
    pub environments: u32,
    /// What each of them may use at most.
    pub each: Resources,
}

/// The allowance of each plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the plans")]
pub struct Plans {
    pub free: Allowance,
    pub starter: Allowance,
    pub pro: Allowance,
    pub enterprise: Allowance,
}

impl Plans {
    /// The allowance of a plan.
    #[must_use]
    pub const fn of(&self, plan: Plan) -> &Allowance {
        match plan {
            Plan::Free => &self.free,
            Plan::Starter => &self.starter,
            Plan::Pro => &self.pro,
            Plan::Enterprise => &self.enterprise,
        }
    }
}

impl Default for Plans {
    fn default() -> Self {
        let allowance = |environments, cores: u32, memory, storage| Allowance {
            environments,
            each: Resources {
                cpu_millis: cores * 1000,
                memory_bytes: memory * GIB,
                storage_bytes: storage * GIB,
            },
        };
        Self {
            free: allowance(1, 1, 2, 10),
            starter: allowance(3, 2, 4, 20),
            pro: allowance(10, 4, 8, 100),
            enterprise: allowance(100, 8, 16, 200),
        }
    }
}
