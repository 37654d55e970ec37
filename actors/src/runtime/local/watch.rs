//! Telling how environments are: one task for each environment that somebody watches.
//!
//! The task keeps an idle control channel to the agent. The kernel closes it the moment the
//! agent ends, however it ends, so nothing is polled while an environment runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use devpocket_protocol::agent::ServerFrame;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{interval, sleep};

use super::Observed;
use super::control::Channel;
use super::instance;
use super::layout::Layout;

/// How often to look at an environment that is starting, and at one that does not run: another
/// server may start it.
const STARTING: Duration = Duration::from_millis(100);
const AT_REST: Duration = Duration::from_secs(2);

/// How often the agent gets a heartbeat and its log is kept small.
const UPKEEP: Duration = Duration::from_secs(20);

/// The tasks, by environment. Each ends when its last receiver is dropped.
#[derive(Default)]
pub(super) struct Watchers {
    all: Mutex<HashMap<String, Arc<Watcher>>>,
}

struct Watcher {
    seen: watch::Sender<Observed>,
    look: Notify,
}

impl Watchers {
    /// What is the case now, and from now on.
    pub async fn subscribe(self: &Arc<Self>, layout: Layout) -> watch::Receiver<Observed> {
        let now = instance::observe(&layout).await;
        let mut all = self.all.lock();
        if let Some(watcher) = all.get(&layout.id) {
            watcher.look.notify_one();
            return watcher.seen.subscribe();
        }
        let (seen, receiver) = watch::channel(now);
        let watcher = Arc::new(Watcher { seen, look: Notify::new() });
        all.insert(layout.id.clone(), Arc::clone(&watcher));
        tokio::spawn(run(Arc::clone(self), watcher, layout));
        receiver
    }

    /// Something was done to an environment: look at it now.
    pub fn look(&self, environment: &str) {
        if let Some(watcher) = self.all.lock().get(environment) {
            watcher.look.notify_one();
        }
    }

    /// Removes a watcher that nobody looks at. False when somebody does after all.
    fn retire(&self, environment: &str, watcher: &Watcher) -> bool {
        let mut all = self.all.lock();
        if watcher.seen.receiver_count() > 0 {
            return false;
        }
        all.remove(environment);
        true
    }
}

async fn run(watchers: Arc<Watchers>, watcher: Arc<Watcher>, layout: Layout) {
    loop {
        let observed = instance::observe(&layout).await;
        let change = until_changed(&layout, &observed);
        watcher.seen.send_if_modified(|seen| {
            let news = *seen != observed;
            seen.clone_from(&observed);
            news
        });
        tokio::select! {
            () = watcher.seen.closed() => {
                if watchers.retire(&layout.id, &watcher) {
                    return;
                }
            }
            () = watcher.look.notified() => {}
            () = change => {}
        }
    }
}

/// Returns when what was observed may no longer be so.
async fn until_changed(layout: &Layout, observed: &Observed) {
    match observed {
        Observed::Running { .. } => {
            if let Some(agent) = instance::agent(layout) {
                hold(layout, &agent).await;
                // The channel closes a little before the process is gone, and may be closed by
                // an agent that lives on: then this is the pause before the next one.
                let _ = agent.ended(Duration::from_secs(1)).await;
            }
        }
        Observed::Starting(_) => sleep(STARTING).await,
        Observed::Absent | Observed::Failed(_) => sleep(AT_REST).await,
    }
}

/// Holds a channel until the agent closes it.
async fn hold(layout: &Layout, agent: &super::process::Process) {
    let Ok(stream) = instance::connect(layout, agent).await else { return };
    let Ok(mut channel) = Channel::open(stream).await else { return };
    let mut upkeep = interval(UPKEEP);
    loop {
        tokio::select! {
            frame = channel.next() => if !matches!(frame, Ok(Some(_))) { return },
            _ = upkeep.tick() => {
                let _ = layout.trim_log();
                if channel.send(&ServerFrame::Ping(0)).await.is_err() {
                    return;
                }
            }
        }
    }
}
