//! What each plan allows.

use crate::environment::{bytes_text, cpu_text, parse_bytes, parse_cpu};
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

/// What somebody asks for an environment, as they wrote it; `None`: nothing in particular.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'a> {
    /// Such as `500m`.
    pub cpu: Option<&'a str>,
    /// Such as `1Gi`.
    pub memory: Option<&'a str>,
    /// Such as `10Gi`.
    pub storage: Option<&'a str>,
}

impl Allowance {
    /// Checks what somebody on this plan asks for.
    ///
    /// # Errors
    /// What is more than the plan allows, and what it allows. An amount that can't be read
    /// counts as too much: only numbers that are too large can't, once their form was checked.
    pub fn check(&self, plan: Plan, wish: Wish<'_>) -> Result<(), String> {
        let each = &self.each;
        let too_much = [
            wish.cpu.filter(|text| parse_cpu(text).map_or(true, |n| n > each.cpu_millis)),
            wish.memory.filter(|text| parse_bytes("memory", text).map_or(true, |n| n > each.memory_bytes)),
            wish.storage.filter(|text| parse_bytes("storage", text).map_or(true, |n| n > each.storage_bytes)),
        ];
        let names = ["cpu", "memory", "storage"];
        let asked: Vec<String> = names
            .iter()
            .zip(too_much)
            .filter_map(|(name, text)| text.map(|text| format!("{name} {text}")))
            .collect();
        if asked.is_empty() {
            return Ok(());
        }
        Err(format!(
            "Your plan ({plan}) allows each environment at most cpu {}, memory {} and storage {}, but you asked for {}",
            cpu_text(each.cpu_millis),
            bytes_text(each.memory_bytes),
            bytes_text(each.storage_bytes),
            asked.join(", "),
        ))
    }

    /// An amount of CPU, or as much as the plan allows if that is less.
    #[must_use]
    pub fn at_most_cpu(&self, text: String) -> String {
        match parse_cpu(&text) {
            Ok(millis) if millis <= self.each.cpu_millis => text,
            _ => cpu_text(self.each.cpu_millis),
        }
    }

    /// An amount of memory, likewise.
    #[must_use]
    pub fn at_most_memory(&self, text: String) -> String {
        at_most(text, self.each.memory_bytes)
    }

    /// An amount of storage, likewise.
    #[must_use]
    pub fn at_most_storage(&self, text: String) -> String {
        at_most(text, self.each.storage_bytes)
    }
}

fn at_most(text: String, most: u64) -> String {
    match parse_bytes("size", &text) {
        Ok(bytes) if bytes <= most => text,
        _ => bytes_text(most),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_than_the_plan_allows_is_named_beside_what_it_allows() {
        let free = Plans::default().free;
        let wish = Wish { cpu: Some("1"), memory: Some("2Gi"), storage: None };
        assert_eq!(free.check(Plan::Free, wish), Ok(()));
        let wish = Wish { cpu: Some("1001m"), memory: Some("2G"), storage: Some("999999999G") };
        let why = free.check(Plan::Free, wish).unwrap_err();
        assert_eq!(
            why,
            "Your plan (FREE) allows each environment at most cpu 1, memory 2Gi and storage 10Gi, but you \
             asked for cpu 1001m, storage 999999999G"
        );
        assert!(free.check(Plan::Free, Wish { cpu: Some("999999999"), ..Wish::default() }).is_err());
    }

    #[test]
    fn what_a_template_suggests_is_given_as_far_as_the_plan_goes() {
        let free = Plans::default().free;
        assert_eq!(free.at_most_cpu("500m".into()), "500m");
        assert_eq!(free.at_most_cpu("4".into()), "1");
        assert_eq!(free.at_most_memory("2048Mi".into()), "2048Mi");
        assert_eq!(free.at_most_storage("20Gi".into()), "10Gi");
    }
}
