//! What operators see of the server while it runs.
//!
//! [`Observer`] looks at the whole server, as often as somebody wants to see it and every ten
//! seconds for the charts of the last hour; all who look share one [`Look`]. A [`Screen`] is one
//! dashboard: what it shows of a look, and what of that its client does not know yet. The routes
//! are in `http/routes/admin`, the socket is `ws/admin`.

mod observer;
mod patch;
mod screen;

pub use observer::{Hour, Look, Observer};
pub use screen::{Screen, Wish};
