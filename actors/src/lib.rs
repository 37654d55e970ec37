//! The supervision tree of DevPocket Server: users, environments, terminals, the runtimes they
//! run on and the persistence behind them.
//!
//! ```text
//! root
//! ├─ persistence          recorder, persistence: the one writer to Postgres
//! ├─ mailer               mailer
//! ├─ clusters             cluster
//! │   └─ cluster:{id}
//! └─ users                user
//!     └─ user:{id}
//!         └─ environment:{id}   environment
//!             └─ terminal:{id}  terminal
//! ```
//!
//! [`System`] starts the tree and is what the edge asks. What actors have in common is in
//! [`supervision`]; where environments run is in [`runtime`].

#![forbid(unsafe_code)]

pub mod cluster;
pub mod environment;
pub mod import;
pub mod mailer;
pub mod observation;
pub mod persistence;
pub mod plans;
mod recorder;
mod root;
pub mod runtime;
pub mod supervision;
mod system;
pub mod templates;
pub mod terminal;
pub mod user;

pub use cluster::{GivenCluster, LOCAL_CLUSTER};
pub use system::{
    ClusterError, Ended, NewCluster, NewKubeconfig, Opened, StartError, System, SystemSettings,
};
