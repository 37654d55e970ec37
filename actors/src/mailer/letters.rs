//! What is written to people. The texts are files in `templates/mail`, part of the binary.

use super::Mail;
use crate::persistence::users::User;

/// The longest name that is repeated in a mail, in characters.
const NAME: usize = 60;

/// A text and the same as HTML, with `{name}` marks.
#[derive(Debug, Clone, Copy)]
pub struct Template {
    /// What it is for, in a word for the log.
    pub kind: &'static str,
    /// What it is about.
    pub subject: &'static str,
    /// For people who read text.
    pub text: &'static str,
    /// The same as HTML.
    pub html: &'static str,
}

macro_rules! template {
    ($name:literal, $subject:literal) => {
        Template {
            kind: $name,
            subject: $subject,
            text: include_str!(concat!("../../../templates/mail/", $name, ".txt")),
            html: include_str!(concat!("../../../templates/mail/", $name, ".html")),
        }
    };
}

/// Link and code that prove an address: `link`, `code`.
pub const VERIFY_EMAIL: Template = template!("verify-email", "Verify your email address for DevPocket");
/// Link and code that let somebody set a new password: `link`, `code`.
pub const RESET_PASSWORD: Template = template!("reset-password", "Set a new password for DevPocket");
/// The address is verified: `link`.
pub const WELCOME: Template = template!("welcome", "Welcome to DevPocket");
/// Something became of an environment: `environment`, `what`, `why`, `link`.
pub const ENVIRONMENT: Template = template!("environment", "{environment} {what}");

/// A mail to somebody. Values are put in as they are into the text, escaped into the HTML; `name` is
/// what to call the person.
#[must_use]
pub fn write(template: &Template, to: &User, values: &[(&str, &str)]) -> Mail {
    let name = name_of(to);
    let values: Vec<(&str, &str)> = values.iter().copied().chain([("name", name.as_str())]).collect();
    Mail {
        to: to.email.clone(),
        subject: one_line(&fill(template.subject, &values, str::to_owned)),
        text: fill(template.text, &values, str::to_owned),
        html: Some(fill(template.html, &values, escaped)),
        kind: template.kind.to_owned(),
    }
}

/// What to call somebody. Anybody can register with anybody's address, and a name of their choice:
/// it must not become a message of its own, so what reads like a link or is long is not repeated.
fn name_of(user: &User) -> String {
    let name = one_line(&user.full_name);
    // What has a dot inside of a word is taken for a host by those who show mails: `J.R.` is not.
    let host = |word: &str| {
        let end = word.trim_end_matches('.').rsplit_once('.');
        end.is_some_and(|(_, last)| last.chars().count() > 1)
    };
    let links = name.contains(['/', '@', ':']) || name.split(' ').any(host);
    let fits = !name.is_empty() && name.chars().count() <= NAME;
    if fits && !links { name } else { user.username.clone() }
}

/// No line breaks, no other control characters.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
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
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::persistence::{Plan, Role};

    fn user(full_name: &str) -> User {
        let now = Utc::now();
        User {
            id: "u".into(),
            email: "ann@example.org".into(),
            username: "ann".into(),
            full_name: full_name.into(),
            password: None,
            avatar_url: None,
            preferred_region: None,
            is_active: true,
            is_verified: true,
            email_verified_at: None,
            subscription_plan: Plan::Free,
            role: Role::User,
            google_id: None,
            failed_login_attempts: 0,
            account_locked_until: None,
            last_login_at: None,
            last_seen_at: None,
            created_at: now,
            updated_at: now,
        }
    }

    #[test]
    fn values_are_filled_once_and_escaped() {
        let values = [("name", "{code} <b>'\""), ("code", "123456")];
        assert_eq!(
            fill("Hi {name}: {code} {x}", &values, escaped),
            "Hi {code} &lt;b&gt;&#39;&quot;: 123456 {x}"
        );
    }

    #[test]
    fn a_name_is_no_message_of_its_own() {
        let long = "x".repeat(61);
        let links = ["http://evil.example", "go to www.evil.example", "evil.example/x", "evil.example."];
        for bad in links.into_iter().chain(["me@localhost", "mailto:x", "", &long]) {
            assert_eq!(name_of(&user(bad)), "ann", "{bad}");
        }
        assert_eq!(name_of(&user("Ann\r\nBcc\n\nO'Hara")), "Ann Bcc O'Hara");
        for good in ["Dr. Ann", "J.R. Doe", "Ann..."] {
            assert_eq!(name_of(&user(good)), good);
        }
    }

    #[test]
    fn every_mark_of_every_template_is_filled() {
        let values = [
            ("link", "https://x.example/?a=1&b=2"),
            ("code", "123456"),
            ("environment", "box"),
            ("what", "has failed"),
            ("why", "line\r\nbreak <script>"),
        ];
        for template in [VERIFY_EMAIL, RESET_PASSWORD, WELCOME, ENVIRONMENT] {
            let mail = write(&template, &user("<b>Ann"), &values);
            let html = mail.html.unwrap();
            assert!(!mail.text.contains('{') && !html.contains('{'), "{}", template.kind);
            assert!(mail.text.contains("https://x.example/?a=1&b=2"), "{}", mail.text);
            assert!(html.contains("https://x.example/?a=1&amp;b=2"), "{html}");
            assert!(!html.contains("<b>Ann") && !html.contains("<script>"), "{html}");
            assert!(!mail.subject.contains(['\r', '\n', '{']), "{}", mail.subject);
        }
    }
}
