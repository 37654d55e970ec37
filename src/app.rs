//! What every handler works with.

use std::sync::Arc;

use devpocket_actors::System;
use tokio::sync::watch;

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
    /// Whether the process is to end.
    ending: watch::Sender<bool>,
}

impl App {
    /// Fresh state over a running system. To be called on a Tokio runtime.
    #[must_use]
    pub fn new(config: Config, system: System) -> Self {
        let auth = AuthState::new(&config);
        let limits = RateLimits::new(&config.limits);
        let (sockets, ending) = (Sockets::default(), watch::Sender::new(false));
        let observer = Observer::start(system.clone(), sockets.clone());
        Self { inner: Arc::new(Inner { system, config, auth, limits, sockets, observer, ending }) }
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

    /// Asks whoever runs this server to end it in good order, as a signal does. False: it was
    /// asked for before.
    #[must_use]
    pub fn ask_to_end(&self) -> bool {
        !self.inner.ending.send_replace(true)
    }

    /// Waits until somebody asked for the end.
    pub async fn asked_to_end(&self) {
        // The sender lives in this very value.
        let _ = self.inner.ending.subscribe().wait_for(|ending| *ending).await;
    }
}
