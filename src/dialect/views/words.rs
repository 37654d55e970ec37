//! Times and enumerations, as they are written.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use devpocket_actors::persistence::{
    ClusterRole, ClusterStatus, EnvironmentStatus, LogLevel, Plan, Role, SessionStatus, TemplateCategory,
    TemplateStatus,
};
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// ISO 8601 in UTC with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp(pub DateTime<Utc>);

impl Timestamp {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self(Utc::now())
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time)
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl ToSchema for Timestamp {
    fn name() -> Cow<'static, str> {
        "Timestamp".into()
    }
}

/// A newtype for each enumeration of the model, with its schema.
macro_rules! words {
    ($($(#[$doc:meta])* $word:ident($kind:ident);)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, Serialize)]
            #[serde(transparent)]
            pub struct $word(pub $kind);

            impl From<$kind> for $word {
                fn from(word: $kind) -> Self {
                    Self(word)
                }
            }

            impl PartialSchema for $word {
                fn schema() -> RefOr<Schema> {
                    let words = $kind::ALL.iter().map(|word| word.as_str());
                    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
                }
            }

            impl ToSchema for $word {
                fn name() -> Cow<'static, str> {
                    stringify!($kind).into()
                }
            }
        )+
    };
}

words! {
    /// How an environment is.
    StatusWord(EnvironmentStatus);
    /// Whether a cluster takes environments.
    ClusterStatusWord(ClusterStatus);
    /// What somebody may do with a cluster that is not for everybody.
    ClusterRoleWord(ClusterRole);
    /// How grave a line of a log is.
    LevelWord(LogLevel);
    /// What somebody pays for.
    PlanWord(Plan);
    /// What somebody may administer.
    RoleWord(Role);
    /// How a terminal session is.
    SessionStatusWord(SessionStatus);
    /// The shelf of a template.
    CategoryWord(TemplateCategory);
    /// Whether a template may be used.
    TemplateStatusWord(TemplateStatus);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_milliseconds() {
        let time = Timestamp(DateTime::from_timestamp(0, 0).unwrap());
        assert_eq!(time.to_string(), "1970-01-01T00:00:00.000Z");
    }
}
