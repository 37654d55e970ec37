//! The configuration: one typed value, read once at start.
//!
//! It comes from environment variables, over a file of the same (`.env` format), over the
//! defaults below. Everything that is wrong is reported at once, by the variable's name, with
//! what was found (never of a secret) and what is expected. `.env.example` in the repository
//! describes every variable.

mod google;
mod kubernetes;
mod plans;
mod problems;
mod reader;
mod source;
mod units;

use std::path::PathBuf;
use std::time::Duration;

use devpocket_actors::mailer::{MailSettings, MailTransport, NoticeLevel};
use devpocket_actors::persistence::connect;
use devpocket_actors::persistence::lockout::LockoutRules;
use devpocket_actors::persistence::vault::Vault;
use devpocket_actors::plans::Plans;
use secrecy::{ExposeSecret as _, SecretString};

pub use self::google::Google;
pub use self::kubernetes::{Given, Kubernetes};
pub use self::problems::{Problem, Problems};
use self::reader::Reader;
pub use self::source::{Source, SourceError};

/// What the server is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// On somebody's machine.
    Development,
    /// For people.
    Production,
    /// By automatic tests: no rate limits.
    Test,
}

impl Mode {
    /// The word of `NODE_ENV`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
            Self::Test => "test",
        }
    }
}

/// Everything that can be set. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Config {
    /// `NODE_ENV`.
    pub mode: Mode,
    /// `HOST`: the address to listen on.
    pub host: String,
    /// `PORT`; 0 takes any free one.
    pub port: u16,
    /// `CLUSTER_NAME`: where environments go when nobody says where; without it, to the default
    /// cluster.
    pub cluster_name: Option<String>,
    /// `SECRET_KEY` and `SECRET_KEY_PREVIOUS`: what the database keeps sealed.
    pub keys: Keys,
    /// Sign-in with Google.
    pub google: Google,
    /// The database.
    pub database: Database,
    /// Tokens.
    pub tokens: Tokens,
    /// Passwords and what protects them.
    pub passwords: Passwords,
    /// The HTTP side.
    pub web: Web,
    /// How much anybody may ask for.
    pub limits: Limits,
    /// Environments on Kubernetes.
    pub kubernetes: Kubernetes,
    /// Outgoing mail.
    pub mail: MailSettings,
    /// `MAIL_NOTICES`: what owners of environments are told by mail.
    pub notices: NoticeLevel,
    /// The log.
    pub log: Log,
    /// `LOCAL_RUNTIME_DIR`: run environments in sandboxes on this machine, with their volumes
    /// in this directory.
    pub local_runtime: Option<PathBuf>,
}

/// What seals kubeconfigs, variables and waiting mails in the database.
#[derive(Debug, Clone)]
pub struct Keys {
    /// `SECRET_KEY`: seals and opens.
    pub current: SecretString,
    /// `SECRET_KEY_PREVIOUS`: open what they once sealed.
    pub previous: Vec<SecretString>,
}

/// How to reach Postgres.
#[derive(Debug, Clone)]
pub struct Database {
    /// `DATABASE_URL`. Secret, as it holds a password.
    pub url: SecretString,
    /// `DATABASE_MAX_CONNECTIONS`.
    pub max_connections: u32,
}

/// Tokens and their lives.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// `JWT_SECRET`: signs them.
    pub secret: SecretString,
    /// `JWT_PREVIOUS_SECRETS`: what they were signed with before, and is still good.
    pub previous: Vec<SecretString>,
    /// `JWT_ACCESS_TOKEN_EXPIRES_IN`.
    pub access_life: Duration,
    /// `JWT_REFRESH_TOKEN_EXPIRES_IN`.
    pub refresh_life: Duration,
    /// `JWT_REFRESH_GRACE`: how long a spent refresh token may be shown again as long as its
    /// successor was not used. Zero: never.
    pub refresh_grace: Duration,
}

/// Passwords and what protects them.
#[derive(Debug, Clone)]
pub struct Passwords {
    /// `BCRYPT_ROUNDS`.
    pub bcrypt_cost: u32,
    /// `ACCOUNT_LOCKOUT_ATTEMPTS` and `ACCOUNT_LOCKOUT_DURATION`.
    pub lockout: LockoutRules,
}

/// The HTTP side.
#[derive(Debug, Clone)]
pub struct Web {
    /// `ALLOWED_ORIGINS`: web pages that may use the API, besides the server's own.
    pub allowed_origins: Vec<String>,
    /// `FRONTEND_URL`: where links in mails lead. No trailing slash.
    pub frontend_url: String,
    /// `BASE_URL`: how the outside world reaches this server. No trailing slash.
    pub base_url: String,
    /// `TRUST_PROXY_HOPS`: proxies in front whose `X-Forwarded-For` entry is believed.
    pub proxy_hops: usize,
    /// `MAX_CONNECTIONS`: open connections at a time, WebSockets included.
    pub max_connections: usize,
    /// `MAX_CONNECTIONS_PER_ADDRESS`: those from one address. Counted only where no proxy is
    /// trusted (`TRUST_PROXY_HOPS`): behind one all come from it.
    pub max_connections_per_address: usize,
    /// `HTTP_IDLE_TIMEOUT`: how long a connection may say nothing between requests, or take
    /// nothing of its answer.
    pub idle_limit: Duration,
    /// `HTTP_HEADER_TIMEOUT`: how long the head of a request may take from its first byte.
    pub head_limit: Duration,
    /// `HTTP_BODY_TIMEOUT`: how long its body may take.
    pub body_limit: Duration,
    /// `ENABLE_API_DOCS`.
    pub api_docs: bool,
}

/// How much anybody may ask for.
#[derive(Debug, Clone)]
pub struct Limits {
    /// `RATE_LIMIT_ENABLED`; off in test mode.
    pub rate_limits: bool,
    /// `RATE_LIMIT_WINDOW_MS`.
    pub window: Duration,
    /// `RATE_LIMIT_MAX_REQUESTS`: requests in a window, of one person or address.
    pub requests: u32,
    /// `AUTH_RATE_LIMIT_MAX_REQUESTS`: sign-ins in a window, to one account from one address.
    pub sign_ins: u32,
    /// `WS_MAX_CONNECTIONS_PER_USER`.
    pub sockets_per_user: usize,
    /// `WS_HEARTBEAT_INTERVAL`.
    pub socket_heartbeat: Duration,
    /// `*_PLAN_MAX_ENVIRONMENTS`, with what each environment may use.
    pub plans: Plans,
}

/// The log.
#[derive(Debug, Clone)]
pub struct Log {
    /// `LOG_LEVEL`: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as
    /// `info,devpocket=debug`.
    pub filter: String,
    /// `LOG_FORMAT`: one JSON object a line instead of text for people.
    pub json: bool,
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// Every problem there is, not only the first.
    pub fn read(source: &Source) -> Result<Self, Problems> {
        let mut read = Reader::new(source);
        let config = Self::read_all(&mut read);
        read.finish(config)
    }

    /// Seals and opens what the database keeps sealed.
    #[must_use]
    pub fn vault(&self) -> Vault {
        let previous = self.keys.previous.iter().map(|key| key.expose_secret());
        Vault::with_previous(self.keys.current.expose_secret(), previous)
    }

    fn read_all(read: &mut Reader<'_>) -> Self {
        let mode = read.one_of(
            "NODE_ENV",
            &[("development", Mode::Development), ("production", Mode::Production), ("test", Mode::Test)],
        );
        let plans = plans::read(read);
        let frontend_url = read.url("FRONTEND_URL", "http://localhost:3000");
        Self {
            mode,
            host: read.text("HOST", "0.0.0.0"),
            port: read.number("PORT", 8000, 0..=65_535),
            cluster_name: read.optional_text("CLUSTER_NAME"),
            keys: Keys {
                current: read.secret("SECRET_KEY", 32),
                previous: read.secrets("SECRET_KEY_PREVIOUS", 32),
            },
            google: google::read(read),
            database: Database {
                url: read.secret_url("DATABASE_URL", &["postgres://", "postgresql://"]),
                max_connections: read.number(
                    "DATABASE_MAX_CONNECTIONS",
                    connect::DEFAULT_MAX_CONNECTIONS,
                    1..=1_000,
                ),
            },
            tokens: Tokens {
                secret: read.secret("JWT_SECRET", 32),
                previous: read.secrets("JWT_PREVIOUS_SECRETS", 32),
                access_life: read.duration("JWT_ACCESS_TOKEN_EXPIRES_IN", "1h", units::SECONDS),
                refresh_life: read.duration("JWT_REFRESH_TOKEN_EXPIRES_IN", "7d", units::SECONDS),
                refresh_grace: read.duration("JWT_REFRESH_GRACE", "0s", units::SECONDS),
            },
            passwords: Passwords {
                bcrypt_cost: read.number("BCRYPT_ROUNDS", 12, 4..=16),
                lockout: LockoutRules {
                    attempts: read.number("ACCOUNT_LOCKOUT_ATTEMPTS", 5, 1..=1_000),
                    lock_for: read.duration("ACCOUNT_LOCKOUT_DURATION", "900000", units::MILLISECONDS),
                },
            },
            web: Web {
                allowed_origins: read.list("ALLOWED_ORIGINS", "http://localhost:3000"),
                frontend_url,
                base_url: read.url("BASE_URL", "http://localhost:8000"),
                proxy_hops: read.number("TRUST_PROXY_HOPS", 1, 0..=16),
                max_connections: read.number("MAX_CONNECTIONS", 10_000, 1..=1_000_000),
                max_connections_per_address: read.number("MAX_CONNECTIONS_PER_ADDRESS", 1_000, 1..=1_000_000),
                idle_limit: read.duration("HTTP_IDLE_TIMEOUT", "75s", units::SECONDS),
                head_limit: read.duration("HTTP_HEADER_TIMEOUT", "10s", units::SECONDS),
                body_limit: read.duration("HTTP_BODY_TIMEOUT", "20s", units::SECONDS),
                api_docs: read.boolean("ENABLE_API_DOCS", true),
            },
            kubernetes: kubernetes::read(read, plans),
            limits: Limits {
                rate_limits: read.boolean("RATE_LIMIT_ENABLED", mode != Mode::Test),
                window: read.duration("RATE_LIMIT_WINDOW_MS", "900000", units::MILLISECONDS),
                requests: read.number("RATE_LIMIT_MAX_REQUESTS", 100, 1..=1_000_000),
                sign_ins: read.number("AUTH_RATE_LIMIT_MAX_REQUESTS", 5, 1..=1_000_000),
                sockets_per_user: read.number("WS_MAX_CONNECTIONS_PER_USER", 10, 1..=1_000),
                socket_heartbeat: read.duration("WS_HEARTBEAT_INTERVAL", "30000", units::MILLISECONDS),
                plans,
            },
            mail: mail(read),
            notices: read.one_of(
                "MAIL_NOTICES",
                &[("errors", NoticeLevel::Errors), ("all", NoticeLevel::All), ("none", NoticeLevel::None)],
            ),
            log: Log {
                filter: read.log_filter("LOG_LEVEL", "warn"),
                json: read.one_of("LOG_FORMAT", &[("simple", false), ("json", true)]),
            },
            local_runtime: read.optional_text("LOCAL_RUNTIME_DIR").map(PathBuf::from),
        }
    }
}

fn mail(read: &mut Reader<'_>) -> MailSettings {
    let smtp = read.optional_secret_url("SMTP_URL", &["smtp://", "smtps://"]);
    let outbox = read.optional_text("MAIL_OUTBOX_DIR");
    let transport = match (smtp, outbox) {
        (Some(url), _) => MailTransport::Smtp(url),
        (None, Some(directory)) => MailTransport::Outbox(directory.into()),
        (None, None) => MailTransport::Nowhere,
    };
    MailSettings {
        from: read.address("FROM_EMAIL", "noreply@devpocket.app"),
        transport,
        ca_file: read.optional_text("SMTP_CA_FILE").map(PathBuf::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[(&str, &str)] = &[
        ("DATABASE_URL", "postgres://devpocket:hunter2@db/devpocket"),
        ("JWT_SECRET", "a-secret-of-more-than-32-characters!"),
        ("SECRET_KEY", "another-secret-of-more-than-32-characters"),
    ];

    fn source(more: &[(&str, &str)]) -> Source {
        Source::of(GOOD.iter().chain(more).map(|(name, value)| ((*name).into(), (*value).into())))
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let config = Config::read(&source(&[])).unwrap();
        assert_eq!(config.port, 8000);
        assert_eq!(config.tokens.access_life, Duration::from_secs(3600));
        assert_eq!(config.tokens.refresh_life, Duration::from_secs(7 * 86_400));
        assert_eq!(config.passwords.lockout.lock_for, Duration::from_secs(900));
        assert_eq!(config.limits.plans.starter.environments, 3);
        assert_eq!(config.web.allowed_origins, ["http://localhost:3000"]);
        assert!(config.limits.rate_limits && config.web.api_docs && !config.log.json);
    }

    #[test]
    fn every_problem_is_told_at_once_and_no_secret_is_repeated() {
        let problems = Config::read(&Source::of([
            ("PORT".into(), "70000".into()),
            ("JWT_SECRET".into(), "hunter2".into()),
            ("SECRET_KEY".into(), "hunter2".into()),
            ("SECRET_KEY_PREVIOUS".into(), "hunter2hunter2hunter2hunter2hunter2,hunter2".into()),
            ("DATABASE_URL".into(), "mysql://root:hunter2@db".into()),
            ("ENABLE_API_DOCS".into(), "perhaps".into()),
            ("JWT_ACCESS_TOKEN_EXPIRES_IN".into(), "soon".into()),
            ("SMTP_URL".into(), "hunter2".into()),
            ("LOG_LEVEL".into(), "loud=quite".into()),
            ("JWT_PREVIOUS_SECRETS".into(), "a-secret-of-more-than-32-characters!, hunter2".into()),
            ("GOOGLE_JWKS_URL".into(), "http://keys.example.org".into()),
            ("GOOGLE_ISSUERS".into(), ",".into()),
        ]))
        .unwrap_err();
        let text = problems.to_string();
        for name in [
            "PORT",
            "JWT_SECRET",
            "SECRET_KEY:",
            "SECRET_KEY_PREVIOUS",
            "DATABASE_URL",
            "ENABLE_API_DOCS",
            "JWT_ACCESS_TOKEN_EXPIRES_IN",
            "SMTP_URL",
            "LOG_LEVEL",
            "JWT_PREVIOUS_SECRETS",
            "GOOGLE_JWKS_URL",
            "GOOGLE_ISSUERS",
        ] {
            assert!(text.contains(name), "{name} in {text}");
        }
        assert!(text.contains("70000") && text.contains("perhaps") && text.contains("soon"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!format!("{problems:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_required_is_told() {
        let text = Config::read(&Source::of([])).unwrap_err().to_string();
        assert!(
            ["DATABASE_URL", "JWT_SECRET", "SECRET_KEY", "not set"].iter().all(|name| text.contains(name)),
            "{text}"
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let config = Config::read(&source(&[
            ("SECRET_KEY", "hunter2hunter2hunter2hunter2hunter2"),
            ("SECRET_KEY_PREVIOUS", "hunter2hunter2hunter2hunter2hunter2+"),
            ("SMTP_URL", "smtps://me:hunter2@mail"),
            ("JWT_PREVIOUS_SECRETS", "hunter2hunter2hunter2hunter2hunter2"),
        ]))
        .unwrap();
        let text = format!("{config:?}");
        assert!(!text.contains("hunter2") && !text.contains("a-secret"), "{text}");
    }

    #[test]
    fn booleans_mean_what_they_say() {
        let config = Config::read(&source(&[("ENABLE_API_DOCS", "false"), ("NODE_ENV", "test")])).unwrap();
        assert!(!config.web.api_docs);
        assert!(!config.limits.rate_limits);
    }

    /// Every variable the reader asks for is in the example, and its defaults are the real ones.
    #[test]
    fn the_example_is_complete_and_true() {
        let example = include_str!("../../.env.example");
        let code = include_str!("mod.rs").split("#[cfg(test)]").next().unwrap();
        let code = [code, include_str!("google.rs"), include_str!("plans.rs")].concat();
        let asked = code.split('"').filter(|text| {
            text.len() > 3
                && text.contains(|c: char| c.is_ascii_uppercase())
                && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        });
        for name in asked.chain(["PORT", "HOST"]) {
            assert!(example.contains(&format!("{name}=")), "{name} is not in .env.example");
        }
        let set = example.lines().filter_map(|line| line.strip_prefix('#').unwrap_or(line).split_once('='));
        let set = set.filter(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
        let set: Vec<_> =
            set.filter(|(name, _)| !["JWT_SECRET", "SECRET_KEY", "DATABASE_URL"].contains(name)).collect();
        let spelled = format!("{:?}", Config::read(&source(&set)).unwrap());
        assert_eq!(spelled, format!("{:?}", Config::read(&source(&[])).unwrap()));
    }
}
