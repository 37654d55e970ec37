//! Who is at the other end of the connection.

use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};

use super::error::ApiError;
use crate::app::App;
use crate::auth::sign_in::Device;

/// The address at the other end of the connection; the accept loop puts it into each request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The client's address: the connection's, or, behind trusted proxies, what the outermost of
/// them wrote into `X-Forwarded-For`. What lies further left anybody may have made up.
#[must_use]
pub fn address(app: &App, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
    let peer = extensions.get::<Peer>().map(|peer| peer.0.ip().to_canonical());
    let hops = app.config().web.proxy_hops;
    if hops == 0 {
        return peer;
    }
    let forwarded: Vec<IpAddr> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|entry| entry.trim().parse().ok())
        .collect();
    forwarded.get(forwarded.len().saturating_sub(hops)).copied().or(peer)
}

impl FromRequestParts<App> for Device {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let agent = parts.headers.get("user-agent").and_then(|value| value.to_str().ok());
        Ok(Self {
            user_agent: agent.map(|agent| agent.chars().take(256).collect()),
            ip: address(app, &parts.headers, &parts.extensions).map(|address| address.to_string()),
            name: None,
        })
    }
}
