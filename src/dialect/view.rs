//! Bodies, and how they become answers.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use super::{Dialect, spelling};

/// The body of an answer. What it serializes to is canonical: camel.
pub trait View: Serialize + Send + Sync + 'static {
    /// What snake clients get: the same in their spelling, unless they expect more.
    fn snake(&self) -> Value {
        spelled(self)
    }
}

/// The value in snake spelling, with nothing added.
pub(super) fn spelled<T: Serialize + ?Sized>(value: &T) -> Value {
    // Ours all have names for keys, so this can't fail.
    spelling::to_snake(serde_json::to_value(value).unwrap_or_default())
}

/// The same with more members.
pub(super) fn with(mut value: Value, more: Value) -> Value {
    if let (Value::Object(members), Value::Object(more)) = (&mut value, more) {
        members.extend(more);
    }
    value
}

/// A list of what snake clients get.
pub(super) fn bare<T: View>(items: &[T]) -> Value {
    items.iter().map(View::snake).collect()
}

/// A successful answer of a handler, which does not know in what dialect it will be written.
pub struct Reply {
    status: StatusCode,
    rendered: Rendered,
}

/// Writes a body in a dialect. In an answer's extensions until the outermost layer does so.
#[derive(Clone)]
pub struct Rendered(Arc<dyn Fn(Dialect) -> Vec<u8> + Send + Sync>);

impl Reply {
    /// 200.
    pub fn ok(view: impl View) -> Self {
        Self::new(StatusCode::OK, view)
    }

    /// 201.
    pub fn created(view: impl View) -> Self {
        Self::new(StatusCode::CREATED, view)
    }

    /// With that status.
    pub fn new(status: StatusCode, view: impl View) -> Self {
        let write = move |dialect| match dialect {
            Dialect::Camel => serde_json::to_vec(&view),
            Dialect::Snake => serde_json::to_vec(&view.snake()),
        };
        Self { status, rendered: Rendered(Arc::new(move |dialect| write(dialect).unwrap_or_default())) }
    }
}

impl Rendered {
    /// Gives an answer its body.
    pub fn write(self, response: &mut Response, dialect: Dialect) {
        *response.body_mut() = Body::from((self.0)(dialect));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self.rendered);
        response
    }
}
