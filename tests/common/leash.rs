//! Everything that a test starts ends with it, also when the test is killed.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A directory, and the end of all processes that were started with its name in their command
/// line, and of their children. A shell waits for a pipe to close, which happens however this
/// process ends.
pub struct Leash {
    directory: PathBuf,
    shell: Child,
}

/// The directory is in the environment, so that the shell and grep do not find themselves.
const SCRIPT: &str = r#"
    read -r _
    found() { printf '%s\n' "$LEASH" | grep -lF -f - /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3; }
    family() {
        for p in "$@"; do echo "$p"; family $(cat /proc/"$p"/task/*/children 2>/dev/null); done
    }
    n=0
    while [ $n -lt 100 ]; do
        all=$(family $(found))
        [ -z "$all" ] && break
        kill -9 $all 2>/dev/null
        n=$((n + 1)); sleep 0.05
    done
    n=0
    until rm -rf "$LEASH" 2>/dev/null && [ ! -e "$LEASH" ]; do n=$((n + 1)); [ $n -gt 50 ] && exit 1; sleep 0.1; done
"#;

impl Leash {
    /// A fresh directory that other users may enter: Postgres runs as one.
    pub fn new() -> Self {
        let name = format!("devpocket-e2e-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o711)).unwrap();
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .env("LEASH", &directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            // Who kills a test kills its process group.
            .process_group(0)
            .spawn()
            .unwrap();
        Self { directory, shell }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.shell.stdin.take() {
            let _ = pipe.write_all(b"\n");
        }
        let ended = self.shell.wait();
        if !std::thread::panicking() {
            assert!(ended.unwrap().success(), "{} could not be removed", self.directory.display());
        }
    }
}
