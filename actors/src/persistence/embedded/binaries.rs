//! Finding the server programs.

use std::path::{Path, PathBuf};

use super::EmbeddedError;

/// Where packages put them, `*` standing for a version. Before the PATH, as distributions put
/// wrapper scripts there that talk to their own clusters.
const PACKAGE_DIRECTORIES: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr/lib/postgresql", ""),
    ("/usr/local/pgsql", "bin"),
    ("/opt/homebrew/opt", "bin"),
];

/// The directory with `postgres` and `initdb`: of the wanted major version if one is given,
/// else of the newest.
pub(super) fn find(wanted: Option<&str>) -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, below) in PACKAGE_DIRECTORIES {
        let Ok(entries) = std::fs::read_dir(parent) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let version = name.trim_start_matches("postgresql@").parse().unwrap_or(0);
            found.push((version, if below.is_empty() { entry.path() } else { entry.path().join(below) }));
        }
    }
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    // A link on the PATH is followed, so that the programs find their own files.
    let linked = std::env::split_paths(&on_path)
        .filter_map(|directory| directory.join("postgres").canonicalize().ok()?.parent().map(Path::to_owned));
    found
        .into_iter()
        .map(|(_, directory)| directory)
        .chain(linked)
        .filter(|directory| directory.join("postgres").is_file() && directory.join("initdb").is_file())
        .find(|directory| wanted.is_none_or(|wanted| major_version(directory).as_deref() == Some(wanted)))
}

/// The programs that fit the data directory, if there is one already.
pub(super) fn find_for(data: &Path) -> Result<PathBuf, EmbeddedError> {
    let version = std::fs::read_to_string(data.join("PG_VERSION")).ok().map(|text| text.trim().to_owned());
    match (find(version.as_deref()), version) {
        (Some(directory), _) => Ok(directory),
        (None, Some(version)) => Err(EmbeddedError::WrongVersion { directory: data.to_owned(), version }),
        (None, None) => {
            Err(EmbeddedError::NoPrograms { searched: "/usr/lib/postgresql/*/bin and the PATH".to_owned() })
        }
    }
}

/// What `postgres --version` says: `postgres (PostgreSQL) 15.18 (Debian …)`.
fn major_version(directory: &Path) -> Option<String> {
    let output = std::process::Command::new(directory.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let number = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(number.split(|c: char| !c.is_ascii_digit()).next()?.to_owned())
}

/// A program on the PATH.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/bin"), PathBuf::from("/bin")])
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}
