//! What the plans allow.

use devpocket_actors::environment::{parse_bytes, parse_cpu};
use devpocket_actors::plans::{Allowance, Plans};

use super::reader::Reader;

/// The variables of one plan: number of environments; CPU, memory and storage of each.
type Names = [&'static str; 4];

const FREE: Names =
    ["FREE_PLAN_MAX_ENVIRONMENTS", "FREE_PLAN_MAX_CPU", "FREE_PLAN_MAX_MEMORY", "FREE_PLAN_MAX_STORAGE"];
const STARTER: Names = [
    "STARTER_PLAN_MAX_ENVIRONMENTS",
    "STARTER_PLAN_MAX_CPU",
    "STARTER_PLAN_MAX_MEMORY",
    "STARTER_PLAN_MAX_STORAGE",
];
const PRO: Names =
    ["PRO_PLAN_MAX_ENVIRONMENTS", "PRO_PLAN_MAX_CPU", "PRO_PLAN_MAX_MEMORY", "PRO_PLAN_MAX_STORAGE"];
const ENTERPRISE: Names = [
    "ENTERPRISE_PLAN_MAX_ENVIRONMENTS",
    "ENTERPRISE_PLAN_MAX_CPU",
    "ENTERPRISE_PLAN_MAX_MEMORY",
    "ENTERPRISE_PLAN_MAX_STORAGE",
];

pub(super) fn read(read: &mut Reader<'_>) -> Plans {
    let defaults = Plans::default();
    Plans {
        free: allowance(read, FREE, defaults.free),
        starter: allowance(read, STARTER, defaults.starter),
        pro: allowance(read, PRO, defaults.pro),
        enterprise: allowance(read, ENTERPRISE, defaults.enterprise),
    }
}

fn allowance(read: &mut Reader<'_>, [environments, cpu, memory, storage]: Names, or: Allowance) -> Allowance {
    let mut size = |name, default| {
        let expected = "an amount such as 512Mi or 10Gi";
        read.readable(name, default, expected, |text| parse_bytes("size", text).ok())
    };
    let (memory_bytes, storage_bytes) =
        (size(memory, or.each.memory_bytes), size(storage, or.each.storage_bytes));
    let cores = "cores such as 2, or thousandths such as 500m";
    let cpu_millis = read.readable(cpu, or.each.cpu_millis, cores, |text| parse_cpu(text).ok());
    Allowance {
        environments: read.number(environments, or.environments, 0..=10_000),
        each: devpocket_actors::runtime::Resources { cpu_millis, memory_bytes, storage_bytes },
    }
}
