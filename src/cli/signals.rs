//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code after a second signal, as shells report SIGINT.
const INTERRUPTED: i32 = 130;

/// Both signals.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From here on they do not end the process by themselves.
    pub(super) fn catch() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Does the last work; one more signal cuts it short.
    pub(super) async fn until_done(&mut self, work: impl Future<Output = ()>) {
        tokio::select! {
            () = work => {}
            () = self.next() => {
                eprintln!("devpocket: ending at once");
                std::process::exit(INTERRUPTED);
            }
        }
    }
}
