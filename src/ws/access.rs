//! Who opens a socket, and whether the page it comes from may.

use axum::extract::Query;
use axum::http::Uri;
use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use devpocket_protocol::client::TICKET_PREFIX;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::auth::tickets::redeem_ticket;
use crate::auth::{AuthError, Principal, authenticate};
use crate::http::error::ApiError;

/// What a handshake tells of the client.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
}

#[derive(Deserialize)]
struct TokenQuery {
    token: Option<String>,
}

impl Facts {
    /// The subprotocols that the client offers, in its order.
    pub(super) fn protocols(&self) -> impl Iterator<Item = &str> {
        let values =
            self.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(str::trim).filter(|protocol| !protocol.is_empty())
    }

    /// The query's fields, decoded.
    pub(super) fn query<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let query = Query::<T>::try_from_uri(&self.uri);
        query.map(|query| query.0).map_err(|error| ApiError::bad_request(error.body_text()))
    }

    /// Finds out who opens the socket: by a ticket among the subprotocols, by an `Authorization`
    /// header, or by `?token=`, the first that is there.
    pub(super) async fn identify(&self, app: &App) -> Result<Principal, AuthError> {
        if let Some(ticket) = self.protocols().find_map(|protocol| protocol.strip_prefix(TICKET_PREFIX)) {
            return redeem_ticket(app, ticket).await;
        }
        if let Some(value) = self.headers.get(AUTHORIZATION) {
            let token = value.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
            return authenticate(app, token.ok_or(AuthError::Invalid)?).await;
        }
        let query: TokenQuery = self.query().map_err(|_| AuthError::Missing)?;
        authenticate(app, &query.token.ok_or(AuthError::Missing)?).await
    }

    /// Refuses pages of foreign origins: a browser sends its page's along, other clients send
    /// none. The server's own pages and the configured ones may.
    pub(super) fn check_origin(&self, app: &App) -> Result<(), ApiError> {
        let Some(origin) = self.headers.get(ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or_default().trim_end_matches('/');
        let own = self.headers.get(HOST).and_then(|host| host.to_str().ok());
        let is_own =
            own.is_some_and(|host| origin.split_once("://").is_some_and(|(_, authority)| authority == host));
        let is_allowed = app.config().web.allowed_origins.iter().any(|allowed| allowed == origin);
        if is_own || is_allowed {
            Ok(())
        } else {
            Err(ApiError::forbidden(
                "This page's origin may not open connections. Add it to ALLOWED_ORIGINS.",
            ))
        }
    }
}
