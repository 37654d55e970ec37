//! Users: one actor each, made when somebody needs it.
//!
//! A user's actor owns the actors of the user's environments. It is made on demand and stops when
//! it has had none for a while; everything it needs is in Postgres.

mod actor;
mod events;
mod presence;
mod users;

pub use actor::{User, UserArgs, UserMessage};
pub use events::{Events, Happening, Listener, Missed, UserEvent};
pub use presence::{Admission, Presence};
pub use users::{Users, UsersMessage};
