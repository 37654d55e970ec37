//! The runtime of each cluster that this process knows.

use std::sync::Arc;

use dashmap::DashMap;

use super::switch::Switch;
use crate::runtime::Runtime;

/// A cluster's runtime, or why there is none.
pub(super) type Usable = Result<Arc<dyn Runtime>, String>;

/// The runtime of each cluster, by the cluster's id. Environments take theirs from here, so
/// that a cluster's actor can be restarted under them, and its runtime be exchanged.
#[derive(Clone, Default)]
pub struct Runtimes(Arc<DashMap<String, Place>>);

struct Place {
    switch: Arc<Switch>,
    /// The runtime that the process's configuration gave, if it gave one.
    given: Option<Arc<dyn Runtime>>,
    /// What the runtime was made of, as far as it came from the database.
    made_of: Option<String>,
}

impl Runtimes {
    /// Adds a runtime that the process's configuration gives.
    pub fn give(&self, cluster: &str, runtime: Arc<dyn Runtime>) {
        let switch = Arc::new(Switch::new(Ok(Arc::clone(&runtime))));
        self.0.insert(cluster.to_owned(), Place { switch, given: Some(runtime), made_of: None });
    }

    /// Sets what was made of a stored cluster, or why it can't be used.
    pub(super) fn set(&self, cluster: &str, usable: Usable, made_of: String) {
        let made_of = Some(made_of);
        if let Some(mut place) = self.0.get_mut(cluster) {
            place.made_of = made_of;
            return place.switch.set(usable);
        }
        let switch = Arc::new(Switch::new(usable));
        self.0.insert(cluster.to_owned(), Place { switch, given: None, made_of });
    }

    /// Whether the runtime was made of just that.
    pub(super) fn is_made_of(&self, cluster: &str, made_of: &str) -> bool {
        self.0.get(cluster).is_some_and(|place| place.made_of.as_deref() == Some(made_of))
    }

    /// Switches a cluster off, or a given one on again. Tells whether that changed anything.
    pub(super) fn switch(&self, cluster: &str, on: Result<(), String>) -> bool {
        let Some(mut place) = self.0.get_mut(cluster) else { return false };
        match (on, place.switch.usable()) {
            (Err(why), Ok(_)) => {
                place.made_of = None;
                place.switch.set(Err(why));
                true
            }
            (Ok(()), Err(_)) => match place.given.clone() {
                Some(given) => {
                    place.switch.set(Ok(given));
                    true
                }
                None => false,
            },
            _ => false,
        }
    }

    /// Forgets a cluster that is gone. Environments that still hold its runtime can't use it.
    pub(super) fn remove(&self, cluster: &str) {
        if let Some((_, place)) = self.0.remove(cluster) {
            place.switch.set(Err("Its cluster was removed.".to_owned()));
        }
    }

    /// Whether the process's configuration gives that cluster.
    #[must_use]
    pub fn is_given(&self, cluster: &str) -> bool {
        self.0.get(cluster).is_some_and(|place| place.given.is_some())
    }

    /// The runtime of a cluster.
    ///
    /// # Errors
    /// Why there is none.
    pub fn get(&self, cluster: &str) -> Result<Arc<dyn Runtime>, String> {
        let Some(place) = self.0.get(cluster) else {
            return Err("The cluster of this environment is not configured on this server.".to_owned());
        };
        place.switch.usable().map(|_| Arc::clone(&place.switch) as Arc<dyn Runtime>)
    }

    /// Those that can be used.
    pub(super) fn all(&self) -> Vec<(String, Arc<dyn Runtime>)> {
        let ids: Vec<String> = self.ids();
        ids.into_iter().filter_map(|id| self.get(&id).ok().map(|runtime| (id, runtime))).collect()
    }

    /// All that are known.
    pub(super) fn ids(&self) -> Vec<String> {
        self.0.iter().map(|place| place.key().clone()).collect()
    }
}
