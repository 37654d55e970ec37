//! The socket: one task per channel.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::agent::Agent;
use crate::channel;

/// How many channels may be open at the same time, those of all sessions together.
const CHANNELS: usize = 512;

/// How long to wait when a connection can't be accepted (no descriptors left).
const BACK_OFF: Duration = Duration::from_millis(50);

/// Accepts channels for ever.
pub(crate) async fn serve(agent: Rc<Agent>, listener: UnixListener) {
    let places = Arc::new(Semaphore::new(CHANNELS));
    // The semaphore is never closed, so this never ends.
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let agent = agent.clone();
                tokio::task::spawn_local(async move {
                    channel::serve(&agent, stream).await;
                    drop(place);
                });
            }
            Err(_) => sleep(BACK_OFF).await,
        }
    }
}
