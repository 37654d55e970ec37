//! Who an environment's programs are, as the machine sees them.

use std::fs;

use rustix::process::geteuid;

use super::RuntimeError;

/// The user's name inside, and the number that an ordinary user is shown as.
pub(super) const USER: &str = "dev";
pub(super) const USER_ID: u32 = 1000;

/// Numbers for environments' users when the server is root: a range that no distribution or
/// container manager hands out, and one for where only the first 65,536 numbers exist.
const USERS: (u32, u32) = (1_900_000_000, 200_000_000);
const FEW_USERS: (u32, u32) = (20_000, 40_000);

/// Who an environment's programs are, as the machine sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// The server's own user.
    Own,
    /// A user of the environment's own; only root can do that.
    Separate(u32),
}

impl Identity {
    /// The identity of environment `id`: the same at each start.
    pub fn of(id: &str) -> Result<Self, RuntimeError> {
        if !geteuid().is_root() {
            return Ok(Self::Own);
        }
        let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let Some((first, count)) = [USERS, FEW_USERS].into_iter().find(|range| is_mapped(&map, *range))
        else {
            return Err(RuntimeError::Rejected(
                "root of this container has too few user ids (65,536 are needed): run the server as an \
                 ordinary user"
                    .to_owned(),
            ));
        };
        // FNV-1a: the number must be the same for every version of the server.
        let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Ok(Self::Separate(first + (hash % u64::from(count)) as u32))
    }

    /// The user's number inside.
    pub fn inside(self) -> u32 {
        match self {
            Self::Own => USER_ID,
            Self::Separate(uid) => uid,
        }
    }
}

/// Whether `map` (as in `/proc/self/uid_map`) holds all of a range.
fn is_mapped(map: &str, (first, count): (u32, u32)) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_ascii_whitespace().map_while(|field| field.parse::<u64>().ok());
        let (Some(from), Some(_), Some(size)) = (numbers.next(), numbers.next(), numbers.next()) else {
            return false;
        };
        from <= u64::from(first) && u64::from(first) + u64::from(count) <= from + size
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_number_is_stable_and_in_range() {
        assert!(is_mapped("         0          0 4294967295\n", USERS));
        assert!(!is_mapped("0 100000 65536\n", USERS));
        assert!(is_mapped("0 100000 65536\n", FEW_USERS));
        assert!(!is_mapped("0 1000 1\n", FEW_USERS));
        assert!(!is_mapped("", FEW_USERS));
        if geteuid().is_root() {
            let Identity::Separate(uid) = Identity::of("abc").unwrap() else { panic!("root is separate") };
            assert_eq!(Identity::of("abc").unwrap(), Identity::Separate(uid));
            assert_ne!(Identity::of("abd").unwrap(), Identity::Separate(uid));
        }
    }
}
