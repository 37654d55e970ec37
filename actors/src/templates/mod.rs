//! Templates as files: read, checked, and brought into the database.
//!
//! A file's problems are found all at once, and those of all files together, each with its
//! line: who edits templates should not have to run this once per typing error. [`rules`] is
//! also what the HTTP edge checks a posted template with.

mod file;
pub mod rules;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::persistence::templates::{TemplateSpec, UpsertTemplate, Upserted};
use crate::persistence::{Persistence, WriteError};

pub use self::file::{MAX_FILE_BYTES, parse};

/// A template that was read and found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateSource {
    /// Its file.
    pub path: PathBuf,
    /// What it says.
    pub spec: TemplateSpec,
    /// SHA-256 of the file, in hex.
    pub digest: String,
}

/// Something wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which file.
    pub path: PathBuf,
    /// Where in it, from 1.
    pub line: Option<u64>,
    /// In which field, as the file spells it.
    pub field: Option<String>,
    /// What.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ": {field}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Everything that is wrong, a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        /// The templates of this build, so that a server needs no files beside its program.
        pub const BUILT_IN: &[(&str, &str)] = &[
            $(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../templates/", $name)))),+
        ];
    };
}

built_in![
    "coding-agent.yaml",
    "debian.yaml",
    "golang.yaml",
    "nextjs.yaml",
    "nodejs.yaml",
    "postgres.yaml",
    "python.yaml",
    "react.yaml",
    "rust.yaml",
    "ubuntu.yaml",
];

/// Reads [`BUILT_IN`].
///
/// # Errors
/// None in a build whose tests pass.
pub fn built_in() -> Result<Vec<TemplateSource>, Problems> {
    gather(BUILT_IN.iter().map(|(name, text)| (PathBuf::from(name), Ok(text.as_bytes().to_vec()))))
}

/// Reads every `.yaml` and `.yml` directly in the directory.
///
/// # Errors
/// All problems of all files; then nothing should be loaded.
pub fn load_directory(directory: &Path) -> Result<Vec<TemplateSource>, Problems> {
    let unreadable = |error: std::io::Error| {
        Problems(vec![Problem {
            path: directory.to_owned(),
            line: None,
            field: None,
            message: format!("cannot be read: {error}"),
        }])
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
        .map_err(unreadable)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml") && path.is_file())
        .collect();
    paths.sort();
    gather(paths.into_iter().map(|path| {
        // Before reading it: a huge file must not be held as a whole to say that it is huge.
        let bytes = match std::fs::metadata(&path) {
            Ok(meta) if meta.len() > MAX_FILE_BYTES as u64 => Ok(vec![b' '; MAX_FILE_BYTES + 1]),
            _ => std::fs::read(&path),
        };
        (path, bytes)
    }))
}

fn gather(
    files: impl Iterator<Item = (PathBuf, std::io::Result<Vec<u8>>)>,
) -> Result<Vec<TemplateSource>, Problems> {
    let (mut sources, mut problems) = (Vec::new(), Vec::new());
    for (path, bytes) in files {
        let parsed = match bytes {
            Ok(bytes) => parse(&path, &bytes),
            Err(error) => {
                let message = format!("cannot be read: {error}");
                Err(vec![Problem { path, line: None, field: None, message }])
            }
        };
        match parsed {
            Ok(source) => sources.push(source),
            Err(mut found) => problems.append(&mut found),
        }
    }
    let mut first: HashMap<String, PathBuf> = HashMap::new();
    for source in &sources {
        if let Some(other) = first.get(&source.spec.name) {
            problems.push(Problem {
                path: source.path.clone(),
                line: None,
                field: Some("name".to_owned()),
                message: format!("`{}` is also the name of {}", source.spec.name, other.display()),
            });
        } else {
            first.insert(source.spec.name.clone(), source.path.clone());
        }
    }
    if problems.is_empty() { Ok(sources) } else { Err(Problems(problems)) }
}

/// What bringing templates into the database did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Synced {
    /// New ones.
    pub created: usize,
    /// Those whose file had changed.
    pub updated: usize,
    /// Those loaded before.
    pub unchanged: usize,
}

/// Brings them into the database, by name. Loading the same files again touches nothing.
///
/// # Errors
/// The first that occurs; those before it are loaded, which does no harm.
pub async fn sync(persistence: &Persistence, sources: Vec<TemplateSource>) -> Result<Synced, WriteError> {
    let mut synced = Synced::default();
    for source in sources {
        let upsert = UpsertTemplate { spec: source.spec, source_digest: source.digest };
        match persistence.write(upsert).await? {
            Upserted::Created => synced.created += 1,
            Upserted::Updated => synced.updated += 1,
            Upserted::Unchanged => synced.unchanged += 1,
        }
    }
    Ok(synced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_of_this_build_are_good_and_complete() {
        let sources = built_in().unwrap_or_else(|problems| panic!("{problems}"));
        let names: Vec<_> = sources.iter().map(|source| source.spec.name.as_str()).collect();
        for name in
            ["nodejs", "python", "golang", "react", "nextjs", "ubuntu", "postgres", "coding-agent", "rust"]
        {
            assert!(names.contains(&name), "{name}");
        }
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../templates");
        assert_eq!(load_directory(&directory).unwrap().len(), sources.len());
        for source in sources {
            let spec = &source.spec;
            assert!(
                !spec.docker_image.ends_with(":latest") && spec.docker_image.contains(':'),
                "{}",
                spec.name
            );
            assert!(!spec.docker_image.contains("alpine"), "{}: there is no bash in it", spec.name);
            let commands = spec.install_commands.iter().chain(&spec.startup_commands);
            assert!(commands.clone().all(|c| !c.contains("/workspace")), "{}: not on the volume", spec.name);
        }
    }

    #[test]
    fn all_problems_of_all_files_come_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        let good = BUILT_IN.iter().find(|(name, _)| *name == "debian.yaml").unwrap().1;
        write("a.yaml", good);
        write("b.yml", good);
        write("c.yaml", &good.replace("name: debian", "name: not good").replace("10Gi", "ten"));
        write("d.yaml", "name: [");
        write("notes.txt", "not a template");
        let Problems(problems) = load_directory(directory.path()).unwrap_err();
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        let all = texts.join("\n");
        assert!(all.contains("b.yml: name: `debian` is also the name of"), "{all}");
        assert!(texts.iter().any(|text| text.contains("c.yaml:") && text.contains(": name: ")), "{all}");
        assert!(all.contains("defaultResourcesStorage"), "{all}");
        assert!(texts.iter().any(|text| text.contains("d.yaml:1")), "{all}");
    }
}
