//! What makes a template acceptable, from a file or from a request.

use crate::persistence::templates::TemplateSpec;

/// Most tags of a template.
pub const MAX_TAGS: usize = 20;
/// Most commands of each kind.
pub const MAX_COMMANDS: usize = 50;
/// Longest command: what a command line of a shell script may reasonably be.
pub const MAX_COMMAND_BYTES: usize = 4_096;
/// Most labels in a node selector.
pub const MAX_LABELS: usize = 20;
/// Most variables.
pub const MAX_VARIABLES: usize = 100;

/// A rule that is broken: the field, as JSON and YAML spell it, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which field.
    pub field: &'static str,
    /// What is wrong, in words for the person who wrote it.
    pub message: String,
}

/// All rules that the template breaks.
#[must_use]
pub fn check(spec: &TemplateSpec) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut rule = |holds: bool, field: &'static str, message: &str| {
        if !holds {
            found.push(Violation { field, message: message.to_owned() });
        }
    };
    rule(is_name(&spec.name), "name", "must be 1 to 50 letters, digits, `-` or `_`");
    rule(has_length(&spec.display_name, 100), "displayName", "must have 1 to 100 characters");
    rule(has_length(&spec.description, 1_000), "description", "must have 1 to 1000 characters");
    rule(spec.tags.len() <= MAX_TAGS, "tags", "are too many (at most 20)");
    rule(
        spec.tags.iter().all(|tag| has_length(tag, 50) && *tag == tag.to_lowercase()),
        "tags",
        "must be in lower case, 1 to 50 characters each",
    );
    rule(is_image(&spec.docker_image), "dockerImage", "must be the name of an image");
    rule(spec.default_port > 0, "defaultPort", "must be 1 to 65535");
    rule(is_cpu(&spec.default_resources_cpu), "defaultResourcesCpu", "must be like `500m` or `2`");
    rule(is_size(&spec.default_resources_memory), "defaultResourcesMemory", "must be like `512Mi` or `2Gi`");
    rule(is_size(&spec.default_resources_storage), "defaultResourcesStorage", "must be like `10Gi`");
    let variables = &spec.environment_variables.0;
    rule(variables.len() <= MAX_VARIABLES, "environmentVariables", "are too many (at most 100)");
    rule(
        variables.keys().all(|name| is_variable(name)),
        "environmentVariables",
        "must have names of letters, digits and `_`, not beginning with a digit or `DEVPOCKET_`",
    );
    rule(
        variables.values().all(|value| !value.contains('\0')),
        "environmentVariables",
        "must not hold NUL characters",
    );
    for (field, commands) in
        [("installCommands", &spec.install_commands), ("startupCommands", &spec.startup_commands)]
    {
        rule(commands.len() <= MAX_COMMANDS, field, "are too many (at most 50)");
        rule(
            commands.iter().all(|command| {
                !command.trim().is_empty() && command.len() <= MAX_COMMAND_BYTES && !command.contains('\0')
            }),
            field,
            "must have 1 to 4096 bytes each and no NUL characters",
        );
    }
    let placement = &spec.placement;
    rule(
        placement.runtime_class.as_deref().is_none_or(|name| is_label_part(name, 253)),
        "placement",
        "must name a runtimeClass of lower-case letters, digits, `-` and `.`",
    );
    rule(
        placement.node_selector.len() <= MAX_LABELS
            && placement.node_selector.iter().all(|(key, value)| {
                key.rsplitn(2, '/').all(|part| is_label_part(part, 253))
                    && (value.is_empty() || is_label_part(value, 63))
            }),
        "placement",
        "must have a nodeSelector of at most 20 Kubernetes labels",
    );
    for (field, url) in [("documentationUrl", &spec.documentation_url), ("iconUrl", &spec.icon_url)] {
        rule(url.as_deref().is_none_or(is_url), field, "must be an http or https address");
    }
    rule(has_length(&spec.version, 50), "version", "must have 1 to 50 characters");
    found
}

/// A name or part of a label, as Kubernetes has them: it begins and ends with a letter or digit.
fn is_label_part(text: &str, longest: usize) -> bool {
    let alphanumeric = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= longest
        && alphanumeric(text.chars().next())
        && alphanumeric(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// 1 to 50 letters, digits, `-` or `_`: also what environments and clusters are called.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=50).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// `2`, `500m`.
#[must_use]
pub fn is_cpu(text: &str) -> bool {
    is_amount(text.strip_suffix('m').unwrap_or(text))
}

/// `512Mi`, `2Gi`, `1G`.
#[must_use]
pub fn is_size(text: &str) -> bool {
    let text = text.strip_suffix('i').unwrap_or(text);
    text.strip_suffix(['G', 'M', 'K']).is_some_and(is_amount)
}

/// A name the environment's shell can use, and that is not one of ours.
#[must_use]
pub fn is_variable(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with("DEVPOCKET_")
}

/// Digits, not too many, not all zero.
fn is_amount(text: &str) -> bool {
    (1..=9).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.bytes().any(|byte| byte != b'0')
}

fn has_length(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= most && !text.contains('\0')
}

fn is_image(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/:@".contains(&b))
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    text.len() <= 2_048
        && rest.is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_alphanumeric())
                && !rest.contains(|c: char| c.is_whitespace() || c.is_control() || "\"<>".contains(c))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_those_of_the_contract() {
        for good in ["1", "500m", "16"] {
            assert!(is_cpu(good), "{good}");
        }
        for bad in ["", "m", "0", "0m", "1.5", "-1", "500M", "1 "] {
            assert!(!is_cpu(bad), "{bad}");
        }
        for good in ["512Mi", "10Gi", "1G", "100K"] {
            assert!(is_size(good), "{good}");
        }
        for bad in ["", "Gi", "10", "10gi", "1Ti", "10i", "0Gi", "1.5Gi"] {
            assert!(!is_size(bad), "{bad}");
        }
    }

    #[test]
    fn names_images_variables_and_addresses() {
        assert!(is_name("coding-agent") && !is_name("a b") && !is_name("") && !is_name(&"a".repeat(51)));
        assert!(is_image("ghcr.io/a/b:1.2@sha256:00") && !is_image("a b") && !is_image("$(id)"));
        assert!(
            is_variable("PATH_2") && !is_variable("2") && !is_variable("A-B") && !is_variable("DEVPOCKET_X")
        );
        assert!(is_url("https://example.org/a?b") && !is_url("javascript:x") && !is_url("https:// x"));
    }
}
