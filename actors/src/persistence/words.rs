//! Enumerations of the data model: text in the database (migration 0001 says why), the same
//! upper-case words in JSON.

/// A word in the database or a request that is none of an enumeration's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a known {0}")]
pub struct UnknownWord(pub &'static str);

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every value, in the order of the data model.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in the database and in JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownWord;

            /// In any case: one of the two dialects spells these words in lower case.
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|value| value.as_str().eq_ignore_ascii_case(text))
                    .ok_or(UnknownWord(stringify!($name)))
            }
        }

        impl sqlx::Type<sqlx::Postgres> for $name {
            fn type_info() -> sqlx::postgres::PgTypeInfo {
                <&str as sqlx::Type<sqlx::Postgres>>::type_info()
            }

            fn compatible(ty: &sqlx::postgres::PgTypeInfo) -> bool {
                <&str as sqlx::Type<sqlx::Postgres>>::compatible(ty)
            }
        }

        impl sqlx::Encode<'_, sqlx::Postgres> for $name {
            fn encode_by_ref(
                &self,
                buffer: &mut sqlx::postgres::PgArgumentBuffer,
            ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
                <&str as sqlx::Encode<sqlx::Postgres>>::encode(self.as_str(), buffer)
            }
        }

        impl<'r> sqlx::Decode<'r, sqlx::Postgres> for $name {
            fn decode(value: sqlx::postgres::PgValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
                let text = <&str as sqlx::Decode<sqlx::Postgres>>::decode(value)?;
                Ok(text.parse::<Self>()?)
            }
        }
    };
}

words! {
    /// What a person pays for.
    Plan {
        /// Nothing.
        Free = "FREE",
        /// The small plan.
        Starter = "STARTER",
        /// The large plan.
        Pro = "PRO",
        /// By contract.
        Enterprise = "ENTERPRISE",
    }
}

words! {
    /// What a person may administer.
    Role {
        /// Their own things.
        User = "USER",
        /// The same; they may look at everybody's accounts, and change none.
        Support = "SUPPORT",
        /// Clusters, templates, everybody's environments.
        Admin = "ADMIN",
    }
}

words! {
    /// Shelf a template stands on.
    TemplateCategory {
        /// A language with its tools.
        ProgrammingLanguage = "PROGRAMMING_LANGUAGE",
        /// A framework ready to develop with.
        Framework = "FRAMEWORK",
        /// A database server.
        Database = "DATABASE",
        /// Tools for operations and automation.
        Devops = "DEVOPS",
        /// A plain system.
        OperatingSystem = "OPERATING_SYSTEM",
    }
}

words! {
    /// Whether a template may be used.
    TemplateStatus {
        /// Yes, and it is shown.
        Active = "ACTIVE",
        /// Not for anything new.
        Deprecated = "DEPRECATED",
        /// Yes, by who knows of it.
        Beta = "BETA",
    }
}

words! {
    /// Whether a cluster takes environments.
    ClusterStatus {
        /// Yes.
        Active = "ACTIVE",
        /// Switched off.
        Inactive = "INACTIVE",
        /// Runs what it has, takes nothing new.
        Maintenance = "MAINTENANCE",
    }
}

words! {
    /// What somebody may do with a cluster that is not for everybody.
    ClusterRole {
        /// Have environments there.
        User = "USER",
        /// Also see how it is and what all have there.
        Admin = "ADMIN",
    }
}

words! {
    /// Which runtime adapter serves a cluster.
    RuntimeKind {
        /// A Kubernetes API server.
        Kubernetes = "KUBERNETES",
        /// The local sandbox of this machine.
        Local = "LOCAL",
    }
}

words! {
    /// What the owner wants of an environment.
    DesiredState {
        /// Be there.
        Running = "RUNNING",
        /// Use no machine, keep the volume.
        Stopped = "STOPPED",
        /// Be gone for good.
        Terminated = "TERMINATED",
    }
}

words! {
    /// What was last seen of an environment.
    EnvironmentStatus {
        /// Written down, nothing made yet.
        Creating = "CREATING",
        /// Its objects are being made.
        Provisioning = "PROVISIONING",
        /// The template's install commands run.
        Installing = "INSTALLING",
        /// The template's startup commands run.
        Configuring = "CONFIGURING",
        /// Usable.
        Running = "RUNNING",
        /// Off, volume kept.
        Stopped = "STOPPED",
        /// On its way to off.
        Stopping = "STOPPING",
        /// Off and on again.
        Restarting = "RESTARTING",
        /// Needs somebody; the reason says what.
        Error = "ERROR",
        /// Gone.
        Terminated = "TERMINATED",
    }
}

words! {
    /// Life of a terminal session.
    SessionStatus {
        /// Its shell runs.
        Active = "ACTIVE",
        /// Its shell may run; its environment is not reachable now.
        Inactive = "INACTIVE",
        /// Ended.
        Terminated = "TERMINATED",
    }
}

words! {
    /// Weight of a log line.
    LogLevel {
        /// For who looks for a fault.
        Debug = "DEBUG",
        /// Ordinary.
        Info = "INFO",
        /// Worth a look.
        Warn = "WARN",
        /// Something failed.
        Error = "ERROR",
    }
}

words! {
    /// What a mailed proof is for.
    VerificationPurpose {
        /// The address belongs to the account.
        VerifyEmail = "VERIFY_EMAIL",
        /// A forgotten password is to be replaced.
        ResetPassword = "RESET_PASSWORD",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_both_dialects_and_written_in_one() {
        assert_eq!("programming_language".parse(), Ok(TemplateCategory::ProgrammingLanguage));
        assert_eq!("RUNNING".parse(), Ok(EnvironmentStatus::Running));
        assert!("STARTING".parse::<EnvironmentStatus>().is_err());
        assert_eq!(serde_json::to_string(&Plan::Free).unwrap(), "\"FREE\"");
    }
}
