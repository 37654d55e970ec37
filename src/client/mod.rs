//! The client side: what `devpocket connect`, the tests and the benchmark speak to a server with.
//!
//! * [`Rest`] asks the HTTP interface for what comes before a terminal: tokens, templates,
//!   environments, tickets.
//! * [`TerminalClient`] is one terminal session that survives its connections.
//! * [`resume`] is what the latter knows and decides, as values: it does no I/O.

mod backoff;
mod error;
mod heartbeat;
mod model;
mod net;
mod options;
mod rest;
pub mod resume;
mod socket;
mod terminal;
mod url;

pub use backoff::Backoff;
pub use error::{ClientError, Refusal};
pub use heartbeat::{Beat, Heartbeat};
pub use model::{Environment, NewEnvironment, Template, Tokens, User};
pub(crate) use net::dial;
pub use net::{BoxedIo, Io};
pub use options::{AuthSource, Event, Options};
pub use rest::Rest;
pub use socket::{Auth, Wrap};
pub use terminal::TerminalClient;
pub use url::ServerUrl;
