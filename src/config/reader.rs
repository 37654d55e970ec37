//! Reads variables one by one and keeps what is wrong with them. A reader always gives a
//! value, so that reading goes on after a problem; it is thrown away at the end if there was one.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

use super::problems::{Found, Problem, Problems};
use super::source::Source;
use super::units;
use crate::client::ServerUrl;

pub(super) struct Reader<'a> {
    source: &'a Source,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(source: &'a Source) -> Self {
        Self { source, problems: Vec::new() }
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, Problems> {
        if self.problems.is_empty() { Ok(value) } else { Err(Problems(self.problems)) }
    }

    fn problem(&mut self, variable: &'static str, found: Option<Found>, expected: impl Into<String>) {
        self.problems.push(Problem { variable, found, expected: expected.into() });
    }

    /// The parsed value, or the default when it is not set or cannot be parsed.
    fn parsed<T>(
        &mut self,
        name: &'static str,
        default: T,
        expected: impl FnOnce() -> String,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        let Some(text) = self.source.get(name) else { return default };
        parse(text).unwrap_or_else(|| {
            self.problem(name, Some(Found::Text(text.to_owned())), expected());
            default
        })
    }

    pub(super) fn text(&mut self, name: &'static str, default: &str) -> String {
        self.source.get(name).unwrap_or(default).to_owned()
    }

    /// A text that `accepts`.
    pub(super) fn matching(
        &mut self,
        name: &'static str,
        default: &str,
        expected: &str,
        accepts: fn(&str) -> bool,
    ) -> String {
        let default = default.to_owned();
        self.parsed(name, default, || expected.into(), |text| accepts(text).then(|| text.to_owned()))
    }

    /// What `parse` makes of it.
    pub(super) fn readable<T>(
        &mut self,
        name: &'static str,
        default: T,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        self.parsed(name, default, || expected.into(), parse)
    }

    /// Notes that a value makes no sense beside others.
    pub(super) fn reject(&mut self, name: &'static str, expected: &str) {
        let found = self.source.get(name).map(|text| Found::Text(text.to_owned()));
        self.problem(name, found, expected);
    }

    pub(super) fn optional_text(&mut self, name: &'static str) -> Option<String> {
        self.source.get(name).map(str::to_owned)
    }

    pub(super) fn number<T>(&mut self, name: &'static str, default: T, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display,
    {
        let expected = || format!("a whole number from {} to {}", range.start(), range.end());
        self.parsed(name, default, expected, |text| text.parse().ok().filter(|value| range.contains(value)))
    }

    pub(super) fn boolean(&mut self, name: &'static str, default: bool) -> bool {
        self.parsed(name, default, || "true or false".into(), units::boolean)
    }

    /// The first choice is the default.
    pub(super) fn one_of<T: Copy>(&mut self, name: &'static str, choices: &[(&'static str, T)]) -> T {
        let expected =
            || format!("one of {}", choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", "));
        self.parsed(name, choices[0].1, expected, |text| {
            choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, value)| *value)
        })
    }

    /// `default` must be readable.
    pub(super) fn duration(&mut self, name: &'static str, default: &str, bare: u64) -> Duration {
        let unit = if bare == units::SECONDS { "seconds" } else { "milliseconds" };
        let default = units::duration(default, bare).unwrap_or_default();
        let expected = || format!("a duration such as 30s, 15m, 1h or 7d (a bare number counts {unit})");
        self.parsed(name, default, expected, |text| units::duration(text, bare))
    }

    /// An `http` or `https` URL, without its trailing slash.
    pub(super) fn url(&mut self, name: &'static str, default: &str) -> String {
        let expected = || "an http:// or https:// URL".into();
        self.parsed(name, default.to_owned(), expected, |text| {
            is_http_url(text).then(|| text.trim_end_matches('/').to_owned())
        })
    }

    /// Origins, parted by commas.
    pub(super) fn list(&mut self, name: &'static str, default: &str) -> Vec<String> {
        let split = |text: &str| -> Vec<String> {
            let origins = text.split(',').map(|origin| origin.trim().trim_end_matches('/'));
            origins.filter(|origin| !origin.is_empty()).map(str::to_owned).collect()
        };
        let expected = || "origins such as https://app.example.org, parted by commas".into();
        self.parsed(name, split(default), expected, |text| {
            Some(split(text)).filter(|origins| origins.iter().all(|origin| is_http_url(origin)))
        })
    }

    /// Words, parted by commas: at least one where there is a default.
    pub(super) fn words(&mut self, name: &'static str, default: &str) -> Vec<String> {
        let expected = || "one or more, parted by commas".into();
        self.parsed(name, parts(default), expected, |text| {
            Some(parts(text)).filter(|words| !words.is_empty())
        })
    }

    /// An `https` URL; `http` for this machine's own addresses.
    pub(super) fn secure_url(&mut self, name: &'static str, default: &str) -> String {
        self.matching(name, default, "an https:// URL", is_secure_url)
    }

    /// A mail address, as `a@b` or `Name <a@b>`.
    pub(super) fn address(&mut self, name: &'static str, default: &str) -> String {
        let expected = || "a mail address such as noreply@example.org".into();
        self.parsed(name, default.to_owned(), expected, |text| {
            let address = text.rsplit_once('<').map_or(text, |(_, rest)| rest.trim_end_matches('>'));
            crate::http::validate::is_email(address).then(|| text.to_owned())
        })
    }

    /// A level, or a filter of the log.
    pub(super) fn log_filter(&mut self, name: &'static str, default: &str) -> String {
        let expected = || "error, warn, info, debug, trace or a filter such as info,devpocket=debug".into();
        self.parsed(name, default.to_owned(), expected, |text| {
            tracing_subscriber::EnvFilter::try_new(text).is_ok().then(|| text.to_owned())
        })
    }

    pub(super) fn secret(&mut self, name: &'static str, shortest: usize) -> SecretString {
        if self.source.get(name).is_none() {
            self.problem(name, None, format!("a secret of at least {shortest} characters"));
        }
        self.optional_secret(name, shortest).unwrap_or_default()
    }

    pub(super) fn optional_secret(&mut self, name: &'static str, shortest: usize) -> Option<SecretString> {
        let text = self.source.get(name)?;
        let length = text.chars().count();
        if length < shortest {
            self.problem(name, Some(Found::Secret(length)), format!("at least {shortest} characters"));
        }
        Some(SecretString::from(text))
    }

    /// Secrets, parted by commas.
    pub(super) fn secrets(&mut self, name: &'static str, shortest: usize) -> Vec<SecretString> {
        let secrets = self.source.get(name).map(parts).unwrap_or_default();
        for secret in &secrets {
            let length = secret.chars().count();
            if length < shortest {
                let expected = format!("at least {shortest} characters in each, parted by commas");
                self.problem(name, Some(Found::Secret(length)), expected);
            }
        }
        secrets.into_iter().map(SecretString::from).collect()
    }

    pub(super) fn secret_url(&mut self, name: &'static str, schemes: &[&str]) -> SecretString {
        if self.source.get(name).is_none() {
            self.problem(name, None, format!("a URL that begins with {}", schemes.join(" or ")));
        }
        self.optional_secret_url(name, schemes).unwrap_or_default()
    }

    /// A URL that may hold a password.
    pub(super) fn optional_secret_url(
        &mut self,
        name: &'static str,
        schemes: &[&str],
    ) -> Option<SecretString> {
        let text = self.source.get(name)?;
        if !schemes.iter().any(|scheme| text.starts_with(scheme)) {
            let found = Some(Found::Secret(text.chars().count()));
            self.problem(name, found, format!("a URL that begins with {}", schemes.join(" or ")));
        }
        Some(SecretString::from(text))
    }
}

/// Whether nobody in between can change what comes from there.
fn is_secure_url(text: &str) -> bool {
    let url = Some(text).filter(|text| is_http_url(text)).and_then(|text| text.parse::<ServerUrl>().ok());
    url.is_some_and(|url| url.tls() || matches!(url.host(), "127.0.0.1" | "::1" | "localhost"))
}

/// What stands between commas, without blanks around it.
fn parts(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn is_http_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace))
}
