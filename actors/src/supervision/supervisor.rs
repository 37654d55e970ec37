//! The children of one actor: started, found by key, restarted under one policy.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use ractor::ActorId;
use rand::RngExt;
use tokio::time::Instant;

use super::actor::{Behavior, ChildExit, Context, Envelope, RestartDue, Why};
use super::addr::Addr;
use super::journal::{What, bounded};
use super::policy::{History, RestartPolicy, Verdict};
use super::registry::ActorPath;

/// Children of type `C`, each under a key of type `K`.
///
/// One-for-one: a child's failure touches no sibling. A child that fails more often than the
/// policy allows is given up: it stays listed as `failed`, its siblings and parent go on, and
/// asking for it again after the policy's window tries anew.
pub struct Supervisor<K, C: Behavior> {
    policy: RestartPolicy,
    children: HashMap<K, Child<C>>,
}

struct Child<C: Behavior> {
    addr: Addr<C::Message>,
    args: C::Args,
    /// The incarnation that runs, if one does.
    running: Option<ActorId>,
    given_up: bool,
    history: History,
}

/// What became of a child that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<K> {
    /// It stopped as it should and is forgotten.
    Stopped(K),
    /// It failed and comes back by itself.
    Restarting(K),
    /// It failed too often and is given up; the reason of the last failure comes with it.
    Escalated(K, String),
}

/// A child that was given up and whose window has not passed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} failed too often: {reason}")]
pub struct GivenUp {
    /// Which one.
    pub path: ActorPath,
    /// Its last failure.
    pub reason: String,
}

impl<K: Hash + Eq + Clone, C: Behavior> Supervisor<K, C> {
    /// No children yet.
    #[must_use]
    pub fn new(policy: RestartPolicy) -> Self {
        Self { policy, children: HashMap::new() }
    }

    /// The child under `key`, started now if there is none.
    ///
    /// # Errors
    /// When it was given up a short while ago.
    pub fn ensure<P: Behavior>(
        &mut self,
        parent: &Context<P>,
        key: K,
        path: impl FnOnce() -> ActorPath,
        args: impl FnOnce() -> C::Args,
    ) -> Result<Addr<C::Message>, GivenUp> {
        if let Some(child) = self.children.get_mut(&key) {
            if child.given_up {
                if !child.history.is_calm(&self.policy, Instant::now()) {
                    let (path, reason) = (child.addr.path().clone(), child.last_failure());
                    return Err(GivenUp { path, reason });
                }
                child.given_up = false;
                child.args = args();
                child.start(parent);
            }
            return Ok(child.addr.clone());
        }
        let addr = parent.registry.register(path(), Some(parent.me.path().clone()));
        let mut child =
            Child { addr, args: args(), running: None, given_up: false, history: History::default() };
        child.start(parent);
        let addr = child.addr.clone();
        self.children.insert(key, child);
        Ok(addr)
    }

    /// The child under `key`, whether it runs or is on its way back.
    pub fn get(&self, key: &K) -> Option<&Addr<C::Message>> {
        self.children.get(key).map(|child| &child.addr)
    }

    /// The child under `key`, unless it was given up.
    pub fn running(&self, key: &K) -> Option<&Addr<C::Message>> {
        self.children.get(key).filter(|child| !child.given_up).map(|child| &child.addr)
    }

    /// All children.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Addr<C::Message>)> {
        self.children.iter().map(|(key, child)| (key, &child.addr))
    }

    /// Whether there is no child.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// Changes what the child under `key` is restarted from.
    pub fn update_args(&mut self, key: &K, change: impl FnOnce(&mut C::Args)) {
        if let Some(child) = self.children.get_mut(key) {
            change(&mut child.args);
        }
    }

    /// Takes note of an exit; `None` when it was none of these children.
    pub fn exited<P: Behavior>(&mut self, parent: &Context<P>, exit: &ChildExit) -> Option<Outcome<K>> {
        let key = self.children.iter().find(|(_, child)| child.running == Some(exit.id))?.0.clone();
        let child = self.children.get_mut(&key)?;
        child.running = None;
        child.addr.set(None);
        parent.registry.remove_below(child.addr.path());
        let failure = match &exit.why {
            Why::Stopped => {
                parent.registry.remove(child.addr.path());
                self.children.remove(&key);
                return Some(Outcome::Stopped(key));
            }
            Why::Asked(by) => {
                child.restart_as_asked(parent, by);
                return Some(Outcome::Restarting(key));
            }
            Why::Failed(failure) => failure,
        };
        let reason = bounded(failure);
        let spread = rand::rng().random::<f64>();
        let verdict = child.history.failed(&self.policy, Instant::now(), spread);
        let failures = child.history.failures(&self.policy);
        match verdict {
            Verdict::Restart(pause) => {
                tracing::warn!(actor = %child.addr.path(), %failure, ?pause, "actor failed, restarting it");
                child.addr.probe().failed(failure, "restarting");
                child.note(parent, What::Failed { reason, pause, failures });
                let me = parent.me.clone();
                let due = RestartDue { child: child.addr.path().clone(), asked_by: None };
                // Not guarded: it ends by itself within the policy's longest pause.
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    let _ = me.send(Envelope::RestartDue(due));
                });
                Some(Outcome::Restarting(key))
            }
            Verdict::GiveUp => {
                tracing::error!(actor = %child.addr.path(), %failure, "actor failed too often, giving it up");
                child.addr.probe().failed(failure, "failed");
                child.note(parent, What::GivenUp { reason, failures });
                child.given_up = true;
                Some(Outcome::Escalated(key, failure.clone()))
            }
        }
    }

    /// Starts a child of these again after its pause, or because somebody asked for it.
    pub fn restart<P: Behavior>(&mut self, parent: &Context<P>, due: &RestartDue) {
        let child = self.children.values_mut().find(|child| *child.addr.path() == due.child);
        let Some(child) = child.filter(|child| child.running.is_none()) else { return };
        match &due.asked_by {
            Some(by) => child.restart_as_asked(parent, by),
            None if child.given_up => {}
            None => child.restart(parent),
        }
    }
}

impl<C: Behavior> Child<C> {
    fn start<P: Behavior>(&mut self, parent: &Context<P>) {
        self.running = parent.spawn_child::<C>(&self.addr, self.args.clone());
    }

    fn restart<P: Behavior>(&mut self, parent: &Context<P>) {
        self.addr.probe().restarted();
        self.note(parent, What::Restarted);
        self.start(parent);
    }

    fn restart_as_asked<P: Behavior>(&mut self, parent: &Context<P>, by: &Arc<str>) {
        tracing::warn!(actor = %self.addr.path(), by = %by, "restarting an actor because it was asked for");
        self.note(parent, What::Asked { by: Arc::clone(by) });
        self.given_up = false;
        self.history.forgive();
        self.restart(parent);
    }

    fn note<P: Behavior>(&self, parent: &Context<P>, what: What) {
        parent.registry.journal().note(self.addr.path(), Some(parent.me.path()), what);
    }

    fn last_failure(&self) -> String {
        self.addr.probe().last_failure().unwrap_or_default()
    }
}
