//! How many connections each user has, bounded.

use std::sync::Arc;

use dashmap::DashMap;

/// Counts the live connections of each user. It lives outside of the user's actor because
/// connections outlive it.
#[derive(Debug, Clone)]
pub struct Presence {
    limit: usize,
    connections: Arc<DashMap<String, usize>>,
}

/// One admitted connection; dropping it makes room for another.
#[derive(Debug)]
pub struct Admission {
    user: String,
    connections: Arc<DashMap<String, usize>>,
}

impl Presence {
    /// At most `limit` connections for each user.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, connections: Arc::default() }
    }

    /// Admits one more connection of `user`, or none when it has as many as it may. Counting
    /// and admitting are one step, so of many that come at once exactly `limit` get in.
    #[must_use]
    pub fn admit(&self, user: &str) -> Option<Admission> {
        let mut count = self.connections.entry(user.to_owned()).or_insert(0);
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        drop(count);
        Some(Admission { user: user.to_owned(), connections: Arc::clone(&self.connections) })
    }

    /// The number of live connections of `user`.
    #[must_use]
    pub fn count(&self, user: &str) -> usize {
        self.connections.get(user).map_or(0, |count| *count)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.connections.remove_if_mut(&self.user, |_, count| {
            *count = count.saturating_sub(1);
            *count == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_limit_gets_in_and_leaving_makes_room() {
        let presence = Presence::new(10);
        let threads: Vec<_> = (0..15)
            .map(|_| {
                let presence = presence.clone();
                std::thread::spawn(move || presence.admit("u"))
            })
            .collect();
        let mut admitted: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(admitted.len(), 10);
        assert!(presence.admit("u").is_none());
        assert!(presence.admit("other").is_some());
        admitted.pop();
        assert!(presence.admit("u").is_some());
        admitted.clear();
        assert_eq!(presence.count("u"), 0);
        assert!(presence.connections.is_empty());
    }
}
