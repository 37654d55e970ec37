//! The keys with which Google signs, fetched when they are needed.
//!
//! They are kept as long as the answer says, within bounds, and fetched anew when a token names a
//! key that is not among them: keys rotate. One fetch runs at a time, and fetches are limited, as
//! anybody can make up names of keys.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CACHE_CONTROL, HOST, HeaderMap};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use jsonwebtoken::DecodingKey;
use parking_lot::RwLock;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::client::{ServerUrl, dial};

/// Longest wait for the keys, from dialling to the last byte.
const FETCH_LIMIT: Duration = Duration::from_secs(5);

/// Largest answer with keys; Google's has some 2 KiB.
const LARGEST: usize = 64 * 1024;

/// Keys taken of an answer.
const MOST_KEYS: usize = 32;

/// The least bytes of a modulus: 2048 bits.
const LEAST_MODULUS: usize = 256;

/// How long keys are used, whatever the answer says.
const AGES: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(24));

/// How long they are used when it says nothing.
const DEFAULT_AGE: Duration = Duration::from_hours(1);

/// How long keys that can't be fetched anew are used beyond their time.
const OVERTIME: Duration = Duration::from_hours(24);

/// Fetches at once, and the pause after which there is one more.
const BURST: u32 = 4;
const PAUSE: Duration = Duration::from_secs(30);

/// Seconds after which somebody may try again when the keys can't be fetched.
pub(super) const RETRY_SECONDS: u64 = PAUSE.as_secs();

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// There is none of that name.
    Unknown,
    /// Nobody can say.
    Unreachable,
}

/// The keys of one address.
pub(super) struct Keys {
    url: ServerUrl,
    kept: RwLock<Option<Kept>>,
    /// When a fetch failed for the last time.
    failed: Mutex<Option<Instant>>,
    allowed: DefaultDirectRateLimiter,
}

#[derive(Clone)]
struct Kept {
    keys: HashMap<String, DecodingKey>,
    fetched: Instant,
    age: Duration,
}

impl Kept {
    fn is_fresh(&self) -> bool {
        self.fetched.elapsed() < self.age
    }

    fn is_usable(&self) -> bool {
        self.fetched.elapsed() < self.age + OVERTIME
    }
}

impl Keys {
    pub(super) fn new(url: ServerUrl) -> Self {
        let burst = NonZeroU32::new(BURST).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(PAUSE).unwrap_or(Quota::per_minute(burst)).allow_burst(burst);
        Self { url, kept: RwLock::default(), failed: Mutex::default(), allowed: RateLimiter::direct(quota) }
    }

    /// The key of that name.
    pub(super) async fn get(&self, name: &str) -> Result<DecodingKey, NoKey> {
        if let Some(key) = self.fresh(name) {
            return Ok(key);
        }
        let asked = Instant::now();
        // Held while fetching: one at a time.
        let mut failed = self.failed.lock().await;
        // Who waited finds what the one before fetched.
        if let Some(key) = self.fresh(name) {
            return Ok(key);
        }
        let just_fetched =
            self.kept.read().as_ref().is_some_and(|kept| kept.is_fresh() && kept.fetched >= asked);
        if just_fetched {
            return Err(NoKey::Unknown);
        }
        // Nor does who waited for a fetch that failed try the same at once.
        let just_failed = failed.is_some_and(|failed| failed >= asked);
        if !just_failed && self.allowed.check().is_ok() {
            match fetch(&self.url).await {
                Ok(kept) => {
                    let key = kept.keys.get(name).cloned();
                    *self.kept.write() = Some(kept);
                    return key.ok_or(NoKey::Unknown);
                }
                Err(why) => {
                    *failed = Some(Instant::now());
                    tracing::warn!(why, url = %self.url, "Google's keys can't be fetched");
                }
            }
        }
        // Better old keys than none; and with fresh ones a name that is not there is made up.
        match self.kept.read().as_ref().filter(|kept| kept.is_usable()) {
            Some(kept) => match kept.keys.get(name) {
                Some(key) => Ok(key.clone()),
                None if kept.is_fresh() => Err(NoKey::Unknown),
                None => Err(NoKey::Unreachable),
            },
            None => Err(NoKey::Unreachable),
        }
    }

    fn fresh(&self, name: &str) -> Option<DecodingKey> {
        self.kept.read().as_ref().filter(|kept| kept.is_fresh())?.keys.get(name).cloned()
    }
}

async fn fetch(url: &ServerUrl) -> Result<Kept, &'static str> {
    let (headers, body) =
        tokio::time::timeout(FETCH_LIMIT, download(url)).await.map_err(|_| "no answer in time")??;
    Ok(Kept { keys: parse(&body)?, fetched: Instant::now(), age: age(&headers) })
}

async fn download(url: &ServerUrl) -> Result<(HeaderMap, Bytes), &'static str> {
    let request = Request::get(url.path(""))
        .header(HOST, url.authority())
        .header(ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(|_| "the address makes no request")?;
    let stream = dial(url).await.map_err(|_| "the address can't be reached")?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|_| "the connection broke")?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|_| "the connection broke")?;
        if answer.status() != StatusCode::OK {
            return Err("the answer is not 200");
        }
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, LARGEST).collect().await;
        // The connection ends with its sender.
        drop(sender);
        Ok((parts.headers, body.map_err(|_| "the answer is too large or broke off")?.to_bytes()))
    };
    tokio::join!(exchange, connection).0
}

/// How long an answer may be used.
fn age(headers: &HeaderMap) -> Duration {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let said = values
        .flat_map(|value| value.split(','))
        .find_map(|part| part.trim().to_ascii_lowercase().strip_prefix("max-age=")?.parse().ok());
    said.map_or(DEFAULT_AGE, Duration::from_secs).clamp(AGES.0, AGES.1)
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

/// The keys that may sign: RSA, for RS256, large enough.
fn parse(body: &[u8]) -> Result<HashMap<String, DecodingKey>, &'static str> {
    let document: Document = serde_json::from_slice(body).map_err(|_| "the answer is no key set")?;
    let usable = document.keys.into_iter().filter_map(|key| {
        let signs = key.purpose.as_deref().unwrap_or("sig") == "sig";
        let fits = key.kty == "RSA" && key.alg.as_deref().unwrap_or("RS256") == "RS256";
        let (name, n, e) = (key.kid?, key.n?, key.e?);
        let large = URL_SAFE_NO_PAD.decode(&n).is_ok_and(|modulus| modulus.len() >= LEAST_MODULUS);
        let key = DecodingKey::from_rsa_components(&n, &e).ok()?;
        (signs && fits && large).then_some((name, key))
    });
    let keys: HashMap<_, _> = usable.take(MOST_KEYS).collect();
    if keys.is_empty() { Err("the answer holds no key that can be used") } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_answer_says_of_its_age_is_kept_within_bounds() {
        let of = |text: &'static str| age(&HeaderMap::from_iter([(CACHE_CONTROL, text.parse().unwrap())]));
        assert_eq!(of("public, max-age=19600, must-revalidate"), Duration::from_secs(19_600));
        assert_eq!(of("max-age=0"), AGES.0);
        assert_eq!(of("max-age=99999999"), AGES.1);
        assert_eq!((of("no-store"), age(&HeaderMap::new())), (DEFAULT_AGE, DEFAULT_AGE));
    }

    #[test]
    fn only_keys_that_sign_with_rs256_are_taken() {
        let (large, small) = (URL_SAFE_NO_PAD.encode([0xff; 256]), URL_SAFE_NO_PAD.encode([0xff; 128]));
        let body = json!({ "keys": [
            { "kty": "RSA", "kid": "good", "use": "sig", "alg": "RS256", "n": large, "e": "AQAB" },
            { "kty": "RSA", "kid": "small", "use": "sig", "alg": "RS256", "n": small, "e": "AQAB" },
            { "kty": "RSA", "kid": "seals", "use": "enc", "n": large, "e": "AQAB" },
            { "kty": "RSA", "kid": "other", "alg": "RS512", "n": large, "e": "AQAB" },
            { "kty": "oct", "kid": "shared", "alg": "HS256", "k": "AAAA" },
            { "kty": "RSA", "n": large, "e": "AQAB" },
        ] });
        let keys = parse(body.to_string().as_bytes()).unwrap();
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["good"]);
        assert!(parse(b"{\"keys\": []}").is_err() && parse(b"<html>").is_err());
    }
}
