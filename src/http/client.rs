//! Who is at the other end of the connection.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

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
/// them wrote into `X-Forwarded-For`. What lies further left anybody may have made up, so an
/// entry that is no address is never passed over for it.
#[must_use]
pub fn address(app: &App, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
    let peer = extensions.get::<Peer>().map(|peer| peer.0.ip().to_canonical());
    let hops = app.config().web.proxy_hops;
    if hops == 0 {
        return peer;
    }
    let entries: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .map(str::trim)
        .collect();
    let seen = entries.get(entries.len().saturating_sub(hops));
    seen.and_then(|entry| forwarded(entry)).or(peer)
}

/// What counts as one address for limits: of IPv6 the first 64 bits, as a home has all the rest.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() & (u128::MAX << 64)).into(),
        four => four,
    }
}

/// An entry of `X-Forwarded-For`; some proxies write the port too.
fn forwarded(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse().ok().or_else(|| Some(entry.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proxies_write() {
        for (entry, address) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7:4711", "203.0.113.7"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
        ] {
            assert_eq!(forwarded(entry), Some(address.parse().unwrap()), "{entry}");
        }
        for entry in ["", "unknown", "_hidden", "203.0.113", "203.0.113.7 "] {
            assert_eq!(forwarded(entry), None, "{entry}");
        }
    }
}
