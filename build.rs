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
    // Copied first: they may be built anew while this is being compiled.
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let kept = out.join("web");
    if kept.is_dir() {
        fs::remove_dir_all(&kept)?;
    }
    let mut code = String::from("static FILES: &[File] = &[\n");
    for file in &files {
        let Some(path) = file.strip_prefix(&root).ok().and_then(Path::to_str) else { continue };
        if path.ends_with(".br") || path.ends_with(".gz") {
            continue;
        }
        let keep = |name: &str| -> io::Result<String> {
            let copy = kept.join(name);
            fs::create_dir_all(copy.parent().unwrap_or(&kept))?;
            fs::copy(root.join(name), &copy)?;
            Ok(format!("include_bytes!({copy:?})"))
        };
        let packed = |ending: &str| -> io::Result<String> {
            let name = format!("{path}.{ending}");
            if root.join(&name).is_file() {
                Ok(format!("Some({})", keep(&name)?))
            } else {
                Ok("None".to_owned())
            }
        };
        let (plain, brotli, gzip) = (keep(path)?, packed("br")?, packed("gz")?);
        let _ =
            writeln!(code, "    File {{ path: {path:?}, plain: {plain}, brotli: {brotli}, gzip: {gzip} }},");
    }
    code.push_str("];\n");
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
