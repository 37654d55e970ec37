//! What is applied: plain functions from a specification to objects.
//!
//! All of it is applied whole each time by one field manager, so what an older version of the
//! server said and this one does not goes away.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::environment::bytes_text;
use crate::runtime::Resources;

mod environment;
mod namespace;
mod pod;

pub(super) use environment::{claim, config_secret, service, stateful_set};
pub(super) use namespace::{limit_range, namespace, network_policy, resource_quota};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What a container may write outside its volume: the packages that it installs, `/tmp`. More
/// than that and the pod is evicted, rather than the node's disk filled.
const SCRATCH_LIMIT: u64 = 10 * GIB;
const SCRATCH_REQUEST: u64 = 64 * MIB;

/// What the init container may use. It copies one file of some MiB.
const AGENT_CPU_MILLIS: u32 = 100;
const AGENT_MEMORY: u64 = 64 * MIB;

/// The parts of its limits that an environment is promised. Development environments idle most
/// of the time, so promising little lets a small node hold many; the limits still hold each.
const CPU_PROMISED: u32 = 10;
const MEMORY_PROMISED: u64 = 4;
const LEAST_CPU_MILLIS: u32 = 10;
const LEAST_MEMORY: u64 = 32 * MIB;

/// What an environment is promised: a tenth of its CPU and a quarter of its memory.
fn promised(limits: &Resources) -> (u32, u64) {
    let cpu = (limits.cpu_millis / CPU_PROMISED).max(LEAST_CPU_MILLIS).min(limits.cpu_millis);
    let memory = (limits.memory_bytes / MEMORY_PROMISED).max(LEAST_MEMORY).min(limits.memory_bytes);
    (cpu, memory)
}

fn millis(millis: u64) -> Quantity {
    Quantity(format!("{millis}m"))
}

pub(super) fn bytes(bytes: u64) -> Quantity {
    Quantity(bytes_text(bytes))
}

fn count(count: u64) -> Quantity {
    Quantity(count.to_string())
}

fn quantities<const N: usize>(values: [(&str, Quantity); N]) -> BTreeMap<String, Quantity> {
    values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_readable() {
        let written = |number| bytes(number).0;
        assert_eq!([written(GIB), written(80 * GIB), written(1000 * GIB)], ["1Gi", "80Gi", "1000Gi"]);
        assert_eq!([written(1536 * MIB), written(1), written(0)], ["1536Mi", "1", "0"]);
    }

    #[test]
    fn what_is_promised_is_a_part_of_the_limit() {
        let of =
            |cpu_millis, memory_bytes| promised(&Resources { cpu_millis, memory_bytes, storage_bytes: 0 });
        assert_eq!(of(2000, 4 * GIB), (200, GIB));
        assert_eq!(of(50, 64 * MIB), (10, 32 * MIB));
        assert_eq!(of(5, MIB), (5, MIB), "never more than the limit");
    }
}
