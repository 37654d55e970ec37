//! The mails of accounts. Their texts are files in `templates/mail`, part of the binary.

use devpocket_actors::mailer::Mail;
use devpocket_actors::persistence::users::User;

use crate::config::Config;

/// Link and code that prove an address.
#[must_use]
pub fn verify_email(config: &Config, user: &User, token: &str, code: &str) -> Mail {
    let link = format!("{}/verify-email?token={token}", config.web.frontend_url);
    mail(
        user,
        "Verify your email address for DevPocket",
        "verify-email",
        include_str!("../../templates/mail/verify-email.txt"),
        include_str!("../../templates/mail/verify-email.html"),
        &[("name", &user.full_name), ("link", &link), ("code", code)],
    )
}

/// Link and code that let somebody set a new password.
#[must_use]
pub fn reset_password(config: &Config, user: &User, token: &str, code: &str) -> Mail {
    let link = format!("{}/reset-password?token={token}", config.web.frontend_url);
    mail(
        user,
        "Set a new password for DevPocket",
        "reset-password",
        include_str!("../../templates/mail/reset-password.txt"),
        include_str!("../../templates/mail/reset-password.html"),
        &[("name", &user.full_name), ("link", &link), ("code", code)],
    )
}

fn mail(
    user: &User,
    subject: &str,
    kind: &'static str,
    text: &str,
    html: &str,
    values: &[(&str, &str)],
) -> Mail {
    Mail {
        to: user.email.clone(),
        subject: subject.to_owned(),
        text: fill(text, values, str::to_owned),
        html: Some(fill(html, values, escaped)),
        kind,
    }
}

/// Puts the values in for `{name}` marks, in one pass, so that a value is never filled in itself.
fn fill(template: &str, values: &[(&str, &str)], escape: fn(&str) -> String) -> String {
    let mut filled = String::with_capacity(template.len() + 256);
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let (before, mark) = rest.split_at(start);
        filled.push_str(before);
        let hit = values.iter().find_map(|(name, value)| {
            let after = mark[1..].strip_prefix(name)?.strip_prefix('}')?;
            Some((value, after))
        });
        if let Some((value, after)) = hit {
            filled.push_str(&escape(value));
            rest = after;
        } else {
            filled.push('{');
            rest = &mark[1..];
        }
    }
    filled.push_str(rest);
    filled
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_filled_once_and_escaped() {
        let values = [("name", "{code} <b>"), ("code", "123456")];
        assert_eq!(fill("Hi {name}: {code} {x}", &values, escaped), "Hi {code} &lt;b&gt;: 123456 {x}");
    }
}
