//! The log of a sandbox, as it is written.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use tokio::time::sleep;

use super::layout::Layout;
use crate::runtime::{LogLine, LogStream};

/// How often the log is looked at.
const LOOK: Duration = Duration::from_millis(300);

/// The most that is read at once, in bytes; the most of a line that comes as one.
const TURN: u64 = 64 * 1024;

struct Follower {
    file: PathBuf,
    read: u64,
    partial: Vec<u8>,
    ready: VecDeque<String>,
}

/// The last `lines` of a log, and what comes after them.
pub(super) fn follow(layout: &Layout, lines: usize) -> io::Result<LogStream> {
    let end = std::fs::metadata(layout.log())?.len();
    let from = end.saturating_sub(TURN);
    let mut follower =
        Follower { file: layout.log(), read: from, partial: Vec::new(), ready: VecDeque::new() };
    follower.look()?;
    if from > 0 {
        // Most likely not a whole line.
        follower.ready.pop_front();
    }
    while follower.ready.len() > lines {
        follower.ready.pop_front();
    }
    let lines = unfold(follower, |mut follower| async move {
        loop {
            if let Some(text) = follower.ready.pop_front() {
                return Some((LogLine { at: None, text }, follower));
            }
            match follower.look() {
                Ok(true) => {}
                Ok(false) => sleep(LOOK).await,
                // The environment was deleted, and its log with it.
                Err(_) => return None,
            }
        }
    });
    Ok(lines.boxed())
}

impl Follower {
    /// Reads what is new; whether there was anything.
    fn look(&mut self) -> io::Result<bool> {
        let mut file = File::open(&self.file)?;
        let length = file.metadata()?.len();
        if length < self.read {
            // It was cut to its end, which was told.
            self.read = length;
            self.partial.clear();
        }
        if length == self.read {
            return Ok(false);
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        self.read += file.take(TURN).read_to_end(&mut bytes)? as u64;
        self.partial.extend_from_slice(&bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            self.ready.push_back(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
        }
        if self.partial.len() as u64 >= TURN {
            let line = std::mem::take(&mut self.partial);
            self.ready.push_back(String::from_utf8_lossy(&line).into_owned());
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn what_is_there_comes_first_and_then_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path(), "e1").unwrap();
        std::fs::create_dir_all(layout.log().parent().unwrap()).unwrap();
        std::fs::write(layout.log(), "one\ntwo\nthree\n").unwrap();
        let mut lines = follow(&layout, 2).unwrap();
        assert_eq!(lines.next().await.unwrap().text, "two");
        assert_eq!(lines.next().await.unwrap().text, "three");
        let mut log = std::fs::OpenOptions::new().append(true).open(layout.log()).unwrap();
        log.write_all(b"four\nfi").unwrap();
        assert_eq!(lines.next().await.unwrap().text, "four");
        log.write_all(b"ve\n").unwrap();
        assert_eq!(lines.next().await.unwrap().text, "five");
        std::fs::remove_file(layout.log()).unwrap();
        assert_eq!(lines.next().await, None);
    }
}
