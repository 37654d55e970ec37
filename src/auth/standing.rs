//! How somebody stands with us, remembered for a few seconds: every request asks.

use std::time::{Duration, Instant};

use dashmap::DashMap;
use devpocket_actors::persistence::Persistence;
use devpocket_actors::persistence::users::{self, Standing};

use super::AuthError;

/// How long an answer may be used. A sign-in that was ended through this server is noticed at
/// once, one that was ended through another after this. With the pause between the questions of a
/// socket ([`crate::events::CHECK_EVERY`]) it stays below the five seconds that are promised.
pub const FRESH: Duration = Duration::from_secs(2);

/// Answers kept. When there are more, all are forgotten: the database is asked again.
const CAPACITY: usize = 20_000;

type Key = (String, Option<String>);

/// Only good answers are kept, so nobody can fill it with made-up names.
#[derive(Default)]
pub(super) struct Cache(DashMap<Key, (Instant, Standing)>);

impl Cache {
    pub(super) fn forget(&self, user_id: &str) {
        self.0.retain(|(id, _), _| id != user_id);
    }

    pub(super) async fn of(
        &self,
        persistence: &Persistence,
        user_id: &str,
        session: Option<&str>,
    ) -> Result<Standing, AuthError> {
        let key = (user_id.to_owned(), session.map(str::to_owned));
        if let Some(known) = self.0.get(&key)
            && known.0.elapsed() < FRESH
        {
            return Ok(known.1.clone());
        }
        // The time of the question, not of the answer: what changes in between is noticed.
        let asked = Instant::now();
        let standing = ask(persistence, user_id, session).await?;
        if self.0.len() >= CAPACITY {
            self.0.clear();
        }
        self.0.insert(key, (asked, standing.clone()));
        Ok(standing)
    }
}

async fn ask(persistence: &Persistence, user_id: &str, session: Option<&str>) -> Result<Standing, AuthError> {
    let standing = users::standing(persistence.pool(), user_id, session).await?;
    let standing = standing.filter(|standing| standing.is_admitted).ok_or(AuthError::Ended)?;
    if standing.is_locked { Err(AuthError::Locked) } else { Ok(standing) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_sign_in_is_noticed_within_five_seconds() {
        assert!(FRESH + crate::events::CHECK_EVERY <= Duration::from_secs(5));
    }
}
