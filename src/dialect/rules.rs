//! Where the dialects differ in behaviour.

use axum::http::StatusCode;

use super::Dialect;

/// The table: a line for each difference, first what camel does, then what snake does.
macro_rules! differences {
    ($($(#[$doc:meta])* $name:ident: $kind:ty = $camel:expr, $snake:expr;)+) => {
        /// How one dialect behaves, where the two differ.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Rules {
            $($(#[$doc])* pub $name: $kind,)+
        }

        const CAMEL: Rules = Rules { $($name: $camel,)+ };
        const SNAKE: Rules = Rules { $($name: $snake,)+ };
    };
}

differences! {
    /// The status for fields that can't be used.
    invalid: StatusCode = StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY;
    /// The status for a link or a code that is not good (any more).
    bad_proof: StatusCode = StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST;
    /// Whether a person may sign in before the address is verified. Environments need a
    /// verified one in both.
    unverified_may_sign_in: bool = false, true;
    /// Whether registering needs a full name. Without one it is the user name.
    needs_full_name: bool = true, false;
    /// Whether a new password needs a special character. The app does not ask for one.
    needs_special_character: bool = true, false;
    /// Whether deleting an account needs its password. The app sends none: there the
    /// sign-in must be a fresh one instead.
    deleting_needs_password: bool = true, false;
    /// Whether a running environment may be deleted. It is stopped first.
    deletes_running: bool = false, true;
    /// Whether an update replaces all variables of an environment. If not, it changes those
    /// it names, and removes those it sets to null.
    replaces_variables: bool = false, true;
    /// Whether templates on trial are listed with the active ones.
    lists_beta: bool = false, true;
    /// Whether people who are no administrators see the clusters that they may use. The app shows
    /// them.
    shows_clusters_to_all: bool = false, true;
    /// The status for removing a cluster that has environments.
    cluster_in_use: StatusCode = StatusCode::CONFLICT, StatusCode::BAD_REQUEST;
}

impl Rules {
    /// The rules of a dialect.
    #[must_use]
    pub const fn of(dialect: Dialect) -> &'static Self {
        match dialect {
            Dialect::Camel => &CAMEL,
            Dialect::Snake => &SNAKE,
        }
    }
}
