//! One file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_saphyr::Spanned;
use sha2::{Digest as _, Sha256};

use super::{Problem, TemplateSource, rules};
use crate::persistence::templates::TemplateSpec;
use crate::persistence::{TemplateCategory, TemplateStatus, Variables, hex};
use crate::runtime::Placement;

/// Largest file that is read. Ours have some 50 lines.
pub const MAX_FILE_BYTES: usize = 64 * 1024;

/// The fields of a file. Unknown ones are errors: they are typing errors.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TemplateFile {
    name: Spanned<String>,
    display_name: Spanned<String>,
    description: Spanned<String>,
    category: Spanned<TemplateCategory>,
    tags: Spanned<Vec<String>>,
    docker_image: Spanned<String>,
    default_port: Spanned<u16>,
    default_resources_cpu: Spanned<String>,
    default_resources_memory: Spanned<String>,
    default_resources_storage: Spanned<String>,
    environment_variables: Spanned<BTreeMap<String, String>>,
    /// Not in older files: those did everything at start.
    #[serde(default)]
    install_commands: Option<Spanned<Vec<String>>>,
    startup_commands: Spanned<Vec<String>>,
    #[serde(default)]
    placement: Option<Spanned<Placement>>,
    #[serde(default)]
    documentation_url: Option<Spanned<String>>,
    #[serde(default)]
    icon_url: Option<Spanned<String>>,
    status: Spanned<TemplateStatus>,
    version: Spanned<String>,
}

impl TemplateFile {
    fn line_of(&self, field: &str) -> Option<u64> {
        let line = match field {
            "name" => self.name.referenced.line(),
            "displayName" => self.display_name.referenced.line(),
            "description" => self.description.referenced.line(),
            "tags" => self.tags.referenced.line(),
            "dockerImage" => self.docker_image.referenced.line(),
            "defaultPort" => self.default_port.referenced.line(),
            "defaultResourcesCpu" => self.default_resources_cpu.referenced.line(),
            "defaultResourcesMemory" => self.default_resources_memory.referenced.line(),
            "defaultResourcesStorage" => self.default_resources_storage.referenced.line(),
            "environmentVariables" => self.environment_variables.referenced.line(),
            "installCommands" => self.install_commands.as_ref()?.referenced.line(),
            "startupCommands" => self.startup_commands.referenced.line(),
            "placement" => self.placement.as_ref()?.referenced.line(),
            "documentationUrl" => self.documentation_url.as_ref()?.referenced.line(),
            "iconUrl" => self.icon_url.as_ref()?.referenced.line(),
            "version" => self.version.referenced.line(),
            _ => return None,
        };
        // 0 stands for "not known".
        (line > 0).then_some(line)
    }

    fn into_spec(self) -> TemplateSpec {
        TemplateSpec {
            name: self.name.value,
            display_name: self.display_name.value,
            description: self.description.value,
            category: self.category.value,
            tags: self.tags.value,
            docker_image: self.docker_image.value,
            default_port: self.default_port.value,
            default_resources_cpu: self.default_resources_cpu.value,
            default_resources_memory: self.default_resources_memory.value,
            default_resources_storage: self.default_resources_storage.value,
            environment_variables: Variables(self.environment_variables.value),
            install_commands: self.install_commands.map(|commands| commands.value).unwrap_or_default(),
            startup_commands: self.startup_commands.value,
            placement: self.placement.map(|placement| placement.value).unwrap_or_default(),
            documentation_url: self.documentation_url.map(|url| url.value),
            icon_url: self.icon_url.map(|url| url.value),
            status: self.status.value,
            version: self.version.value,
        }
    }
}

/// Reads one file.
///
/// # Errors
/// What is wrong with it: the first error of its form, or all of its content.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<TemplateSource, Vec<Problem>> {
    let problem = |line: Option<u64>, field: Option<&str>, message: String| Problem {
        path: path.to_owned(),
        line,
        field: field.map(str::to_owned),
        message,
    };
    if bytes.len() > MAX_FILE_BYTES {
        return Err(vec![problem(None, None, format!("is larger than {MAX_FILE_BYTES} bytes"))]);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        vec![problem(Some(line as u64), None, "is not UTF-8".to_owned())]
    })?;
    let file: TemplateFile = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map(|location| location.line()).filter(|line| *line > 0);
        // Its first line says what; the rest draws the place, which we name ourselves.
        let text = error.without_snippet().to_string();
        vec![problem(line, None, text.lines().next().unwrap_or("cannot be read").to_owned())]
    })?;
    let lines: Vec<_> = FIELDS.iter().map(|field| (*field, file.line_of(field))).collect();
    let spec = file.into_spec();
    let problems: Vec<_> = rules::check(&spec)
        .into_iter()
        .map(|broken| {
            let line = lines.iter().find(|(field, _)| *field == broken.field).and_then(|(_, line)| *line);
            problem(line, Some(broken.field), broken.message)
        })
        .collect();
    if problems.is_empty() {
        Ok(TemplateSource { path: path.to_owned(), spec, digest: hex(&Sha256::digest(bytes)) })
    } else {
        Err(problems)
    }
}

/// The fields that rules speak of.
const FIELDS: [&str; 16] = [
    "name",
    "displayName",
    "description",
    "tags",
    "dockerImage",
    "defaultPort",
    "defaultResourcesCpu",
    "defaultResourcesMemory",
    "defaultResourcesStorage",
    "environmentVariables",
    "installCommands",
    "startupCommands",
    "placement",
    "documentationUrl",
    "iconUrl",
    "version",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::templates::BUILT_IN;

    fn debian() -> &'static str {
        BUILT_IN.iter().find(|(name, _)| *name == "debian.yaml").unwrap().1
    }

    fn problems(text: &str) -> Vec<String> {
        parse(Path::new("t.yaml"), text.as_bytes())
            .map(|_| Vec::new())
            .unwrap_or_else(|found| found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_broken_rule_names_its_line_and_field() {
        let text = debian().replace("defaultPort: 8080", "defaultPort: 0");
        let line = text.lines().position(|line| line.starts_with("defaultPort")).unwrap() + 1;
        assert_eq!(problems(&text), [format!("t.yaml:{line}: defaultPort: must be 1 to 65535")]);
    }

    #[test]
    fn unknown_missing_and_repeated_fields_are_errors() {
        assert!(problems(&format!("{}\nstartupComands: []\n", debian()))[0].contains("startupComands"));
        assert!(problems(&debian().replace("version:", "# version:"))[0].contains("version"));
        assert!(!problems(&format!("{}\nname: other\n", debian())).is_empty());
        assert!(!problems("").is_empty());
        assert_eq!(parse(Path::new("t"), &[b'a', b'\n', 0xff]).unwrap_err()[0].line, Some(2));
        assert!(problems(&" ".repeat(MAX_FILE_BYTES + 1))[0].contains("larger"));
    }

    #[test]
    fn install_commands_may_be_left_out() {
        let text = debian().replace("installCommands:", "startupCommands:");
        let end = text.rfind("startupCommands:").unwrap();
        let start = text.find("startupCommands:").unwrap();
        let text =
            if start == end { text.clone() } else { format!("{}{}", &text[..end], rest(&text[end..])) };
        assert!(parse(Path::new("t.yaml"), text.as_bytes()).unwrap().spec.install_commands.is_empty());
    }

    /// What follows a field and its indented lines.
    fn rest(text: &str) -> &str {
        let next = text.match_indices('\n').find(|(at, _)| text[at + 1..].starts_with(char::is_alphabetic));
        next.map_or("", |(at, _)| &text[at + 1..])
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = parse(Path::new("t.yaml"), &bytes);
        }

        #[test]
        fn any_yaml_like_text_is_answered_without_a_panic(
            text in "([a-z]{0,9}[:\\-\\[\\]{}&*|>!%@,#?'\" \n\t]{0,3}){0,200}"
        ) {
            let _ = parse(Path::new("t.yaml"), text.as_bytes());
        }

        #[test]
        fn a_damaged_template_is_answered_without_a_panic(
            at in 0..4_000usize, length in 0..40usize, put in prop::collection::vec(any::<u8>(), 0..40)
        ) {
            let mut bytes = debian().as_bytes().to_vec();
            let at = at.min(bytes.len());
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, put);
            if let Ok(source) = parse(Path::new("t.yaml"), &bytes) {
                prop_assert!(rules::check(&source.spec).is_empty());
            }
        }
    }
}
