//! Durations as people write them.

use std::time::Duration;

/// Milliseconds in what a bare number counts.
pub(super) const MILLISECONDS: u64 = 1;
/// The same.
pub(super) const SECONDS: u64 = 1_000;

/// `90`, `250ms`, `30s`, `15m`, `1h`, `7d`, `2w`. `bare` is the unit of a bare number, in
/// milliseconds.
pub(super) fn duration(text: &str, bare: u64) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" => bare,
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit).map(Duration::from_millis)
}

/// The words people use for yes and no.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("7d", SECONDS), Some(Duration::from_secs(604_800)));
        assert_eq!(duration("90", SECONDS), Some(Duration::from_secs(90)));
        assert_eq!(duration("900000", MILLISECONDS), Some(Duration::from_secs(900)));
        assert_eq!(duration("250 ms", SECONDS), Some(Duration::from_millis(250)));
        for bad in ["", "h", "-1h", "1.5h", "1y", "99999999999999999999d"] {
            assert_eq!(duration(bad, SECONDS), None, "{bad}");
        }
    }

    #[test]
    fn false_is_not_true() {
        assert_eq!(boolean("False"), Some(false));
        assert_eq!(boolean("on"), Some(true));
        assert_eq!(boolean("maybe"), None);
    }
}
