//! How many connections come from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::Web;
use crate::http::client::network;

/// Connections by address. There are no more entries than connections.
#[derive(Clone)]
pub(super) struct Places {
    most: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One of them, until it is dropped.
pub(super) struct Place(Option<(Places, IpAddr)>);

impl Places {
    /// Unbounded behind a proxy, from where all of them come.
    pub(super) fn new(web: &Web) -> Self {
        let most = if web.proxy_hops > 0 { usize::MAX } else { web.max_connections_per_address };
        Self { most, taken: Arc::default() }
    }

    /// One more, if there is room.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Place> {
        if self.most == usize::MAX {
            return Some(Place(None));
        }
        let network = network(address);
        let mut taken = self.taken.lock();
        let count = taken.entry(network).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place(Some((self.clone(), network))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((places, network)) = &self.0 else { return };
        let mut taken = places.taken.lock();
        if let Some(count) = taken.get_mut(network) {
            *count -= 1;
            if *count == 0 {
                taken.remove(network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_so_many_and_nothing_is_left_behind() {
        let places = Places { most: 2, taken: Arc::default() };
        let enter = |address: &str| places.enter(address.parse().unwrap());
        let (first, second) = (enter("192.0.2.1"), enter("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some() && enter("192.0.2.1").is_none());
        let other = enter("192.0.2.2");
        assert!(other.is_some());
        drop(first);
        let third = enter("192.0.2.1");
        assert!(third.is_some());
        // A whole network of 64 bits is one home's.
        let six = (enter("2001:db8::1"), enter("2001:db8::2"));
        assert!(six.0.is_some() && six.1.is_some() && enter("2001:db8::3").is_none());
        drop((second, third, other, six));
        assert!(places.taken.lock().is_empty());
    }
}
