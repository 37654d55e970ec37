//! The log, on standard error. What it tells can be changed while the process runs.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use parking_lot::Mutex;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry};

use crate::config::Log;

/// The log of this process, once it was started.
static STARTED: OnceLock<Started> = OnceLock::new();

struct Started {
    handle: Handle<EnvFilter, Registry>,
    /// As it was asked for.
    filter: Mutex<String>,
}

/// Starts logging. A second call in a process changes nothing.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(log: &Log) -> Result<(), String> {
    let (log, started) = build(log, std::io::stderr, std::io::stderr().is_terminal())
        .map_err(|why| format!("LOG_LEVEL: {why}"))?;
    if log.try_init().is_ok() {
        let _ = STARTED.set(started);
    }
    std::panic::set_hook(Box::new(on_panic));
    Ok(())
}

/// A log, and what changes it.
fn build<W>(log: &Log, writer: W, colours: bool) -> Result<(impl Subscriber, Started), String>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(read(&log.filter)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = if log.json { lines.json().boxed() } else { lines.with_ansi(colours).boxed() };
    let started = Started { handle, filter: Mutex::new(log.filter.clone()) };
    Ok((tracing_subscriber::registry().with(filter).with(filter_fn(may_be_told)).with(lines), started))
}

/// What must not be logged whatever the filter says, which can name fields and spans as well as
/// targets: kube warns of an answer that it can't read with the whole answer, and that may be a
/// Secret.
fn may_be_told(metadata: &Metadata<'_>) -> bool {
    metadata.target() != "kube_client::client" || *metadata.level() == Level::ERROR
}

fn read(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(filter)
        .map_err(|error| format!("{error}, expected error, warn, info, debug, trace or a filter"))
}

/// The filter that counts now; none where this process logs nothing.
#[must_use]
pub fn current() -> Option<String> {
    Some(STARTED.get()?.filter.lock().clone())
}

/// Why the filter stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// It can't be read.
    #[error("{0}")]
    Unreadable(String),
    /// This process did not start a log.
    #[error("this process keeps no log")]
    NotStarted,
}

/// Whether a text is a filter, by the rules of [`start`].
///
/// # Errors
/// `Unreadable`.
pub fn check(text: &str) -> Result<(), ChangeError> {
    read(text).map(|_| ()).map_err(ChangeError::Unreadable)
}

/// Changes what is logged, until the process ends.
///
/// # Errors
/// See [`ChangeError`].
pub fn change(text: &str) -> Result<(), ChangeError> {
    STARTED.get().ok_or(ChangeError::NotStarted)?.change(text)
}

impl Started {
    fn change(&self, text: &str) -> Result<(), ChangeError> {
        let filter = read(text).map_err(ChangeError::Unreadable)?;
        // Held meanwhile, so that of two changes at once the same one counts and is shown.
        let mut current = self.filter.lock();
        self.handle.reload(filter).map_err(|_| ChangeError::NotStarted)?;
        text.clone_into(&mut current);
        Ok(())
    }
}

/// One line with the place. The usual hook can print a backtrace with names, and looking those
/// up stalls the thread, and all actors on it, for a fifth of a second.
fn on_panic(info: &std::panic::PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "panic: {text}");
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn answers_that_cannot_be_read_are_not_logged_whatever_is_asked_for() {
        let asked = [
            "warn",
            "trace",
            "warn,kube_client=trace",
            "kube_client::client=trace",
            "kube_client::client[{message}]=trace",
            "[around]=trace",
        ];
        let lines = Lines::default();
        let log = Log { filter: "off".into(), json: false };
        let (log, started) = build(&log, lines.clone(), false).unwrap();
        tracing::subscriber::with_default(log, || {
            for asked in asked {
                started.change(asked).unwrap();
                assert_eq!(*started.filter.lock(), asked);
                let _around = tracing::info_span!("around").entered();
                tracing::warn!(target: "kube_client::client", "hunter2");
                tracing::warn!(target: "devpocket", "shown");
                let text = String::from_utf8(std::mem::take(&mut lines.0.lock().unwrap())).unwrap();
                assert!(!text.contains("hunter2"), "{asked}: {text}");
                assert_eq!(text.contains("shown"), !asked.starts_with("kube"), "{asked}: {text}");
            }
        });
    }

    #[test]
    fn what_is_told_changes_and_a_filter_that_cannot_be_read_changes_nothing() {
        for json in [false, true] {
            let lines = Lines::default();
            let (log, started) = build(&Log { filter: "warn".into(), json }, lines.clone(), false).unwrap();
            let told = || {
                tracing::debug!(target: "devpocket", "detail");
                !std::mem::take(&mut *lines.0.lock().unwrap()).is_empty()
            };
            tracing::subscriber::with_default(log, || {
                assert!(!told());
                started.change("warn,devpocket=debug").unwrap();
                assert!(told());
                assert!(matches!(started.change("devpocket=loud"), Err(ChangeError::Unreadable(_))));
                assert!(told() && *started.filter.lock() == "warn,devpocket=debug");
                started.change("error").unwrap();
                assert!(!told());
            });
        }
    }
}
