//! Whose size a session has, when several clients look at it.

use devpocket_protocol::Size;

/// Whose size a session takes. Viewers never count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SizePolicy {
    /// That of the client that last typed or changed its size.
    #[default]
    Latest,
    /// The smallest columns and the smallest rows of all.
    Smallest,
    /// The largest columns and the largest rows of all.
    Largest,
    /// It stays as it is.
    Manual,
}

/// A client that counts.
#[derive(Debug, Clone, Copy)]
pub struct Sizer {
    /// Which one, as the caller numbers them.
    pub client: u64,
    /// Its size.
    pub size: Size,
    /// Larger for the one that was active later; 0 when it never was.
    pub active: u64,
}

impl SizePolicy {
    /// The size that a session shall have, and the client it is from where it is from one;
    /// `None` leaves it as it is.
    #[must_use]
    pub fn decide(self, sizers: &[Sizer]) -> Option<(Size, Option<u64>)> {
        let sides = || sizers.iter().map(|sizer| (sizer.size.cols(), sizer.size.rows()));
        match self {
            Self::Manual => None,
            Self::Latest => {
                let latest = sizers.iter().max_by_key(|sizer| (sizer.active, sizer.client))?;
                Some((latest.size, Some(latest.client)))
            }
            Self::Smallest => {
                let (cols, rows) = sides().reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)))?;
                Some((Size::new(cols, rows).ok()?, None))
            }
            Self::Largest => {
                let (cols, rows) = sides().reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))?;
                Some((Size::new(cols, rows).ok()?, None))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizer(client: u64, cols: u16, rows: u16, active: u64) -> Sizer {
        Sizer { client, size: Size::new(cols, rows).unwrap(), active }
    }

    #[test]
    fn each_policy_picks_its_size() {
        let phone = sizer(1, 40, 60, 9);
        let laptop = sizer(2, 120, 30, 5);
        let both = [phone, laptop];
        let of = |cols, rows| Size::new(cols, rows).unwrap();
        assert_eq!(SizePolicy::Latest.decide(&both), Some((phone.size, Some(1))));
        assert_eq!(SizePolicy::Smallest.decide(&both), Some((of(40, 30), None)));
        assert_eq!(SizePolicy::Largest.decide(&both), Some((of(120, 60), None)));
        assert_eq!(SizePolicy::Manual.decide(&both), None);
        assert_eq!(SizePolicy::Latest.decide(&[]), None);
    }

    #[test]
    fn among_clients_that_never_typed_the_newest_counts() {
        let both = [sizer(1, 80, 24, 0), sizer(2, 100, 40, 0)];
        assert_eq!(SizePolicy::Latest.decide(&both).unwrap().1, Some(2));
    }
}
