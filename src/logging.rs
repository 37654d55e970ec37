//! The log, on standard error. What it tells can be changed while the process runs.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use parking_lot::Mutex;
use tracing_subscriber::{EnvFilter, reload};

use crate::config::Log;

/// The log of this process, once it was started.
static STARTED: OnceLock<Started> = OnceLock::new();

type Reload = dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync;

struct Started {
    reload: Box<Reload>,
    /// As it was asked for.
    filter: Mutex<String>,
}

/// Starts logging. A second call in a process changes nothing.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(log: &Log) -> Result<(), String> {
    let filter = filter(&log.filter).map_err(|why| format!("LOG_LEVEL: {why}"))?;
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr);
    let reload: Result<Box<Reload>, _> = if log.json {
        let builder = builder.json().with_env_filter(filter).with_filter_reloading();
        let handle = builder.reload_handle();
        builder.try_init().map(|()| Box::new(move |filter| handle.reload(filter)) as _)
    } else {
        let builder = builder.with_ansi(std::io::stderr().is_terminal());
        let builder = builder.with_env_filter(filter).with_filter_reloading();
        let handle = builder.reload_handle();
        builder.try_init().map(|()| Box::new(move |filter| handle.reload(filter)) as _)
    };
    if let Ok(reload) = reload {
        let _ = STARTED.set(Started { reload, filter: Mutex::new(log.filter.clone()) });
    }
    std::panic::set_hook(Box::new(on_panic));
    Ok(())
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
    filter(text).map(|_| ()).map_err(ChangeError::Unreadable)
}

/// Changes what is logged, until the process ends.
///
/// # Errors
/// See [`ChangeError`].
pub fn change(text: &str) -> Result<(), ChangeError> {
    let filter = filter(text).map_err(ChangeError::Unreadable)?;
    let started = STARTED.get().ok_or(ChangeError::NotStarted)?;
    // Held meanwhile, so that of two changes at once the same one counts and is shown.
    let mut current = started.filter.lock();
    (started.reload)(filter).map_err(|_| ChangeError::NotStarted)?;
    text.clone_into(&mut current);
    Ok(())
}

/// The filter, without what must not be logged whatever it says: kube warns of an answer that it
/// can't read with the whole answer, and that may be a Secret.
fn filter(text: &str) -> Result<EnvFilter, String> {
    let wrong = |error: &dyn std::fmt::Display| {
        format!("{error}, expected error, warn, info, debug, trace or a filter")
    };
    let filter = EnvFilter::try_new(text).map_err(|error| wrong(&error))?;
    let quiet = "kube_client::client=error".parse().map_err(|error| wrong(&error))?;
    Ok(filter.add_directive(quiet))
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

    use tracing_subscriber::fmt::MakeWriter;

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
        for asked in ["warn", "trace", "warn,kube_client=trace", "kube_client::client=trace"] {
            let lines = Lines::default();
            let log =
                tracing_subscriber::fmt().with_env_filter(filter(asked).unwrap()).with_writer(lines.clone());
            tracing::subscriber::with_default(log.finish(), || {
                tracing::warn!(target: "kube_client::client", "hunter2");
                tracing::warn!(target: "devpocket", "shown");
            });
            let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            assert!(!text.contains("hunter2"), "{asked}: {text}");
            assert_eq!(text.contains("shown"), !asked.starts_with("kube"), "{asked}: {text}");
        }
    }
}
