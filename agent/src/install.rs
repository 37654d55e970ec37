//! `install-to DIR`: what the init container runs.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The file name in the target directory.
const NAME: &str = "devpocket-agent";

/// Copies this binary to `dir`, in one step: a reader sees the whole file or none.
///
/// # Errors
/// When the binary can't be read or the directory can't be written.
pub fn install_to(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let partial = dir.join(format!(".{NAME}.{}", std::process::id()));
    let copied = std::fs::copy(std::env::current_exe()?, &partial)
        .and_then(|_| std::fs::set_permissions(&partial, PermissionsExt::from_mode(0o755)))
        .and_then(|()| std::fs::rename(&partial, dir.join(NAME)));
    if copied.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    copied
}
