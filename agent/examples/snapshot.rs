//! Writes the snapshot that an engine makes of a recording, for comparing it elsewhere.
//!
//! `snapshot ENGINE COLSxROWS < RECORDING`, with ENGINE one of `own`, `vt100`, `avt`.
//! With `--time`, says how long parsing and writing took instead.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{Read, Write};
use std::time::Instant;

use devpocket_protocol::Size;

#[path = "../tests/engines/mod.rs"]
mod engines;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (cols, rows) = args.get(1).and_then(|size| size.split_once('x')).ok_or("ENGINE COLSxROWS")?;
    let mut engine = engines::engine(&args[0], Size::new(cols.parse()?, rows.parse()?)?);
    let mut recording = Vec::new();
    std::io::stdin().read_to_end(&mut recording)?;
    let begun = Instant::now();
    for slice in recording.chunks(64 * 1024) {
        engine.feed(slice);
    }
    let parsed = begun.elapsed();
    let begun = Instant::now();
    let snapshot = engine.snapshot(65_523);
    if args.iter().any(|arg| arg == "--time") {
        let rate = recording.len() as f64 / parsed.as_secs_f64() / 1e6;
        println!("{rate:.0} MB/s, snapshot {} bytes in {:?}", snapshot.len(), begun.elapsed());
    } else {
        std::io::stdout().write_all(&snapshot)?;
    }
    Ok(())
}
