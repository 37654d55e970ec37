//! Query parameters, in either spelling. What cannot be read is a 400.

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use devpocket_actors::persistence::{MAX_PAGE, Page};

use crate::dialect::spelling::snake;
use crate::http::error::ApiError;

/// The parameters of a request.
pub(super) struct Params(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = pairs.map_err(|_| ApiError::bad_request("The query cannot be read"))?;
        // Of a repeated one the last counts. NUL is in no text of ours.
        Ok(Self(pairs.into_iter().filter(|(_, value)| !value.contains('\0')).collect()))
    }
}

impl Params {
    /// A parameter that is there and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).or_else(|| self.0.get(&snake(name)))?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// A parameter read as something.
    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| ApiError::bad_request(format!("Invalid {name}")))
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value == "true" || value == "1")
    }

    /// A number within bounds: what lies outside is moved to the nearest bound.
    pub(super) fn number(&self, name: &str, default: u32, least: u32, most: u32) -> Result<u32, ApiError> {
        let value: Option<i64> = self.parsed(name)?;
        let clamped = value.map(|value| value.clamp(i64::from(least), i64::from(most)));
        Ok(clamped.and_then(|value| u32::try_from(value).ok()).unwrap_or(default))
    }

    /// `limit` and `offset`, or `page`, which wins.
    pub(super) fn page(&self, default: u32, most: u32) -> Result<Page, ApiError> {
        let limit = self.number("limit", default, 1, most.min(MAX_PAGE))?;
        let offset = self.number("offset", 0, 0, u32::MAX)?;
        let page: Option<u32> = self.parsed("page")?;
        let offset = page.map_or(offset, |page| page.saturating_sub(1).saturating_mul(limit));
        Ok(Page { limit, offset })
    }
}
