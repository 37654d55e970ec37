//! What every handler works with.

use std::sync::Arc;

use devpocket_actors::System;

use crate::admin::Observer;
use crate::auth::AuthState;
use crate::config::Config;
use crate::http::layers::limits::RateLimits;
use crate::ws::Sockets;

/// The system behind the edge, and the edge's own bounded state. Cheap to clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    system: System,
    config: Config,
    auth: AuthState,
    limits: RateLimits,
    sockets: Sockets,
    observer: Observer,
}

impl App {
    /// Fresh state over a running system. To be called on a Tokio runtime.
    #[must_use]
    pub fn new(config: Config, system: System) -> Self {
        let auth = AuthState::new(&config);
        let limits = RateLimits::new(&config.limits);
        let sockets = Sockets::default();
        let observer = Observer::start(system.clone(), sockets.clone());
        Self { inner: Arc::new(Inner { system, config, auth, limits, sockets, observer }) }
    }

    /// The system.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.inner.system
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Tokens, tickets, passwords.
    #[must_use]
    pub fn auth(&self) -> &AuthState {
        &self.inner.auth
    }

    /// The live WebSockets.
    #[must_use]
    pub fn sockets(&self) -> &Sockets {
        &self.inner.sockets
    }

    /// Looks at all of it, for operators.
    #[must_use]
    pub fn observer(&self) -> &Observer {
        &self.inner.observer
    }

    /// Rate limits.
    #[must_use]
    pub fn limits(&self) -> &RateLimits {
        &self.inner.limits
    }
}
