//! Where a server is.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;

use super::ClientError;

/// The base URL of a server: `http://host:port`, or with a path when a proxy puts it below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    tls: bool,
    /// With the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// Without a slash at its end.
    path: String,
}

impl ServerUrl {
    /// Whether the connection is encrypted.
    #[must_use]
    pub const fn tls(&self) -> bool {
        self.tls
    }

    /// The host's name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// `host:port`, for the dialler and the `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The path under which `path` (it begins with a slash) is found.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.path)
    }

    /// The WebSocket URL of `path`.
    #[must_use]
    pub fn websocket(&self, path: &str) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        format!("{scheme}://{}{}{path}", self.authority(), self.path)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl FromStr for ServerUrl {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let bad = || ClientError::Url(text.to_owned());
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri = Uri::from_str(&whole).map_err(|_| bad())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(bad)?.to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { tls, host, port, path })
    }
}

/// Writes `text` so that it can stand in a query or as one segment of a path.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_people_write_them() {
        let read = |text: &str| ServerUrl::from_str(text).map(|url| url.to_string()).ok();
        assert_eq!(read("localhost:8000").unwrap(), "http://localhost:8000");
        assert_eq!(read("http://pocket.example/").unwrap(), "http://pocket.example:80");
        assert_eq!(read("https://a.example/dev/").unwrap(), "https://a.example:443/dev");
        assert_eq!(read("http://[::1]:8000").unwrap(), "http://[::1]:8000");
        assert_eq!(read("ftp://a.example"), None);
        assert_eq!(read("http://"), None);
        assert_eq!(ServerUrl::from_str("http://[::1]:8").unwrap().host(), "::1");
    }

    #[test]
    fn escaped_text_has_no_meaning_in_a_query() {
        assert_eq!(escape("a b&c=ü"), "a%20b%26c%3D%C3%BC");
    }
}
