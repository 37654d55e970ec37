//! Request bodies: JSON or a form, every field in either spelling (`fullName`, `full_name`),
//! unknown ones ignored, all problems with the fields reported at once.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};

use super::error::{ApiError, FieldError};
use crate::dialect::spelling::{dialect_of, snake};
use crate::dialect::{Rules, Spoken};

/// Largest body.
pub const BODY_LIMIT: usize = 10 * 1024 * 1024;

/// The most members, items and fields of a body. Each costs much more memory than its bytes.
const MEMBER_LIMIT: usize = 10_000;

/// Of a body that is too large this much more is read and thrown away, so that a client that
/// is still sending gets to read the answer.
const DISCARD_LIMIT: usize = 32 * 1024 * 1024;

/// A body did not arrive in time.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("The body did not arrive in time; send it again")]
pub struct TooSlow;

/// A request's fields.
pub struct Fields {
    map: Map<String, Value>,
    errors: Vec<FieldError>,
    rules: &'static Rules,
}

/// What a request's body must hold.
pub trait Form: Sized {
    /// Whether it asks for tokens: then its spelling tells the client's dialect.
    const ASKS_FOR_TOKENS: bool = false;

    /// Takes it from the fields, and notes what is wrong with them.
    fn read(fields: &mut Fields) -> Self;
}

/// A body in which every field is good.
pub struct Checked<T>(pub T);

impl<S: Send + Sync, T: Form> FromRequest<S> for Checked<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let spoken = request.extensions().get::<Spoken>().cloned().unwrap_or_default();
        let mut fields = Fields::from_request(request, state).await?;
        if (T::ASKS_FOR_TOKENS || spoken.known().is_none())
            && let Some(dialect) = dialect_of(&fields.map)
        {
            spoken.note_spelling(dialect);
        }
        fields.rules = spoken.rules();
        let form = T::read(&mut fields);
        fields.finish()?;
        Ok(Self(form))
    }
}

/// What a field must be like; the error goes after the field's name.
pub type Rule = fn(&str) -> Result<(), &'static str>;

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_form = content_type.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let bytes = read(request.into_body()).await?;
        if bytes.is_empty() {
            return Ok(Self::new(Map::new()));
        }
        if members(&bytes, is_form) > MEMBER_LIMIT {
            return Err(ApiError::bad_request(format!("The body has more than {MEMBER_LIMIT} members")));
        }
        let map = if is_form {
            form(&bytes)
        } else {
            match serde_json::from_slice(&bytes) {
                Ok(Value::Object(map)) => map,
                Ok(_) => return Err(ApiError::bad_request("The body must be a JSON object")),
                Err(_) => return Err(ApiError::bad_request("The body is not valid JSON")),
            }
        };
        Ok(Self::new(map))
    }
}

/// How many members a body has at most, counted without reading it: by what is between them.
fn members(bytes: &[u8], is_form: bool) -> usize {
    if is_form {
        return bytes.iter().filter(|byte| **byte == b'&').count() + 1;
    }
    let (mut count, mut in_text, mut escaped) = (0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            // One before each but the first, and one for the first.
            b',' | b'{' | b'[' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

async fn read(mut body: axum::body::Body) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let mut discarded = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(unread)?;
        let Ok(data) = frame.into_data() else { continue };
        if discarded == 0 && bytes.len() + data.len() <= BODY_LIMIT {
            bytes.extend_from_slice(&data);
        } else {
            bytes = Vec::new();
            discarded += data.len();
            if discarded > DISCARD_LIMIT {
                break;
            }
        }
    }
    if discarded > 0 {
        let message = format!("The body is larger than {} MB", BODY_LIMIT / 1024 / 1024);
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    Ok(bytes)
}

/// Why a body was not read.
fn unread(error: axum::Error) -> ApiError {
    if error.into_inner().is::<TooSlow>() {
        return ApiError::new(StatusCode::REQUEST_TIMEOUT, TooSlow.to_string());
    }
    ApiError::bad_request("The body could not be read")
}

fn form(bytes: &[u8]) -> Map<String, Value> {
    url::form_urlencoded::parse(bytes)
        .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
        .collect()
}

impl Fields {
    fn new(map: Map<String, Value>) -> Self {
        Self { map, errors: Vec::new(), rules: Rules::of(crate::dialect::Dialect::default()) }
    }

    /// The rules of the client's dialect.
    #[must_use]
    pub const fn rules(&self) -> &'static Rules {
        self.rules
    }

    /// The field's value in either spelling; JSON `null` is absent.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let value = self.map.remove(name).or_else(|| self.map.remove(&snake(name)));
        value.filter(|value| !value.is_null())
    }

    /// Whether the field is there, as `null` too.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name) || self.map.contains_key(&snake(name))
    }

    /// Whether the field is there and not `null`.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        let value = self.map.get(name).or_else(|| self.map.get(&snake(name)));
        value.is_some_and(|value| !value.is_null())
    }

    /// Whether a problem was noted of the field.
    #[must_use]
    pub fn is_wrong(&self, field: &str) -> bool {
        self.errors.iter().any(|error| error.field == field)
    }

    /// Notes a problem; `why` goes after the field's name.
    pub fn error(&mut self, field: &'static str, why: impl Into<String>, code: &'static str) {
        self.errors.push(FieldError { field, why: why.into(), code });
    }

    /// A text that is there and not empty. After a problem: an empty one.
    pub fn required(&mut self, name: &'static str, rule: Rule) -> String {
        self.required_as(name, &[name], rule)
    }

    /// The same, under any of these names.
    pub fn required_as(&mut self, name: &'static str, names: &[&str], rule: Rule) -> String {
        let value = names.iter().find_map(|name| self.take(name));
        match value {
            Some(Value::String(text)) if text.is_empty() => self.error(name, "is required", "required"),
            Some(Value::String(text)) => return self.checked(name, text, rule).unwrap_or_default(),
            Some(_) => self.error(name, "must be a string", "invalid_type"),
            None => self.error(name, "is required", "required"),
        }
        String::new()
    }

    /// A text that may be absent.
    pub fn optional(&mut self, name: &'static str, rule: Rule) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => self.checked(name, text, rule),
            _ => {
                self.error(name, "must be a string", "invalid_type");
                None
            }
        }
    }

    /// A whole number that may be absent; in forms it comes as text.
    pub fn number(&mut self, name: &'static str) -> Option<u64> {
        let value = self.take(name)?;
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        if number.is_none() {
            self.error(name, "must be a whole number", "invalid_type");
        }
        number
    }

    /// The first object under one of these names, as fields of its own.
    pub fn object(&mut self, name: &'static str, names: &[&str]) -> Option<Self> {
        match names.iter().find_map(|name| self.take(name))? {
            Value::Object(map) => Some(Self { rules: self.rules, ..Self::new(map) }),
            _ => {
                self.error(name, "must be an object", "invalid_type");
                None
            }
        }
    }

    /// No fields, as a part of these.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { rules: self.rules, ..Self::new(Map::new()) }
    }

    /// A yes or no that may be absent; in forms it comes as text.
    pub fn switch(&mut self, name: &'static str) -> Option<bool> {
        let value = self.take(name)?;
        let switch = value.as_bool().or_else(|| value.as_str()?.parse().ok());
        if switch.is_none() {
            self.error(name, "must be true or false", "invalid_type");
        }
        switch
    }

    /// A word of an enumeration, in any case.
    pub fn word<T: FromStr>(&mut self, name: &'static str) -> Option<T> {
        let value = self.take(name)?;
        let word = value.as_str().and_then(|word| word.parse().ok());
        if word.is_none() {
            self.error(name, "is not one of the words it may be", "invalid");
        }
        word
    }

    /// A list of texts that may be absent.
    pub fn list(&mut self, name: &'static str) -> Option<Vec<String>> {
        let Value::Array(items) = self.take(name)? else {
            self.error(name, "must be a list of strings", "invalid_type");
            return None;
        };
        let texts: Option<Vec<_>> = items
            .into_iter()
            .map(|item| match item {
                Value::String(text) if !text.contains('\0') => Some(text),
                _ => None,
            })
            .collect();
        if texts.is_none() {
            self.error(name, "must hold strings only, without NUL", "invalid_type");
        }
        texts
    }

    /// Takes over the problems of a part.
    pub fn absorb(&mut self, part: Self) {
        self.errors.extend(part.errors);
    }

    /// A map of texts; a value may be `null`.
    pub fn texts(&mut self, name: &'static str) -> Option<BTreeMap<String, Option<String>>> {
        let Value::Object(map) = self.take(name)? else {
            self.error(name, "must be an object of strings", "invalid_type");
            return None;
        };
        let texts: Option<_> = map
            .into_iter()
            .map(|(key, value)| match value {
                Value::String(text) => Some((key, Some(text))),
                Value::Null => Some((key, None)),
                _ => None,
            })
            .collect();
        if texts.is_none() {
            self.error(name, "must hold strings only", "invalid_type");
        }
        texts
    }

    /// Ends the checking.
    ///
    /// # Errors
    /// 400 with all problems, if there was one.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.errors.is_empty() { Ok(()) } else { Err(ApiError::validation(self.errors)) }
    }

    fn checked(&mut self, name: &'static str, text: String, rule: Rule) -> Option<String> {
        match rule(&text) {
            // Postgres holds no NUL in a text, and nobody means one.
            Ok(()) if text.contains('\0') => self.error(name, "must not hold NUL", "invalid"),
            Ok(()) => return Some(text),
            Err(why) => self.error(name, why, "invalid"),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read_and_all_problems_told() {
        let Value::Object(map) = serde_json::json!({"full_name": "Ann", "age": 3, "x": null}) else {
            panic!()
        };
        let mut fields = Fields::new(map);
        assert_eq!(fields.required("fullName", |_| Ok(())), "Ann");
        fields.required("x", |_| Ok(()));
        fields.required("age", |_| Ok(()));
        assert_eq!(fields.errors.len(), 2);
        let body = fields.finish().unwrap_err().body(crate::dialect::Dialect::Camel);
        assert!(body.error.contains("required"));
    }

    #[test]
    fn members_are_counted_and_commas_in_texts_are_not() {
        assert_eq!(members(br#"{"a": ",,\\", "b": [1, 2], "c": {"d": "\",["}}"#, false), 6);
        assert_eq!(members(b"a=1&b=2", true), 2);
    }

    #[test]
    fn forms_are_read() {
        let map = form(b"usernameOrEmail=a%40b.c&password=x+y");
        assert_eq!(map["usernameOrEmail"], "a@b.c");
        assert_eq!(map["password"], "x y");
    }
}
