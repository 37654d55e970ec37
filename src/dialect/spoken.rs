//! Which dialect a request is in.

use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;

use super::{Dialect, Rules};

/// The header by which new clients say it: `camel` or `snake`.
pub const HEADER: &str = "x-devpocket-dialect";

/// What tells a request's dialect. The first that is there counts:
///
/// 1. the header [`HEADER`];
/// 2. where tokens are issued: how the fields of the body are spelled;
/// 3. the token's claim, which says how its owner spelled when signing in;
/// 4. a trailing slash, which only the mobile app writes;
/// 5. the HTTP library of the mobile app;
/// 6. how the fields of any other body are spelled.
///
/// Without any it is camel.
#[derive(Debug, Clone, Default)]
pub struct Spoken(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    said: Option<Dialect>,
    spelled: OnceLock<Dialect>,
    hinted: Option<Dialect>,
}

impl Spoken {
    /// What can be told before the body is read.
    #[must_use]
    pub fn new(headers: &HeaderMap, claim: Option<Dialect>, trailing_slash: bool) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let app = header(USER_AGENT.as_str()).is_some_and(|agent| agent.starts_with("Dart/"));
        Self(Arc::new(Inner {
            said: header(HEADER).and_then(|text| text.parse().ok()),
            spelled: OnceLock::new(),
            hinted: claim.or_else(|| (trailing_slash || app).then_some(Dialect::Snake)),
        }))
    }

    /// Notes how the body of a request is spelled: of one for tokens, or where nothing else is known.
    /// The first note counts.
    pub fn note_spelling(&self, dialect: Dialect) {
        let _ = self.0.spelled.set(dialect);
    }

    /// The dialect, if anything tells it.
    #[must_use]
    pub fn known(&self) -> Option<Dialect> {
        self.0.said.or_else(|| self.0.spelled.get().copied()).or(self.0.hinted)
    }

    /// The dialect.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.known().unwrap_or_default()
    }

    /// The dialect's rules.
    #[must_use]
    pub fn rules(&self) -> &'static Rules {
        self.dialect().rules()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Spoken {
    type Rejection = std::convert::Infallible;

    /// What the outermost layer found out.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_surest_hint_counts() {
        let none = headers(&[]);
        assert_eq!(Spoken::new(&none, None, false).known(), None);
        assert_eq!(Spoken::new(&none, None, false).dialect(), Dialect::Camel);
        assert_eq!(Spoken::new(&none, None, true).dialect(), Dialect::Snake);
        let app = headers(&[("user-agent", "Dart/3.5 (dart:io)")]);
        assert_eq!(Spoken::new(&app, None, false).dialect(), Dialect::Snake);
        assert_eq!(Spoken::new(&app, Some(Dialect::Camel), true).dialect(), Dialect::Camel);
        let said = headers(&[(HEADER, "snake"), ("user-agent", "curl/8")]);
        let said = Spoken::new(&said, Some(Dialect::Camel), false);
        said.note_spelling(Dialect::Camel);
        assert_eq!(said.dialect(), Dialect::Snake);
        let spelled = Spoken::new(&app, Some(Dialect::Snake), true);
        spelled.note_spelling(Dialect::Camel);
        spelled.note_spelling(Dialect::Snake);
        assert_eq!(spelled.dialect(), Dialect::Camel);
    }
}
