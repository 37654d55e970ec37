//! Wrong passwords: counted by account and address, answered with growing locks.
//!
//! Who guesses locks out his own address, and nobody else's: [`LockoutRules::attempts`] wrong
//! passwords from one address lock it for this account, the next ones for twice as long, up to
//! [`LONGEST`]. Beside it all addresses together are counted. When so many guess that this says
//! nothing any more ([`ALL_FACTOR`] times as many), every address is locked, but for those from
//! which the account was entered within [`KNOWN_DAYS`].
//!
//! Names that nobody has are counted the same way, in buckets ([`stranger`]), so that guessing at
//! one looks like guessing at any other.
//!
//! Rows are bounded: twice [`ADDRESSES`] for each account and each bucket, and
//! [`super::tokens::SweepTokens`] removes what is old.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};
use sqlx::{FromRow, PgConnection, PgPool, PgTransaction};

use super::engine::Write;
use super::error::{ReadError, WriteError};
use super::records::SWEEP_ROWS;
use super::secrets::hex;

/// The longest lock of one address.
pub const LONGEST: Duration = Duration::from_hours(24);

/// The longest lock of all addresses together: shorter, as it also keeps out who has forgotten
/// nothing and is only somewhere new.
pub const LONGEST_OF_ALL: Duration = Duration::from_hours(1);

/// How many times the misses of one address all together may have.
pub const ALL_FACTOR: i32 = 20;

/// After so much time without a miss nothing is held against anybody.
pub const FORGET_AFTER: Duration = Duration::from_hours(24);

/// Days for which an address from which the account was entered counts as its owner's.
pub const KNOWN_DAYS: i64 = 90;

/// Addresses remembered of one account: so many from which it was entered, and so many others.
pub const ADDRESSES: i64 = 32;

/// Buckets of names that nobody has: 16 bits.
const BUCKET_BYTES: usize = 2;

/// The row of all addresses together.
const ALL: &str = "";

/// How many wrong passwords are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockoutRules {
    /// That lock an address.
    pub attempts: i32,
    /// For so long, the first time.
    pub lock_for: Duration,
}

/// Where sign-ins are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A user's id, or a [`stranger`].
    pub account: String,
    /// What [`network`] makes of an address.
    pub address: String,
}

/// What an address counts as: an IPv4 address is one, of IPv6 the /64, which one customer has.
#[must_use]
pub fn network(address: Option<&str>) -> String {
    match address.and_then(|address| address.parse::<IpAddr>().ok()).map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => ip.to_string(),
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        None => "unknown".to_owned(),
    }
}

/// Where the misses of a name that nobody has are counted: one of 65536 buckets, chosen by a
/// secret so that nobody can aim at one.
#[must_use]
pub fn stranger(name: &str, secret: &[u8]) -> String {
    let mut digest = Sha256::new();
    digest.update(secret);
    digest.update([0]);
    digest.update(name.to_lowercase().as_bytes());
    format!("stranger-{}", hex(&digest.finalize()[..BUCKET_BYTES]))
}

/// A count of misses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
struct Count {
    failures: i32,
    locks: i32,
    locked_until: Option<DateTime<Utc>>,
    succeeded_at: Option<DateTime<Utc>>,
    tried_at: DateTime<Utc>,
}

impl Count {
    /// What still counts: a lock that has ended gives all attempts back, and long quiet forgets
    /// the locks too.
    fn at(self, now: DateTime<Utc>) -> Self {
        let last = self.locked_until.map_or(self.tried_at, |until| until.max(self.tried_at));
        let quiet = now - last > delta(FORGET_AFTER);
        let ended = self.locked_until.is_some_and(|until| until <= now);
        Self {
            failures: if ended || quiet { 0 } else { self.failures },
            locks: if quiet { 0 } else { self.locks },
            locked_until: self.locked_until.filter(|_| !ended),
            ..self
        }
    }

    /// One more miss at `now`.
    fn miss(self, now: DateTime<Utc>, attempts: i32, lock_for: Duration, longest: Duration) -> Self {
        let mut count = Self { tried_at: now, ..self.at(now) };
        if count.locked_until.is_some() {
            return count;
        }
        count.failures = count.failures.saturating_add(1);
        if count.failures >= attempts {
            let doubled = lock_for.saturating_mul(1 << count.locks.clamp(0, 20));
            count.locked_until = Some(now + delta(doubled.min(longest.max(lock_for))));
            count.locks = count.locks.saturating_add(1);
        }
        count
    }

    fn is_known(&self, now: DateTime<Utc>) -> bool {
        self.succeeded_at.is_some_and(|at| now - at < TimeDelta::days(KNOWN_DAYS))
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::days(365))
}

#[derive(FromRow)]
struct Row {
    address: String,
    #[sqlx(flatten)]
    count: Count,
}

/// Whether nobody signs in there now.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn is_locked(pool: &PgPool, place: &Place) -> Result<bool, ReadError> {
    let rows: Vec<Row> =
        sqlx::query_as("SELECT * FROM sign_in_addresses WHERE account = $1 AND address IN ('', $2)")
            .bind(&place.account)
            .bind(&place.address)
            .fetch_all(pool)
            .await?;
    let now = Utc::now();
    let known = rows.iter().any(|row| row.address != ALL && row.count.is_known(now));
    Ok(rows.iter().any(|row| row.count.at(now).locked_until.is_some() && (row.address != ALL || !known)))
}

/// Counts a wrong password. True: its address is locked now.
#[derive(Debug, Clone)]
pub struct MissSignIn {
    /// Where.
    pub place: Place,
    /// How many are too many.
    pub rules: LockoutRules,
}

impl Write for MissSignIn {
    type Output = bool;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<bool, WriteError> {
        let (now, rules) = (Utc::now(), self.rules);
        let mut locked = false;
        for row in hold(tx, &self.place).await? {
            let count = if row.address == ALL {
                let attempts = rules.attempts.saturating_mul(ALL_FACTOR);
                row.count.miss(now, attempts, rules.lock_for, LONGEST_OF_ALL)
            } else {
                row.count.miss(now, rules.attempts, rules.lock_for, LONGEST)
            };
            locked |= row.address != ALL && count.locked_until.is_some();
            sqlx::query(
                "UPDATE sign_in_addresses SET failures = $3, locks = $4, locked_until = $5, tried_at = $6
                 WHERE account = $1 AND address = $2",
            )
            .bind(&self.place.account)
            .bind(&row.address)
            .bind(count.failures)
            .bind(count.locks)
            .bind(count.locked_until)
            .bind(count.tried_at)
            .execute(&mut **tx)
            .await?;
        }
        Ok(locked)
    }
}

/// The right password came from there.
#[derive(Debug, Clone)]
pub struct PassSignIn {
    /// Where.
    pub place: Place,
}

impl Write for PassSignIn {
    type Output = ();

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<(), WriteError> {
        hold(tx, &self.place).await?;
        sqlx::query(
            "UPDATE sign_in_addresses SET failures = 0, locks = 0, locked_until = NULL,
                                          succeeded_at = now(), tried_at = now()
             WHERE account = $1 AND address = $2",
        )
        .bind(self.place.account)
        .bind(self.place.address)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// The rows of all addresses and of this one, which are made if need be, locked in that order: so
/// what comes at once is all counted. Of more addresses than [`ADDRESSES`] the oldest go, those
/// from which the account was entered apart from the others.
async fn hold(tx: &mut PgConnection, place: &Place) -> Result<Vec<Row>, WriteError> {
    let made = sqlx::query(
        "INSERT INTO sign_in_addresses (account, address) VALUES ($1, ''), ($1, $2)
         ON CONFLICT (account, address) DO NOTHING",
    )
    .bind(&place.account)
    .bind(&place.address)
    .execute(&mut *tx)
    .await?;
    let rows = sqlx::query_as(
        "SELECT * FROM sign_in_addresses WHERE account = $1 AND address IN ('', $2)
         ORDER BY address FOR UPDATE",
    )
    .bind(&place.account)
    .bind(&place.address)
    .fetch_all(&mut *tx)
    .await?;
    if made.rows_affected() > 0 {
        sqlx::query(
            "DELETE FROM sign_in_addresses WHERE account = $1 AND address IN
                 (SELECT address FROM
                      (SELECT address, row_number() OVER (
                           PARTITION BY succeeded_at IS NULL
                           ORDER BY COALESCE(succeeded_at, tried_at) DESC) AS place
                       FROM sign_in_addresses WHERE account = $1 AND address NOT IN ('', $2)) r
                  WHERE r.place >= $3)",
        )
        .bind(&place.account)
        .bind(&place.address)
        .bind(ADDRESSES)
        .execute(tx)
        .await?;
    }
    Ok(rows)
}

/// Forgets all misses of an account, and opens it to all addresses.
pub(super) async fn forgive(tx: &mut PgConnection, account: &str) -> Result<(), WriteError> {
    // The inner SELECT takes the locks in their order.
    sqlx::query(
        "UPDATE sign_in_addresses a SET failures = 0, locks = 0, locked_until = NULL
         FROM (SELECT account, address FROM sign_in_addresses WHERE account = $1
               ORDER BY address FOR UPDATE) i
         WHERE a.account = i.account AND a.address = i.address",
    )
    .bind(account)
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes rows in which nothing counts any more, at most [`SWEEP_ROWS`]. Returns how many.
pub(super) async fn sweep(tx: &mut PgConnection) -> Result<u64, WriteError> {
    let now = Utc::now();
    let gone = sqlx::query(
        "DELETE FROM sign_in_addresses WHERE (account, address) IN
             (SELECT account, address FROM sign_in_addresses
              WHERE tried_at < $1 AND (locked_until IS NULL OR locked_until < $1)
                AND (succeeded_at IS NULL OR succeeded_at < $2)
              ORDER BY account, address LIMIT $3 FOR UPDATE SKIP LOCKED)",
    )
    .bind(now - delta(FORGET_AFTER))
    .bind(now - TimeDelta::days(KNOWN_DAYS))
    .bind(SWEEP_ROWS)
    .execute(tx)
    .await?;
    Ok(gone.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTEMPTS: i32 = 3;
    const QUARTER: Duration = Duration::from_mins(15);

    fn fresh(now: DateTime<Utc>) -> Count {
        Count { failures: 0, locks: 0, locked_until: None, succeeded_at: None, tried_at: now }
    }

    fn guess(count: Count, now: DateTime<Utc>) -> Count {
        count.miss(now, ATTEMPTS, QUARTER, LONGEST)
    }

    #[test]
    fn locks_grow_end_and_are_forgotten() {
        let mut now = Utc::now();
        let mut count = fresh(now);
        let mut lengths = Vec::new();
        for _ in 0..9 {
            for n in 1..=ATTEMPTS {
                count = guess(count, now);
                assert_eq!(count.locked_until.is_some(), n == ATTEMPTS);
            }
            let until = count.locked_until.unwrap();
            lengths.push((until - now).num_minutes());
            // While it lasts nothing is counted; when it has ended all attempts are back.
            assert_eq!(guess(count, now).failures, ATTEMPTS);
            now = until;
            assert_eq!((count.at(now).failures, count.at(now).locked_until), (0, None));
        }
        assert_eq!(lengths, [15, 30, 60, 120, 240, 480, 960, 1440, 1440]);
        now += delta(FORGET_AFTER) + TimeDelta::seconds(1);
        assert_eq!(count.at(now).locks, 0);
    }

    #[test]
    fn a_few_misses_are_forgotten_after_a_quiet_day() {
        let now = Utc::now();
        let count = guess(guess(fresh(now), now), now);
        assert_eq!(count.at(now + TimeDelta::hours(23)).failures, 2);
        assert_eq!(count.at(now + TimeDelta::hours(25)).failures, 0);
    }

    #[test]
    fn neighbours_of_one_network_are_one() {
        assert_eq!(network(Some("192.0.2.1")), "192.0.2.1");
        assert_eq!(network(Some("::ffff:192.0.2.1")), "192.0.2.1");
        let (one, other) = (network(Some("2001:db8:1:2::3")), network(Some("2001:db8:1:2:ffff::9")));
        assert_eq!((one.as_str(), other.as_str()), ("2001:db8:1:2::/64", "2001:db8:1:2::/64"));
        assert_ne!(network(Some("2001:db8:1:3::3")), one);
        assert_eq!((network(None), network(Some("proxy"))), ("unknown".into(), "unknown".into()));
    }

    #[test]
    fn strangers_fall_into_buckets_whatever_their_case() {
        assert_eq!(stranger("Bob", b"k"), stranger("bob", b"k"));
        assert_ne!(stranger("bob", b"k"), stranger("bob", b"other"));
        assert_eq!(stranger("bob", b"k").len(), "stranger-".len() + 4);
    }
}
