//! How somebody stands with us, remembered for a few seconds: every request asks.

use std::time::{Duration, Instant};

use chrono::Utc;
use dashmap::DashMap;
use devpocket_actors::persistence::{Persistence, Plan, Role, tokens, users};

use super::AuthError;

/// How long an answer may be used. A sign-in that was ended through this server is noticed at
/// once, one that was ended through another after this.
pub const FRESH: Duration = Duration::from_secs(5);

/// Answers kept. When there are more, all are forgotten: the database is asked again.
const CAPACITY: usize = 20_000;

#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) username: String,
    pub(super) plan: Plan,
    pub(super) role: Role,
    pub(super) is_verified: bool,
}

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
    let pool = persistence.pool();
    let user = users::by_id(pool, user_id).await?.filter(|user| user.is_active).ok_or(AuthError::Ended)?;
    if user.is_locked(Utc::now()) {
        return Err(AuthError::Locked);
    }
    if let Some(session) = session
        && tokens::is_session_revoked(pool, session).await?
    {
        return Err(AuthError::Ended);
    }
    Ok(Standing {
        username: user.username,
        plan: user.subscription_plan,
        role: user.role,
        is_verified: user.is_verified,
    })
}
