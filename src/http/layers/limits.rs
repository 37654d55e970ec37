//! Rate limits.
//!
//! A key (a person, an address, both) falls into one of [`BUCKETS`], so memory is bounded
//! whatever is thrown at it. Which one depends on a secret of the process, so nobody can aim
//! at the bucket of somebody else.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::app::App;
use crate::config::Limits;
use crate::http::client;
use crate::http::error::ApiError;
use crate::http::pages;
use crate::http::session::Shown;

/// Buckets of each limit.
const BUCKETS: u64 = 1 << 17;

const HOUR: Duration = Duration::from_hours(1);
const QUARTER: Duration = Duration::from_mins(15);

tokio::task_local! {
    /// What is left of the narrower limit that also counted the request under way: its answer
    /// tells of that one.
    static NARROWER: Cell<Option<Told>>;
}

/// What an answer tells of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    most: u32,
    left: u32,
    /// Seconds until all of it is there again.
    reset: u64,
}

/// All limits.
pub struct RateLimits {
    enabled: bool,
    /// Every request but health checks and files of the web pages.
    pub requests: Limit,
    /// Registering and signing in, by account and address.
    pub sign_ins: Limit,
    /// Making environments, by person.
    pub environments: Limit,
    /// Asking for another verification mail, by person.
    pub verifications: Limit,
    /// Asking for a new password, by account and address.
    pub resets: Limit,
    /// Tickets, by person.
    pub tickets: Limit,
}

impl RateLimits {
    /// From the configuration.
    #[must_use]
    pub fn new(config: &Limits) -> Self {
        Self {
            enabled: config.rate_limits,
            requests: Limit::new(config.requests, config.window),
            sign_ins: Limit::new(config.sign_ins, config.window),
            environments: Limit::new(10, HOUR),
            verifications: Limit::new(3, QUARTER),
            resets: Limit::new(3, HOUR),
            tickets: Limit::new(120, Duration::from_mins(1)),
        }
    }

    /// Counts one use by `key`.
    ///
    /// # Errors
    /// 429 when there were too many.
    pub fn check(&self, limit: &Limit, key: &str) -> Result<(), ApiError> {
        if !self.enabled {
            return Ok(());
        }
        let counted = limit.check(key);
        let _ = NARROWER.try_with(|told| told.set(Some(limit.told(counted.unwrap_or(0)))));
        counted.map(drop).map_err(ApiError::too_many)
    }
}

/// So many in a window, refilled steadily.
pub struct Limit {
    most: u32,
    pause: Duration,
    hasher: RandomState,
    limiter: RateLimiter<u64, DashMapStateStore<u64>, DefaultClock, StateInformationMiddleware>,
}

impl Limit {
    fn new(most: u32, window: Duration) -> Self {
        let burst = NonZeroU32::new(most).unwrap_or(NonZeroU32::MIN);
        let pause = (window / burst.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(pause).unwrap_or(Quota::per_second(burst)).allow_burst(burst);
        let limiter = RateLimiter::dashmap(quota).with_middleware::<StateInformationMiddleware>();
        Self { most: burst.get(), pause, hasher: RandomState::new(), limiter }
    }

    /// How many are left, or for how many seconds there are none.
    fn check(&self, key: &str) -> Result<u32, u64> {
        let bucket = self.hasher.hash_one(key) % BUCKETS;
        match self.limiter.check_key(&bucket) {
            Ok(snapshot) => Ok(snapshot.remaining_burst_capacity()),
            Err(until) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                Err(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
            }
        }
    }

    fn told(&self, left: u32) -> Told {
        let pause = u64::try_from(self.pause.as_millis()).unwrap_or(u64::MAX);
        let used = u64::from(self.most.saturating_sub(left));
        Told { most: self.most, left, reset: used.saturating_mul(pause).div_ceil(1_000) }
    }
}

impl Told {
    fn write(self, headers: &mut HeaderMap) {
        let Self { most, left, reset } = self;
        for (name, value) in [
            ("ratelimit-limit", u64::from(most)),
            ("ratelimit-remaining", u64::from(left)),
            ("ratelimit-reset", reset),
            ("x-ratelimit-limit", u64::from(most)),
            ("x-ratelimit-remaining", u64::from(left)),
            ("x-ratelimit-reset", chrono::Utc::now().timestamp().unsigned_abs() + reset),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
    }
}

/// The limit of all requests: by person, and by address for who shows no good token.
pub async fn limit(State(app): State<App>, request: Request, next: Next) -> Response {
    let limits = app.limits();
    let path = request.uri().path();
    if !limits.enabled || path.starts_with("/health") || path == "/api/v1/health" || pages::is_file(path) {
        return next.run(request).await;
    }
    let key = match request.extensions().get::<Shown>().and_then(Shown::access) {
        Some(access) => format!("user {}", access.user_id),
        None => match client::address(&app, request.headers(), request.extensions()) {
            Some(address) => format!("address {}", client::network(address)),
            None => "unknown".to_owned(),
        },
    };
    let checked = limits.requests.check(&key);
    let (mut response, narrower) = match checked {
        Ok(_) => {
            let run = async { (next.run(request).await, NARROWER.with(Cell::take)) };
            NARROWER.scope(Cell::new(None), run).await
        }
        Err(seconds) => (ApiError::too_many(seconds).into_response(), None),
    };
    narrower.unwrap_or_else(|| limits.requests.told(checked.unwrap_or(0))).write(response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_does_not_use_up_anothers() {
        let limit = Limit::new(2, Duration::from_secs(900));
        assert_eq!(limit.check("a"), Ok(1));
        assert_eq!(limit.check("a"), Ok(0));
        let wait = limit.check("a").unwrap_err();
        assert!((440..=450).contains(&wait), "{wait}");
        assert!(limit.check("b").is_ok());
    }
}
