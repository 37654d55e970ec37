//! What can go wrong with the database, sorted by what the caller should do about it.
//!
//! The texts hold no values: a constraint's name at most. What a person typed, and what is
//! secret, never gets into an error and so never into a log.

/// Why a write was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The database is away or did not answer in time: try again later.
    ///
    /// When the connection broke while committing, nobody knows whether the write was done;
    /// that too is this error. Ids are made by the writer, so a repeated write is found out.
    #[error("the database is not available")]
    Unavailable,
    /// Too many writes are waiting already.
    #[error("too many writes are waiting")]
    Overloaded,
    /// Something of that kind exists already.
    #[error("conflict with existing data ({constraint})")]
    Conflict {
        /// The unique constraint or index that was hit, e.g. `users_email_key`.
        constraint: String,
    },
    /// The row to change, or one that it refers to, is not there.
    #[error("not found: {what}")]
    NotFound {
        /// The kind of thing, e.g. `template`.
        what: &'static str,
    },
    /// The plan does not allow one more.
    #[error("the limit of {limit} is reached")]
    LimitReached {
        /// How many are allowed.
        limit: u32,
    },
    /// The plan does not allow that much.
    #[error("{0}")]
    BeyondPlan(String),
    /// The row is in a state that forbids this.
    #[error("not possible now: {why}")]
    Refused {
        /// In words a person can act on.
        why: &'static str,
    },
    /// A fault of ours.
    #[error("database error: {0}")]
    Internal(String),
}

impl WriteError {
    /// Whether the same write may succeed when it is sent again a little later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable | Self::Overloaded)
    }
}

/// Why a read gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The database is away or did not answer in time.
    #[error("the database is not available")]
    Unavailable,
    /// A fault of ours.
    #[error("database error: {0}")]
    Internal(String),
}

/// SQLSTATE classes and codes that mean "not now" and not "never".
///
/// 08: connection. 53: out of connections, memory or disk. 57P0x: shutting down or starting.
/// 57014: the statement's time limit. 40: deadlock or serialisation. 55P03: lock not available.
fn is_transient_code(code: &str) -> bool {
    code.starts_with("08")
        || code.starts_with("53")
        || code.starts_with("57P0")
        || code.starts_with("40")
        || matches!(code, "57014" | "55P03" | "25P03")
}

fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed
        // What sqlx says of a connection whose other end vanished in the middle of a message.
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_transient_code(&code)),
        _ => false,
    }
}

/// Says which kind of error it was without repeating what the server said about the data:
/// its messages quote values.
fn describe(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) if error.code().is_some_and(|code| code.starts_with("28")) => {
            "it does not let this user in; check user and password of DATABASE_URL".to_owned()
        }
        sqlx::Error::Database(error) if error.code().as_deref() == Some("3D000") => {
            "there is no database of that name; make it, or correct DATABASE_URL".to_owned()
        }
        sqlx::Error::Database(error) if error.code().as_deref() == Some("42P01") => {
            "its schema is not there; run devpocket migrate".to_owned()
        }
        sqlx::Error::Database(error) => format!(
            "SQLSTATE {} on {}",
            error.code().as_deref().unwrap_or("unknown"),
            error.constraint().or_else(|| error.table()).unwrap_or("a statement")
        ),
        sqlx::Error::ColumnDecode { index, .. } => format!("column {index} cannot be decoded"),
        sqlx::Error::ColumnNotFound(column) => format!("no column {column}"),
        sqlx::Error::RowNotFound => "no row".to_owned(),
        sqlx::Error::TypeNotFound { type_name } => format!("no type {type_name}"),
        _ => "driver error".to_owned(),
    }
}

/// The referenced thing behind a foreign key, by the name Postgres gives to such constraints.
fn referenced(constraint: &str) -> &'static str {
    [
        ("template_id", "template"),
        ("cluster_id", "cluster"),
        ("environment_id", "environment"),
        ("session_id", "session"),
        ("user_id", "user"),
    ]
    .into_iter()
    .find_map(|(part, what)| constraint.contains(part).then_some(what))
    .unwrap_or("referenced row")
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        if is_away(&error) {
            return Self::Unavailable;
        }
        if let sqlx::Error::Database(database) = &error {
            let constraint = database.constraint().unwrap_or_default();
            if database.is_unique_violation() {
                return Self::Conflict { constraint: constraint.to_owned() };
            }
            if database.is_foreign_key_violation() {
                return Self::NotFound { what: referenced(constraint) };
            }
        }
        Self::Internal(describe(&error))
    }
}

impl From<sqlx::Error> for ReadError {
    fn from(error: sqlx::Error) -> Self {
        if is_away(&error) { Self::Unavailable } else { Self::Internal(describe(&error)) }
    }
}

impl From<ReadError> for WriteError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable => Self::Unavailable,
            ReadError::Internal(text) => Self::Internal(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_database_is_unavailable_and_a_bad_column_is_not() {
        assert_eq!(WriteError::from(sqlx::Error::PoolTimedOut), WriteError::Unavailable);
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(ReadError::from(sqlx::Error::Io(refused)), ReadError::Unavailable);
        assert!(!WriteError::from(sqlx::Error::ColumnNotFound("x".into())).is_transient());
    }

    #[test]
    fn codes_are_sorted() {
        for code in ["08006", "53300", "57P01", "57P03", "40P01", "57014"] {
            assert!(is_transient_code(code), "{code}");
        }
        for code in ["23505", "42601", "22021", "57000"] {
            assert!(!is_transient_code(code), "{code}");
        }
    }
}
