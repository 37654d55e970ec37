//! What fields must be like. A rule's text goes after the field's name.

use devpocket_actors::environment::parse_bytes;

type Checked = Result<(), &'static str>;

const fn check(good: bool, why: &'static str) -> Checked {
    if good { Ok(()) } else { Err(why) }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Anything.
///
/// # Errors
/// Never.
pub const fn any(_: &str) -> Checked {
    Ok(())
}

/// Whether it looks like a mail address: one `@`, something before it, a domain behind it,
/// no blanks. Whether it is one only a mail to it can tell.
#[must_use]
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.ends_with('.')
            && !part.contains("..")
            && !part.chars().any(|c| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"@".contains(c))
    };
    length(text) <= 254 && length(local) <= 64 && plain(local) && plain(domain) && domain.contains('.')
}

/// A mail address.
///
/// # Errors
/// When it is none.
pub fn email(text: &str) -> Checked {
    check(is_email(text), "must be a valid email address")
}

/// A user name.
///
/// # Errors
/// When it is none.
pub fn username(text: &str) -> Checked {
    check((3..=30).contains(&text.len()), "must have 3 to 30 characters")?;
    check(text.bytes().all(is_name_byte), "may hold letters, digits, - and _ only")
}

/// A user name in a change of the profile, where longer ones are allowed.
///
/// # Errors
/// When it is none.
pub fn username_update(text: &str) -> Checked {
    check((3..=50).contains(&text.len()), "must have 3 to 50 characters")?;
    check(text.bytes().all(is_name_byte), "may hold letters, digits, - and _ only")
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// A full name. It is in mails: a new line in it would be one there, and an address a link.
///
/// # Errors
/// When it is empty or longer than 100 characters, or holds what no name does.
pub fn full_name(text: &str) -> Checked {
    check(!text.trim().is_empty(), "must have 1 to 100 characters")?;
    full_name_or_none(text)
}

/// A full name, or none: an empty text.
///
/// # Errors
/// When it is longer than 100 characters, or holds what no name does.
pub fn full_name_or_none(text: &str) -> Checked {
    check(length(text.trim()) <= 100, "must have 1 to 100 characters")?;
    check(
        !text.contains(char::is_control) && !text.contains("://"),
        "may hold no control characters and no links",
    )
}

/// What a password must have besides letters and digits.
const SPECIAL: &str = "!@#$%^&*()_+-=[]{};':\"\\|,.<>/?~`";

/// Beginnings that are guessed first.
const COMMON: &[&str] = &["password", "123456", "admin", "qwerty", "letmein"];

/// A new password.
///
/// # Errors
/// When it is too short, too long or too plain.
pub fn password(text: &str) -> Checked {
    password_without_special(text)?;
    check(text.contains(|c| SPECIAL.contains(c)), "must hold a special character")
}

/// A new password, where no special character is asked for.
///
/// # Errors
/// When it is too short, too long or too plain.
pub fn password_without_special(text: &str) -> Checked {
    let has = |what: fn(&char) -> bool| text.chars().any(|c| what(&c));
    check((8..=128).contains(&length(text)), "must have 8 to 128 characters")?;
    check(has(char::is_ascii_lowercase), "must hold a lower-case letter")?;
    check(has(char::is_ascii_uppercase), "must hold an upper-case letter")?;
    check(has(char::is_ascii_digit), "must hold a digit")?;
    let lower = text.to_lowercase();
    check(!COMMON.iter().any(|common| lower.starts_with(common)), "must not begin with a common password")
}

/// An `http` or `https` URL.
///
/// # Errors
/// When it is none.
pub fn url(text: &str) -> Checked {
    let good = text.len() <= 2_048
        && url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    check(good, "must be a valid URL")
}

/// The name of an environment or a template.
///
/// # Errors
/// When it is none.
pub fn name(text: &str) -> Checked {
    check((1..=50).contains(&text.len()), "must have 1 to 50 characters")?;
    check(text.bytes().all(is_name_byte), "may hold letters, digits, - and _ only")
}

/// What somebody calls a device.
///
/// # Errors
/// When it is empty, longer than 64 characters or no plain text.
pub fn device_name(text: &str) -> Checked {
    check((1..=64).contains(&length(text.trim())), "must have 1 to 64 characters")?;
    check(!text.chars().any(char::is_control), "must be plain text")
}

/// A description.
///
/// # Errors
/// When it is longer than 500 characters.
pub fn description(text: &str) -> Checked {
    check(length(text) <= 500, "must have at most 500 characters")
}

/// The name of a region or of who runs a cluster.
///
/// # Errors
/// When it is none.
pub fn place(text: &str) -> Checked {
    let plain = |byte: u8| is_name_byte(byte) || matches!(byte, b'.' | b' ');
    check((1..=50).contains(&text.trim().len()) && text.len() <= 50, "must have 1 to 50 characters")?;
    check(text.bytes().all(plain), "may hold letters, digits, blanks, ., - and _ only")
}

/// An amount of CPU: `2`, `500m`.
///
/// # Errors
/// When it is none.
pub fn cpu(text: &str) -> Checked {
    let digits = text.strip_suffix('m').unwrap_or(text);
    check(is_amount(digits), "must be digits with an optional m, such as 500m")
}

/// An amount of memory or storage: `512Mi`, `10G`.
///
/// # Errors
/// When it is none.
pub fn bytes(text: &str) -> Checked {
    let number = text.strip_suffix('i').unwrap_or(text).strip_suffix(['G', 'M', 'K']);
    check(number.is_some_and(is_amount), "must be digits with G, M or K and an optional i, such as 1Gi")
}

/// The least memory of an environment in bytes: its agent and one shell need so much.
const LEAST_MEMORY: u64 = 32 << 20;

/// An amount of memory in which an environment can start: `512Mi`, `1G`.
///
/// # Errors
/// When it is none, or less than [`LEAST_MEMORY`].
pub fn memory(text: &str) -> Checked {
    bytes(text)?;
    // What is too large to be read is not too little.
    check(parse_bytes("memory", text).map_or(true, |bytes| bytes >= LEAST_MEMORY), "must be at least 32Mi")
}

/// Digits that mean something and fit a number.
fn is_amount(digits: &str) -> bool {
    (1..=9).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && digits.bytes().any(|byte| byte != b'0')
}

/// The name of an environment variable.
#[must_use]
pub fn is_variable_name(text: &str) -> bool {
    (1..=256).contains(&text.len())
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The name of a terminal session.
///
/// # Errors
/// When it is none.
pub fn session_name(text: &str) -> Checked {
    check((1..=64).contains(&text.len()), "must have 1 to 64 characters")?;
    check(
        text.bytes().all(|byte| is_name_byte(byte) || byte == b'.'),
        "may hold letters, digits, -, _ and . only",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords() {
        assert!(password("Str0ng!pass").is_ok());
        for weak in
            ["Sh0r!t", "nouppercase1!", "NOLOWER1!", "NoDigits!", "NoSpecial1", "Password1!", "aDmin123!X"]
        {
            assert!(password(weak).is_err(), "{weak}");
        }
    }

    #[test]
    fn emails() {
        assert!(is_email("ann.b+c@example.org"));
        for bad in ["", "ann", "@b.c", "a@b", "a@@b.c", "a b@c.d", "a@b..c", "a@.b.c", "a@b.c>\r\nBcc: x@y.z"]
        {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn amounts() {
        assert!(cpu("500m").is_ok() && cpu("2").is_ok());
        assert!(cpu("m").is_err() && cpu("-1").is_err() && cpu("1.5").is_err() && cpu("0").is_err());
        assert!(bytes("1Gi").is_ok() && bytes("512M").is_ok());
        assert!(memory("32Mi").is_ok() && memory("31Mi").is_err() && memory("999999999Gi").is_ok(),);
        assert!(
            bytes("1").is_err() && bytes("Gi").is_err() && bytes("1Ti").is_err() && bytes("0Gi").is_err()
        );
    }
}
