//! The mails of accounts.

use devpocket_actors::mailer::Mail;
use devpocket_actors::mailer::letters::{self, RESET_PASSWORD, VERIFY_EMAIL, WELCOME};
use devpocket_actors::persistence::users::User;

use crate::config::Config;

/// Link and code that prove an address.
#[must_use]
pub fn verify_email(config: &Config, user: &User, token: &str, code: &str) -> Mail {
    let link = format!("{}/verify-email?token={token}", config.web.frontend_url);
    letters::write(&VERIFY_EMAIL, user, &[("link", &link), ("code", code)])
}

/// Link and code that let somebody set a new password.
#[must_use]
pub fn reset_password(config: &Config, user: &User, token: &str, code: &str) -> Mail {
    let link = format!("{}/reset-password?token={token}", config.web.frontend_url);
    letters::write(&RESET_PASSWORD, user, &[("link", &link), ("code", code)])
}

/// What somebody can do who has just verified their address.
#[must_use]
pub fn welcome(config: &Config, user: &User) -> Mail {
    letters::write(&WELCOME, user, &[("link", &config.web.frontend_url)])
}
