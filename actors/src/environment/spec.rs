//! From an environment's row to what a runtime is asked for.

use crate::persistence::environments::{Environment, EnvironmentView};
use crate::persistence::vault::{Vault, VaultError};
use crate::runtime::{EnvironmentKey, EnvironmentSpec, Resources};

/// A quantity that is none. Rows are validated before they are written; this is for rows that
/// an older installation wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value:?}, expected {expected}")]
pub struct InvalidQuantity {
    field: &'static str,
    value: String,
    expected: &'static str,
}

/// Reads CPU as Kubernetes writes it (`500m`, `2`), in thousandths of a core.
///
/// # Errors
/// When it is nothing of the kind, or 0.
pub fn parse_cpu(text: &str) -> Result<u32, InvalidQuantity> {
    let (digits, factor) = text.strip_suffix('m').map_or((text, 1000), |digits| (digits, 1));
    let millis = digits.parse::<u32>().ok().and_then(|n| n.checked_mul(factor)).filter(|n| *n > 0);
    millis.ok_or_else(|| InvalidQuantity {
        field: "cpu",
        value: text.to_owned(),
        expected: "thousandths of a core such as 500m, or whole cores such as 2",
    })
}

/// Reads memory or storage as Kubernetes writes it (`512Mi`, `1Gi`, `10G`), in bytes.
///
/// # Errors
/// When it is nothing of the kind, or 0.
pub fn parse_bytes(field: &'static str, text: &str) -> Result<u64, InvalidQuantity> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor: Option<u64> = match unit {
        "" => Some(1),
        "K" | "k" => Some(1000),
        "M" => Some(1000_u64.pow(2)),
        "G" => Some(1000_u64.pow(3)),
        "T" => Some(1000_u64.pow(4)),
        "Ki" => Some(1 << 10),
        "Mi" => Some(1 << 20),
        "Gi" => Some(1 << 30),
        "Ti" => Some(1 << 40),
        _ => None,
    };
    let bytes = factor.and_then(|factor| digits.parse::<u64>().ok()?.checked_mul(factor)).filter(|n| *n > 0);
    bytes.ok_or_else(|| InvalidQuantity {
        field,
        value: text.to_owned(),
        expected: "a number with Ki, Mi, Gi, Ti, K, M, G or T, such as 1Gi",
    })
}

/// CPU as Kubernetes writes it: whole cores where they are whole.
#[must_use]
pub fn cpu_text(millis: u32) -> String {
    if millis.is_multiple_of(1000) { (millis / 1000).to_string() } else { format!("{millis}m") }
}

/// Bytes as Kubernetes writes them, in the largest unit that they are whole in: people read it too.
#[must_use]
pub fn bytes_text(bytes: u64) -> String {
    const UNITS: [(u32, &str); 4] = [(40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")];
    let fits = |(shift, _): &&(u32, &str)| bytes > 0 && bytes.trailing_zeros() >= *shift;
    match UNITS.iter().find(fits) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}

/// How a runtime is told which environment is meant.
pub(super) fn key_of(row: &Environment) -> EnvironmentKey {
    EnvironmentKey { id: row.id.clone(), user_id: row.user_id.clone() }
}

/// Why a row can't be run. Begins with the part of it that is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(transparent)]
    Quantity(#[from] InvalidQuantity),
    #[error("variables can't be read: {0}")]
    Variables(#[from] VaultError),
}

/// What a runtime is asked for.
pub(crate) fn spec_of(view: &EnvironmentView, vault: &Vault) -> Result<EnvironmentSpec, Unusable> {
    let row = &view.environment;
    Ok(EnvironmentSpec {
        key: key_of(row),
        name: row.name.clone(),
        plan: view.owner_plan,
        template: view.template_name.clone(),
        image: row.docker_image.clone(),
        // The column is checked to be a port.
        port: u16::try_from(row.port).unwrap_or(8080),
        variables: row.environment_variables.open(vault, &row.id)?.0,
        install: view.install_commands.clone(),
        startup: view.startup_commands.clone(),
        resources: Resources {
            cpu_millis: parse_cpu(&row.resources_cpu)?,
            memory_bytes: parse_bytes("memory", &row.resources_memory)?,
            storage_bytes: parse_bytes("storage", &row.resources_storage)?,
        },
        placement: view.placement.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        assert_eq!(parse_cpu("500m"), Ok(500));
        assert_eq!(parse_cpu("2"), Ok(2000));
        assert_eq!(parse_bytes("memory", "512Mi"), Ok(512 << 20));
        assert_eq!(parse_bytes("memory", "10G"), Ok(10_000_000_000));
        assert_eq!(parse_bytes("memory", "7"), Ok(7));
        assert_eq!((cpu_text(1500), cpu_text(2000)), ("1500m".to_owned(), "2".to_owned()));
        assert_eq!((bytes_text(3 << 30), bytes_text(1_000_001)), ("3Gi".to_owned(), "1000001".to_owned()));
        for bad in ["", "m", "0", "0m", "-1", "1.5", "99999999999"] {
            assert!(parse_cpu(bad).is_err(), "{bad}");
        }
        for bad in ["", "Gi", "0Gi", "1gi", "1 Gi", "99999999999999Ti"] {
            assert!(parse_bytes("memory", bad).is_err(), "{bad}");
        }
    }
}
