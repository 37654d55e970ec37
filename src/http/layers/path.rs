//! Trailing slashes: one client writes them, the other does not, neither follows redirects.

use axum::http::{Request, Uri};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_go_and_queries_stay() {
        for (from, to) in [("/a/", "/a"), ("/a/?q=1/", "/a?q=1/"), ("/", "/"), ("/a", "/a"), ("//", "//")] {
            let mut request = Request::builder().uri(from).body(()).unwrap();
            trim(&mut request);
            assert_eq!(request.uri().to_string(), to);
        }
    }
}
