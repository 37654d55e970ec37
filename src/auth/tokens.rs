//! Access and refresh tokens: JWTs, HS256, told apart by their `type`.
//!
//! Each names the key it is signed with (`kid`, made of the key), so the key can be replaced: the
//! new one signs, tokens of the ones before stay good as long as those are configured. A token
//! that names no key is one that somebody else made, and is tried with the present one.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use devpocket_actors::persistence::users::User;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::AuthError;
use crate::config::Tokens;
use crate::dialect::Dialect;

const ACCESS: &str = "access";
const REFRESH: &str = "refresh";
const TICKET: &str = "ticket";

/// What a token may hold. Tokens made elsewhere with our key hold only `userId` and `type`.
#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(rename = "userId")]
    user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// Makes each token unlike any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    /// The sign-in it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    /// In a ticket: until when whoever it was made for may stay, which is the end of the token
    /// they showed for it. The ticket itself ends much sooner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stay: Option<i64>,
    /// In which dialect its bearer signed in, if that was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dialect: Option<Dialect>,
}

/// What an access token says.
#[derive(Debug, Clone)]
pub struct Access {
    /// Who.
    pub user_id: String,
    /// By which sign-in.
    pub session: Option<String>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
    /// In which dialect they signed in.
    pub dialect: Option<Dialect>,
}

/// What a ticket says.
pub(super) struct Ticket {
    pub(super) access: Access,
    pub(super) id: String,
}

/// An access token and its refresh token. No `Debug`: both are secrets.
#[derive(Clone)]
pub struct Pair {
    /// For requests.
    pub access: String,
    /// For the next pair.
    pub refresh: String,
    /// Life of the access token.
    pub access_life: Duration,
    /// End of the refresh token.
    pub refresh_expires_at: DateTime<Utc>,
}

/// Characters of a key's name.
const KEY_NAME_CHARS: usize = 8;

/// A key that tokens are signed with.
struct Key {
    name: String,
    decoding: DecodingKey,
}

impl Key {
    fn new(secret: &SecretString) -> Self {
        let secret = secret.expose_secret().as_bytes();
        // The label parts the name from all else that is made of the secret.
        let digest = Sha256::new().chain_update(b"devpocket token key id\0").chain_update(secret).finalize();
        let mut name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        name.truncate(KEY_NAME_CHARS);
        Self { name, decoding: DecodingKey::from_secret(secret) }
    }
}

/// Makes and reads tokens.
pub struct Signer {
    encoding: EncodingKey,
    header: Header,
    /// The present one, and those before.
    keys: Vec<Key>,
    validation: Validation,
    access_life: Duration,
    refresh_life: Duration,
}

impl Signer {
    /// With the key and the lives of the configuration.
    #[must_use]
    pub fn new(config: &Tokens) -> Self {
        let keys: Vec<Key> = std::iter::once(&config.secret).chain(&config.previous).map(Key::new).collect();
        let kid = keys.first().map(|key| key.name.clone());
        let mut validation = Validation::new(Algorithm::HS256);
        // Whether it has expired is looked at here, as the claim may be absent.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Self {
            encoding: EncodingKey::from_secret(config.secret.expose_secret().as_bytes()),
            header: Header { kid, ..Header::new(Algorithm::HS256) },
            keys,
            validation,
            access_life: config.access_life,
            refresh_life: config.refresh_life,
        }
    }

    /// Life of an access token.
    #[must_use]
    pub const fn access_life(&self) -> Duration {
        self.access_life
    }

    /// A new pair for a sign-in of that person, who speaks that dialect.
    ///
    /// # Errors
    /// `Invalid` when signing fails, which it does not.
    pub fn pair(&self, user: &User, session: &str, dialect: Option<Dialect>) -> Result<Pair, AuthError> {
        let now = Utc::now();
        let refresh_expires_at = now + in_bounds(self.refresh_life);
        let claims = |kind: &str, exp: DateTime<Utc>| Claims {
            user_id: user.id.clone(),
            username: Some(user.username.clone()),
            email: Some(user.email.clone()),
            jti: Some(uuid::Uuid::new_v4().simple().to_string()),
            kind: kind.to_owned(),
            sid: Some(session.to_owned()),
            iat: Some(now.timestamp()),
            exp: Some(exp.timestamp()),
            stay: None,
            dialect,
        };
        Ok(Pair {
            access: self.sign(&claims(ACCESS, now + in_bounds(self.access_life)))?,
            refresh: self.sign(&claims(REFRESH, refresh_expires_at))?,
            access_life: self.access_life,
            refresh_expires_at,
        })
    }

    /// A ticket for who is in already.
    pub(super) fn ticket(
        &self,
        user_id: &str,
        session: Option<&str>,
        stay: DateTime<Utc>,
        life: Duration,
        dialect: Option<Dialect>,
    ) -> Result<String, AuthError> {
        let now = Utc::now();
        self.sign(&Claims {
            user_id: user_id.to_owned(),
            username: None,
            email: None,
            jti: Some(uuid::Uuid::new_v4().simple().to_string()),
            kind: TICKET.to_owned(),
            sid: session.map(str::to_owned),
            iat: Some(now.timestamp()),
            exp: Some((now + in_bounds(life)).timestamp()),
            stay: Some(stay.timestamp()),
            dialect,
        })
    }

    /// Reads an access token.
    ///
    /// # Errors
    /// `Invalid` when it is not ours or no access token, `Expired` when it was.
    pub fn read_access(&self, token: &str) -> Result<Access, AuthError> {
        self.read(token, &[ACCESS, "access_token"]).map(|(access, _)| access)
    }

    /// Reads a refresh token: whose it claims to be. What it is worth the database says.
    ///
    /// # Errors
    /// As [`Signer::read_access`].
    pub fn read_refresh(&self, token: &str) -> Result<Access, AuthError> {
        self.read(token, &[REFRESH, "refresh_token"]).map(|(access, _)| access)
    }

    pub(super) fn read_ticket(&self, token: &str) -> Result<Ticket, AuthError> {
        let (access, id) = self.read(token, &[TICKET])?;
        Ok(Ticket { access, id: id.ok_or(AuthError::Invalid)? })
    }

    fn read(&self, token: &str, kinds: &[&str]) -> Result<(Access, Option<String>), AuthError> {
        let named = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Invalid)?.kid;
        let key = match named {
            Some(name) => self.keys.iter().find(|key| key.name == name),
            None => self.keys.first(),
        };
        let key = &key.ok_or(AuthError::Invalid)?.decoding;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation)
            .map_err(|_| AuthError::Invalid)?
            .claims;
        if !kinds.contains(&claims.kind.as_str()) {
            return Err(AuthError::Invalid);
        }
        // Without an end it lives as long as one made here at the same time would.
        let issued = claims.iat.map(|iat| iat.saturating_add(self.access_life.as_secs().cast_signed()));
        let end = claims.exp.or(issued).ok_or(AuthError::Invalid)?;
        let expires_at = DateTime::from_timestamp(end, 0).ok_or(AuthError::Invalid)?;
        if expires_at <= Utc::now() {
            return Err(AuthError::Expired);
        }
        let expires_at = claims.stay.and_then(|stay| DateTime::from_timestamp(stay, 0)).unwrap_or(expires_at);
        let access =
            Access { user_id: claims.user_id, session: claims.sid, expires_at, dialect: claims.dialect };
        Ok((access, claims.jti))
    }

    fn sign(&self, claims: &Claims) -> Result<String, AuthError> {
        jsonwebtoken::encode(&self.header, claims, &self.encoding).map_err(|_| AuthError::Invalid)
    }
}

/// A century is long enough for any token, and short enough for the calendar.
fn in_bounds(life: Duration) -> TimeDelta {
    TimeDelta::from_std(life).unwrap_or(TimeDelta::MAX).min(TimeDelta::days(36_500))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(secret: &str) -> Signer {
        rotated(secret, &[])
    }

    fn rotated(secret: &str, previous: &[&str]) -> Signer {
        Signer::new(&Tokens {
            secret: secret.into(),
            previous: previous.iter().map(|secret| SecretString::from(*secret)).collect(),
            access_life: Duration::from_secs(60),
            refresh_life: Duration::from_secs(600),
            refresh_grace: Duration::ZERO,
        })
    }

    fn claims(kind: &str, exp: Option<i64>, iat: Option<i64>) -> Claims {
        let kind = kind.to_owned();
        Claims {
            user_id: "u1".into(),
            username: None,
            email: None,
            jti: None,
            kind,
            sid: None,
            iat,
            exp,
            stay: None,
            dialect: None,
        }
    }

    #[test]
    fn a_token_with_only_the_needed_claims_is_good() {
        let signer = signer("k");
        let token = signer.sign(&claims("access", None, Some(Utc::now().timestamp()))).unwrap();
        assert_eq!(signer.read_access(&token).unwrap().user_id, "u1");
    }

    #[test]
    fn a_replaced_key_reads_and_signs_no_more() {
        let later = Some(Utc::now().timestamp() + 60);
        let old = signer("old").sign(&claims("access", later, None)).unwrap();
        let both = rotated("new", &["older", "old"]);
        assert_eq!(both.read_access(&old).unwrap().user_id, "u1");
        let new = both.sign(&claims("access", later, None)).unwrap();
        assert!(signer("new").read_access(&new).is_ok());
        for without in ["new", "older"] {
            assert_eq!(signer(without).read_access(&old).unwrap_err(), AuthError::Invalid, "{without}");
        }
        // One that names no key is tried with the present one alone.
        let header = Header::new(Algorithm::HS256);
        let unnamed = |secret: &str| {
            let key = EncodingKey::from_secret(secret.as_bytes());
            jsonwebtoken::encode(&header, &claims("access", later, None), &key).unwrap()
        };
        assert!(both.read_access(&unnamed("new")).is_ok());
        assert_eq!(both.read_access(&unnamed("old")).unwrap_err(), AuthError::Invalid);
        // One that names a key must be signed with that one.
        let mut header = header.clone();
        header.kid = both.keys.last().map(|key| key.name.clone());
        let key = EncodingKey::from_secret(b"new");
        let misnamed = jsonwebtoken::encode(&header, &claims("access", later, None), &key).unwrap();
        assert_eq!(both.read_access(&misnamed).unwrap_err(), AuthError::Invalid);
    }

    #[test]
    fn who_comes_by_a_ticket_may_stay_as_long_as_by_the_token_it_was_made_for() {
        let signer = signer("k");
        let stay = DateTime::from_timestamp(Utc::now().timestamp() + 3600, 0).unwrap();
        let ticket = signer.ticket("u1", Some("s1"), stay, Duration::from_secs(30), None).unwrap();
        assert_eq!(signer.read_ticket(&ticket).unwrap().access.expires_at, stay);
        assert_eq!(signer.read_access(&ticket).unwrap_err(), AuthError::Invalid);
        let spent = signer.ticket("u1", None, stay, Duration::ZERO, None).unwrap();
        assert_eq!(signer.read_ticket(&spent).err(), Some(AuthError::Expired));
    }

    #[test]
    fn other_kinds_other_keys_and_old_ones_are_not() {
        let later = Some(Utc::now().timestamp() + 60);
        let ours = signer("k");
        let refresh = ours.sign(&claims("refresh", later, None)).unwrap();
        assert_eq!(ours.read_access(&refresh).unwrap_err(), AuthError::Invalid);
        let foreign = signer("other").sign(&claims("access", later, None)).unwrap();
        assert_eq!(ours.read_access(&foreign).unwrap_err(), AuthError::Invalid);
        let old = ours.sign(&claims("access", Some(Utc::now().timestamp() - 1), None)).unwrap();
        assert_eq!(ours.read_access(&old).unwrap_err(), AuthError::Expired);
        let endless = ours.sign(&claims("access", None, None)).unwrap();
        assert_eq!(ours.read_access(&endless).unwrap_err(), AuthError::Invalid);
        assert_eq!(ours.read_access("a.b.c").unwrap_err(), AuthError::Invalid);
    }
}
