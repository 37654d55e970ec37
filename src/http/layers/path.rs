//! Trailing slashes: one client writes them, the other does not, neither follows redirects.
//! And paths that name nothing.

use axum::extract::Request as HttpRequest;
use axum::http::{Request, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::http::error::ApiError;

/// The path had a trailing slash, before it was taken off.
#[derive(Debug, Clone, Copy)]
pub struct TrailingSlash;

/// The path as the client wrote it.
#[derive(Debug, Clone)]
pub struct OriginalPath(pub String);

/// Takes trailing slashes off the path, before it is routed.
pub fn trim<B>(request: &mut Request<B>) {
    let path = request.uri().path();
    let original = OriginalPath(path.to_owned());
    let trimmed = path.trim_end_matches('/');
    if trimmed.len() < path.len() && !trimmed.is_empty() {
        let uri = match request.uri().query() {
            Some(query) => format!("{trimmed}?{query}"),
            None => trimmed.to_owned(),
        };
        if let Ok(uri) = uri.parse::<Uri>() {
            *request.uri_mut() = uri;
            request.extensions_mut().insert(TrailingSlash);
        }
    }
    request.extensions_mut().insert(original);
}

/// Refuses paths that are no text: nothing has such a name, and no query could ask for it.
pub async fn refuse_odd(request: HttpRequest, next: Next) -> Response {
    if is_text(request.uri().path()) {
        return next.run(request).await;
    }
    ApiError::no_route(request.method().as_str(), request.uri().path()).into_response()
}

/// Whether a path is UTF-8 without NUL once it is decoded.
fn is_text(path: &str) -> bool {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    !bytes.contains(&0) && std::str::from_utf8(&bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_seen() {
        for good in ["/", "/a%20b", "/%c3%b6", "/100%", "/%zz", "/%2"] {
            assert!(is_text(good), "{good}");
        }
        for odd in ["/%00", "/a%00b", "/%ff", "/%c3%28", "/%C3"] {
            assert!(!is_text(odd), "{odd}");
        }
    }

    #[test]
    fn slashes_go_and_queries_stay() {
        for (from, to) in [("/a/", "/a"), ("/a/?q=1/", "/a?q=1/"), ("/", "/"), ("/a", "/a"), ("//", "//")] {
            let mut request = Request::builder().uri(from).body(()).unwrap();
            trim(&mut request);
            assert_eq!(request.uri().to_string(), to);
        }
    }
}
