//! Where wrong passwords are counted, and that those of one place come one after the other.

use std::hash::{BuildHasher as _, RandomState};

use devpocket_actors::persistence::lockout::{Place, network, stranger};
use devpocket_actors::persistence::users::User;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Mutex, MutexGuard};

/// Turns there are. Places that share one only wait for each other.
const TURNS: u64 = 1_024;

/// A guard over guesses. Bounded; what is counted is in the database.
pub(super) struct Guesses {
    secret: SecretString,
    hasher: RandomState,
    turns: Vec<Mutex<()>>,
}

impl Guesses {
    /// The secret tells the places of names that nobody has; all servers must have the same.
    pub(super) fn new(secret: &SecretString) -> Self {
        Self {
            secret: secret.clone(),
            hasher: RandomState::new(),
            turns: (0..TURNS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Where a guess at an account, or at a name that nobody has, is counted.
    pub(super) fn place(&self, user: Option<&User>, login: &str, address: Option<&str>) -> Place {
        let account = match user {
            Some(user) => user.id.clone(),
            None => stranger(login, self.secret.expose_secret().as_bytes()),
        };
        Place { account, address: network(address) }
    }

    /// Waits for the place's turn, which lasts as long as the guard.
    pub(super) async fn turn(&self, place: &Place) -> MutexGuard<'_, ()> {
        let turn = self.hasher.hash_one((&place.account, &place.address)) % TURNS;
        // It is below their number, which fits.
        self.turns[usize::try_from(turn).unwrap_or_default()].lock().await
    }
}
