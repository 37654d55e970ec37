//! What every handler works with.

use std::sync::Arc;

use devpocket_actors::System;

use crate::auth::AuthState;
use crate::config::Config;
use crate::http::layers::limits::RateLimits;

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
}

impl App {
    /// Fresh state over a running system.
    #[must_use]
    pub fn new(config: Config, system: System) -> Self {
        let auth = AuthState::new(&config);
        let limits = RateLimits::new(&config.limits);
        Self { inner: Arc::new(Inner { system, config, auth, limits }) }
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

    /// Rate limits.
    #[must_use]
    pub fn limits(&self) -> &RateLimits {
        &self.inner.limits
    }
}
