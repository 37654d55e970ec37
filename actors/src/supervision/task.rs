//! A task that ends with its owner.

use tokio::task::JoinHandle;

/// Owns a spawned task and aborts it when dropped: how an actor owns its I/O. An actor that
/// panics or is killed runs no stop hook, but its state is dropped, and so its tasks end.
#[derive(Debug)]
#[must_use = "dropping the guard ends the task"]
pub struct TaskGuard(JoinHandle<()>);

impl TaskGuard {
    /// Starts `task`.
    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task))
    }

    /// Whether the task came to its end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}
