//! What an operator sees of the supervision tree: pure views onto one
//! [`snapshot`](crate::supervision::Registry::snapshot) of all actors.
//!
//! * [`Tree`]: actors in order, folded and unfolded, searched, by the page.
//! * [`Census`]: how many there are of which kind, in which state.
//! * [`Meter`]: from counters to rates.
//! * [`Process`]: what this process costs.

mod census;
mod meter;
mod process;
mod tree;

pub use self::census::Census;
pub use self::meter::{Meter, Rates};
pub use self::process::Process;
pub use self::tree::{Below, Fold, Only, Row, Rows, Tree};
