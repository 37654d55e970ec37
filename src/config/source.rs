//! Where the variables come from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Variables by name. Deliberately without `Debug`: most of its values may be secrets.
#[derive(Clone, Default)]
pub struct Source(HashMap<String, String>);

/// A configuration file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file is not there, or not ours to read.
    #[error("reading {file}: {source}")]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of it is not `NAME=value`. The line is not repeated: it may hold a secret.
    #[error("{file}: a line is not of the form NAME=value (quote values with spaces)")]
    Line {
        /// Which.
        file: PathBuf,
    },
}

impl Source {
    /// Exactly these.
    #[must_use]
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(variables.into_iter().collect())
    }

    /// The process's environment.
    #[must_use]
    pub fn environment() -> Self {
        // Variables that are no UTF-8 are none of ours.
        Self::of(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// The environment over a file. Without a name: over the first of the usual files for
    /// `NODE_ENV` that exists in the working directory, if one does.
    ///
    /// # Errors
    /// When the named file cannot be read, or a line of the file cannot.
    pub fn environment_over(file: Option<&Path>) -> Result<Self, SourceError> {
        let environment = Self::environment();
        let usual: &[&str] = match environment.get("NODE_ENV") {
            Some("production") => &[".env.prod", ".env.production", ".env"],
            Some("staging") => &[".env.staging", ".env"],
            _ => &[".env.local", ".env"],
        };
        let file = file.or_else(|| usual.iter().map(Path::new).find(|file| file.is_file()));
        match file {
            Some(file) => Ok(Self::file(file)?.overlaid(environment)),
            None => Ok(environment),
        }
    }

    fn file(file: &Path) -> Result<Self, SourceError> {
        let lines = dotenvy::from_path_iter(file).map_err(|error| sort(file, error))?;
        lines.map(|line| line.map_err(|error| sort(file, error))).collect::<Result<_, _>>().map(Self)
    }

    /// These, and where both have one, the other's.
    #[must_use]
    pub fn overlaid(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// A variable's value. One that is empty is not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}

fn sort(file: &Path, error: dotenvy::Error) -> SourceError {
    let file = file.to_owned();
    match error {
        dotenvy::Error::Io(source) => SourceError::File { file, source },
        _ => SourceError::Line { file },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_not_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("env");
        std::fs::write(&file, "PORT=1\nJWT_SECRET hunter2\n").unwrap();
        let error = Source::file(&file).err().unwrap();
        assert!(!error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"));
        std::fs::write(&file, "# a comment\nPORT=1\nNAME='a b'\n").unwrap();
        let source = Source::file(&file).unwrap();
        assert_eq!(source.get("PORT"), Some("1"));
        let source = source.overlaid(Source::of([("PORT".into(), "2".into())]));
        assert_eq!((source.get("PORT"), source.get("NAME")), (Some("2"), Some("a b")));
    }
}
