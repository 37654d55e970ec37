//! Ids: 25 characters, lower case, beginning with a letter.
//!
//! The shape is that of the ids existing installations hold, and it may stand anywhere in a
//! Kubernetes name. They are made by the writer and not by the database, so a row's id is
//! known before the row is written and a repeated write can be recognised.

use rand::RngExt as _;

/// Characters of an id. 24 free ones of 36 are 124 bits: more than a random UUID has.
pub const ID_LENGTH: usize = 25;

const LETTERS: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A new id from the thread's cryptographic generator.
#[must_use]
pub fn new_id() -> String {
    let mut rng = rand::rng();
    let mut id = String::with_capacity(ID_LENGTH);
    id.push(char::from(LETTERS[rng.random_range(0..LETTERS.len())]));
    for _ in 1..ID_LENGTH {
        id.push(char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_shape_and_differ() {
        let ids: std::collections::HashSet<String> = (0..1000).map(|_| new_id()).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            assert_eq!(id.len(), ID_LENGTH);
            assert!(id.starts_with(|c: char| c.is_ascii_lowercase()));
            assert!(id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
        }
    }
}
