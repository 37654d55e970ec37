//! Puts the web pages that were built (`make web`) into the binary. It builds nothing itself:
//! without them the server says how to build them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What was built, below the package.
const SITE: &str = "web/dist/site";

fn main() -> io::Result<()> {
    // The directory above is always there, so that what is missing does not count as changed.
    println!("cargo:rerun-if-changed=web/dist");
    println!("cargo:rerun-if-changed=build.rs");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join(SITE);
    let mut files = Vec::new();
    if root.is_dir() {
        walk(&root, &mut files)?;
    }
    // The order of bytes, which is how a file is searched for.
    files.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    let mut code = String::from("static FILES: &[File] = &[\n");
    for file in &files {
        let Some(path) = file.strip_prefix(&root).ok().and_then(Path::to_str) else { continue };
        if path.ends_with(".br") || path.ends_with(".gz") {
            continue;
        }
        let packed = |ending: &str| {
            let packed = PathBuf::from(format!("{}.{ending}", file.display()));
            match packed.is_file() {
                true => format!("Some(include_bytes!({packed:?}))"),
                false => "None".to_owned(),
            }
        };
        let (brotli, gzip) = (packed("br"), packed("gz"));
        let _ = writeln!(
            code,
            "    File {{ path: {path:?}, plain: include_bytes!({file:?}), brotli: {brotli}, gzip: {gzip} }},"
        );
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("web_files.rs"), code)
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
