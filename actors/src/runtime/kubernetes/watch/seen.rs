//! What was last seen of each environment of a cluster.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event as Incident, Pod};
use parking_lot::Mutex;
use tokio::sync::watch as channel;
use tokio::time::{Instant, timeout};

use super::super::{KubernetesConfig, names};
use super::entry::{Entry, Presence};
use super::incident;
use crate::runtime::{CALL_LIMIT, EnvironmentKey, Observed, RuntimeError};

/// How long to wait for the first listing.
const LISTING: Duration = CALL_LIMIT.saturating_sub(Duration::from_secs(5));

/// How long to wait for it when it is known why it does not come: people want to know too.
const TROUBLED: Duration = Duration::from_secs(3);

/// What was last seen of each environment.
///
/// There is an entry for each environment that has a pod, is expected to get one, or is
/// watched by somebody.
#[derive(Debug)]
pub(in super::super) struct Seen {
    installation: String,
    patience: Duration,
    state: Mutex<State>,
    listed: channel::Sender<bool>,
    following: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<String, Entry>,
    /// Why the watch does not work.
    trouble: Option<RuntimeError>,
    /// When the cluster last told something.
    heard: Option<Instant>,
    /// How often all pods were listed.
    listings: u64,
}

/// While this lives, somebody follows the cluster.
pub(super) struct Following<'a>(&'a AtomicBool);

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Seen {
    pub(in super::super) fn new(config: &KubernetesConfig) -> Self {
        Self {
            installation: config.installation.clone(),
            patience: config.scheduling_patience,
            state: Mutex::default(),
            listed: channel::Sender::new(false),
            following: AtomicBool::new(false),
        }
    }

    /// What is the case, now and at each change. Waits for the first listing.
    pub(in super::super) async fn subscribe(
        &self,
        environment: &EnvironmentKey,
    ) -> Result<channel::Receiver<Observed>, RuntimeError> {
        let mut listed = self.listed.subscribe();
        for pause in [TROUBLED, LISTING.saturating_sub(TROUBLED)] {
            if timeout(pause, listed.wait_for(|listed| *listed)).await.is_ok() {
                break;
            }
            if let Some(trouble) = self.state.lock().trouble.clone() {
                return Err(trouble);
            }
        }
        if !*listed.borrow() {
            let silent = "The cluster has not told yet what runs there.";
            return Err(RuntimeError::Unavailable(silent.to_owned()));
        }
        Ok(self.state.lock().entries.entry(environment.id.clone()).or_default().observed())
    }

    /// Whether there is a pod, now and at each change; nothing while nobody follows the cluster.
    pub(in super::super) fn presence(
        &self,
        environment: &EnvironmentKey,
    ) -> Option<channel::Receiver<Presence>> {
        let known = self.following.load(Ordering::Acquire) && *self.listed.borrow();
        known.then(|| self.state.lock().entries.entry(environment.id.clone()).or_default().presence())
    }

    /// When the cluster last told something.
    pub(in super::super) fn heard(&self) -> Option<Instant> {
        self.state.lock().heard
    }

    /// How often all pods were listed anew, because the watch could not go on.
    pub(in super::super) fn listings(&self) -> u64 {
        // The first is the beginning.
        self.state.lock().listings.saturating_sub(1)
    }

    /// The environment was asked to run.
    pub(in super::super) fn expect(&self, environment: &EnvironmentKey) {
        self.change(&environment.id, |entry| {
            entry.expect();
            entry.judge(self.patience);
            entry.tell_again();
        });
    }

    /// The environment was asked to stop, or to be deleted.
    pub(in super::super) fn stop(&self, environment: &EnvironmentKey) {
        self.change(&environment.id, Entry::stop);
    }

    /// The uid of a pod that has failed for good.
    pub(in super::super) fn failed_pod(&self, environment: &EnvironmentKey) -> Option<String> {
        self.state.lock().entries.get(&environment.id)?.failed_pod()
    }

    /// A pod was removed on purpose: whatever is still told of it is of no interest.
    pub(in super::super) fn discarded(&self, environment: &EnvironmentKey, uid: String) {
        self.change(&environment.id, |entry| entry.discard(uid));
    }

    /// How many environments something is known of.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.state.lock().entries.len()
    }

    pub(super) fn following(&self) -> Following<'_> {
        self.following.store(true, Ordering::Release);
        Following(&self.following)
    }

    /// A pod is there or has changed; returns whose it is, if it is one of ours.
    pub(super) fn applied(&self, pod: Pod) -> Option<String> {
        let id = self.environment(&pod)?.to_owned();
        self.hear();
        self.change(&id, |entry| entry.applied(pod));
        Some(id)
    }

    /// A pod is gone.
    pub(super) fn deleted(&self, pod: &Pod) {
        let Some(id) = self.environment(pod) else { return };
        self.hear();
        self.change(id, |entry| entry.deleted(pod.metadata.uid.as_deref()));
    }

    /// All pods were listed: these environments have one, and no other.
    pub(super) fn listed(&self, named: &HashSet<String>) {
        let mut state = self.state.lock();
        state.trouble = None;
        state.heard = Some(Instant::now());
        state.listings += 1;
        for (id, entry) in &mut state.entries {
            if entry.has_pod() && !named.contains(id) {
                entry.deleted(None);
                entry.judge(self.patience);
            }
        }
        drop(state);
        self.listed.send_replace(true);
    }

    /// The cluster warns of something.
    pub(super) fn warned(&self, incident: &Incident) {
        let Some(incidence) = incident::read(&self.installation, incident) else { return };
        let warning = &incidence.warning;
        tracing::debug!(
            environment = incidence.environment,
            reason = warning.reason,
            message = warning.message,
            "the cluster warns"
        );
        self.hear();
        self.change(&incidence.environment.clone(), |entry| entry.warned(incidence));
    }

    /// The watch does not work.
    pub(super) fn failed(&self, error: RuntimeError) {
        self.state.lock().trouble = Some(error);
    }

    /// Time has passed.
    pub(super) fn tick(&self) {
        let mut state = self.state.lock();
        state
            .entries
            .values_mut()
            .filter(|entry| entry.is_unsettled())
            .for_each(|entry| entry.judge(self.patience));
        state.entries.retain(|_, entry| !entry.is_idle());
    }

    fn hear(&self) {
        self.state.lock().heard = Some(Instant::now());
    }

    fn change(&self, environment: &str, change: impl FnOnce(&mut Entry)) {
        let mut state = self.state.lock();
        let entry = match state.entries.get_mut(environment) {
            Some(entry) => entry,
            None => state.entries.entry(environment.to_owned()).or_default(),
        };
        change(entry);
        entry.judge(self.patience);
    }

    /// The environment that a pod is of. Labels may be put on any pod by anybody in the cluster,
    /// so name and namespace have to fit as well.
    fn environment<'a>(&self, pod: &'a Pod) -> Option<&'a str> {
        let metadata = &pod.metadata;
        let label = metadata.labels.as_ref()?.get(names::ENVIRONMENT)?;
        let id = names::environment_of(metadata.name.as_deref()?)?;
        names::user_of(&self.installation, metadata.namespace.as_deref()?)?;
        (id == label).then_some(id)
    }
}
