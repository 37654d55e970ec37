//! Supervision: a thin layer over ractor that the rest of the crate is written against.
//!
//! ractor gives mailboxes, links and exit events. What it leaves to its users is here, once:
//!
//! * [`actor`]: [`Behavior`], what an actor of ours is. Its handlers are plain functions, so a
//!   handler *can't* wait for I/O: that lives in tasks owned by [`TaskGuard`]s.
//! * [`addr`]: [`Addr`], an address that stays valid when the actor is restarted.
//! * [`policy`]: when a failed child is started again, and when no more.
//! * [`supervisor`]: the children of one actor under one policy.
//! * [`registry`]: every actor by its path, for look-ups and for introspection.
//! * [`journal`]: who failed, and what was decided about it.
//! * [`watchdog`]: finds actors whose handler does not return.
//!
//! Guarantees: messages from one sender arrive in order; a message that was queued or being
//! handled when the actor failed is lost, and its caller gets [`CallError::Down`] at once; a child
//! never outlives its parent.

pub mod actor;
pub mod addr;
mod fault;
pub mod journal;
pub mod policy;
mod probe;
pub mod registry;
#[cfg(feature = "chaos")]
mod simulated;
pub mod supervisor;
mod task;
pub mod watchdog;

pub use actor::{Behavior, ChildExit, Context, Failure, RestartDue, spawn_root};
pub use addr::{Addr, CallError, Down, Reply};
pub use journal::{Journal, SupervisionEvent, What};
pub use policy::RestartPolicy;
pub use registry::{ActorPath, ActorSnapshot, Gauges, Kind, LastFailure, Registry, RestartRefused};
pub use supervisor::{Outcome, Supervisor};
pub use task::TaskGuard;
