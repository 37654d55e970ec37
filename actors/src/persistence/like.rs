//! Patterns for `LIKE` in which nothing of the text is special.

/// What is that text.
pub(super) fn exactly(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// What begins with the text.
pub(super) fn beginning(text: &str) -> String {
    format!("{}%", exactly(text))
}

/// What holds the text.
pub(super) fn containing(text: &str) -> String {
    format!("%{}%", exactly(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_special() {
        assert_eq!(containing(r"50%_\x"), r"%50\%\_\\x%");
        assert_eq!((exactly("a_b"), beginning("admin.")), (r"a\_b".to_owned(), "admin.%".to_owned()));
    }
}
