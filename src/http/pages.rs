//! The web pages: files that `web/` was built to, part of the binary (see `build.rs`).
//!
//! They are one page and what it loads; which screen it shows is the page's own business, so
//! every address that is no other route's answers a browser with it. Programs, which do not ask
//! for HTML, get what they always got.

use axum::extract::Request;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderMap, HeaderName, HeaderValue, VARY,
};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

/// A built file.
struct File {
    /// Below the site, without a slash at its beginning.
    path: &'static str,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/web_files.rs"));

const INDEX: &str = "index.html";

/// Where files with a hash of their content in their names lie.
const HASHED: &str = "assets/";

/// Scripts come from here alone and none is inline. Styles may be: the terminal emulator makes
/// its rules (colours, the size of a cell) while it runs, and without scripts they can do little.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What is shown when the server was built without pages.
const MISSING: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
     <meta name=viewport content=\"width=device-width\"><title>DevPocket</title>\
     <h1>The web pages were not built</h1>\
     <p>This server was built without them; its API and <code>devpocket connect</code> work.</p>\
     <p>To build them: <code>make web</code>, which needs Node.js 18 or newer, then build the server again. \
     <code>make run</code> does both.</p></html>";

/// Whether a browser asks for a page to show.
#[must_use]
pub fn wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "text/html"))
}

/// Whether this path is a file of the pages, which costs nothing to send.
#[must_use]
pub fn is_file(path: &str) -> bool {
    find(path).is_some()
}

/// The page, or what to do to have one.
#[must_use]
pub fn index(headers: &HeaderMap) -> Response {
    match find("/index.html") {
        Some(file) => file.response(headers),
        None => {
            let page = ([(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "no-cache")], MISSING);
            page.into_response()
        }
    }
}

/// What is at a path that no route has: a file, or for a browser the page.
pub fn at(request: &Request) -> Option<Response> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return None;
    }
    let (path, headers) = (request.uri().path(), request.headers());
    if let Some(file) = find(path) {
        return Some(file.response(headers));
    }
    // A mistyped address of the API is none of a screen, and neither is a file that is gone.
    let page = wanted(headers) && !path.starts_with("/api") && !path.starts_with("/assets/");
    page.then(|| index(headers))
}

fn find(path: &str) -> Option<&'static File> {
    let path = path.strip_prefix('/')?;
    FILES.binary_search_by(|file| file.path.cmp(path)).ok().map(|at| &FILES[at])
}

impl File {
    fn response(&self, asked: &HeaderMap) -> Response {
        let (bytes, encoding) = self.packed_for(asked);
        let mut response = (StatusCode::OK, bytes).into_response();
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
        set(CONTENT_TYPE, kind(self.path));
        let hashed = self.path.starts_with(HASHED);
        set(CACHE_CONTROL, if hashed { "public, max-age=31536000, immutable" } else { "no-cache" });
        set(VARY, if self.path == INDEX { "Accept, Accept-Encoding" } else { "Accept-Encoding" });
        set(CONTENT_SECURITY_POLICY, POLICY);
        if let Some(encoding) = encoding {
            set(CONTENT_ENCODING, encoding);
        }
        response
    }

    fn packed_for(&self, headers: &HeaderMap) -> (&'static [u8], Option<&'static str>) {
        let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let takes = |name: &str| {
            accepted.split(',').any(|part| {
                let mut part = part.split(';').map(str::trim);
                part.next() == Some(name) && !part.any(|weight| matches!(weight, "q=0" | "q=0.0"))
            })
        };
        match (self.brotli, self.gzip) {
            (Some(bytes), _) if takes("br") => (bytes, Some("br")),
            (_, Some(bytes)) if takes("gzip") => (bytes, Some("gzip")),
            _ => (self.plain, None),
        }
    }
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        Some("json") => "application/json",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn browsers_ask_for_pages_and_programs_do_not() {
        assert!(wanted(&asked(ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")));
        for program in ["*/*", "application/json", "text/htmlx"] {
            assert!(!wanted(&asked(ACCEPT, program)), "{program}");
        }
        assert!(!wanted(&HeaderMap::new()));
    }

    #[test]
    fn a_file_is_sent_as_packed_as_the_browser_takes_it() {
        let file = File { path: "assets/a.js", plain: b"plain", brotli: Some(b"br"), gzip: Some(b"gz") };
        for (accepted, expected) in [
            ("gzip, deflate, br", Some("br")),
            ("gzip;q=1.0", Some("gzip")),
            ("br;q=0, gzip", Some("gzip")),
            ("identity", None),
        ] {
            assert_eq!(file.packed_for(&asked(ACCEPT_ENCODING, accepted)).1, expected, "{accepted}");
        }
        let response = file.response(&HeaderMap::new());
        assert_eq!(response.headers()[CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert_eq!(response.headers()[CONTENT_TYPE], "text/javascript; charset=utf-8");
    }

    #[test]
    fn files_are_in_order_so_that_each_is_found() {
        assert!(FILES.is_sorted_by(|a, b| a.path < b.path));
        assert!(FILES.iter().all(|file| is_file(&format!("/{}", file.path))));
    }
}
