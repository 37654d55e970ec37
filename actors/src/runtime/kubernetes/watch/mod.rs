//! The cluster's one watch: of pods by label, and of warnings.
//!
//! What is seen is kept in [`Seen`], which outlives a watch that had to be begun anew.
//!
//! A watch that breaks is taken up again where it was, by itself, with pauses of up to
//! [`LONGEST_PAUSE`]; one that can't be taken up begins with a new listing. Only when nothing
//! has worked for [`PATIENCE`] does [`follow`] give up and leave it to its caller.

use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{Event as Incident, Pod};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Client};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::error::explain;
use super::{KubernetesConfig, names};
use crate::runtime::RuntimeError;

mod entry;
mod incident;
mod seen;

pub(super) use entry::Presence;
pub(super) use seen::Seen;

/// How long the API server lets one watch request run. Nothing heard for this long and 5 s
/// more, and the connection counts as dead: that bounds how long a connection that was cut
/// silently goes unnoticed.
const WATCH_SECONDS: u32 = 90;

/// The pauses between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Warnings only explain; who may not list them is not asked every five seconds.
const LONGEST_PAUSE_OF_WARNINGS: Duration = Duration::from_secs(60);

/// How long nothing may work before [`follow`] gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Without an error for so long, a watch counts as working again: a quiet one tells nothing.
const CALM: Duration = Duration::from_secs(20);

/// How often environments are looked at for which time alone can change the judgement.
const TICK: Duration = Duration::from_secs(1);

/// Watches until that has not been possible for [`PATIENCE`]; returns why.
pub(super) async fn follow(client: &Client, config: &KubernetesConfig, seen: &Seen) -> RuntimeError {
    let _following = seen.following();
    let selected = Config::default().labels(&names::selector(config)).timeout(WATCH_SECONDS);
    let pods = watcher(Api::<Pod>::all(client.clone()), selected).backoff(Pauses::new(LONGEST_PAUSE));
    let warnings = Config::default().fields("type=Warning").timeout(WATCH_SECONDS);
    let warnings = watcher(Api::<Incident>::all(client.clone()), warnings)
        .backoff(Pauses::new(LONGEST_PAUSE_OF_WARNINGS));
    let (mut pods, mut warnings) = (pin!(pods), pin!(warnings));
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut listing = Listing::default();
    let (mut health, mut health_of_warnings) =
        (Health::new(LONGEST_PAUSE), Health::new(LONGEST_PAUSE_OF_WARNINGS));
    loop {
        tokio::select! {
            event = pods.next() => match event {
                Some(Ok(event)) => {
                    // The beginning of a listing is told before anything was asked.
                    if !matches!(event, Event::Init) {
                        health.works("pods");
                    }
                    listing.take(seen, event);
                }
                Some(Err(error)) => {
                    let error = describe(&error);
                    seen.failed(error.clone());
                    if health.fails("pods", &error) >= PATIENCE {
                        return error;
                    }
                }
                None => return RuntimeError::Unavailable("The watch of the cluster ended.".to_owned()),
            },
            event = warnings.next() => match event {
                Some(Ok(Event::Apply(incident) | Event::InitApply(incident))) => {
                    health_of_warnings.works("warnings");
                    seen.warned(&incident);
                }
                Some(Ok(_)) | None => {}
                Some(Err(error)) => {
                    health_of_warnings.fails("warnings", &describe(&error));
                }
            },
            _ = tick.tick() => {
                seen.tick();
                if listing.silent_for() >= PATIENCE {
                    return RuntimeError::Unavailable("The cluster does not answer.".to_owned());
                }
            }
        }
    }
}

fn describe(error: &watcher::Error) -> RuntimeError {
    const DOING: &str = "Watching the cluster";
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => explain(DOING, error),
        watcher::Error::WatchError(status) => explain(DOING, &kube::Error::Api(status.clone())),
        watcher::Error::NoResourceVersion => {
            RuntimeError::Unavailable(format!("{DOING}: its answer makes no sense"))
        }
    }
}

/// A listing of all pods that is under way: what it does not name is gone.
#[derive(Default)]
struct Listing {
    named: HashSet<String>,
    heard: Option<Instant>,
}

impl Listing {
    fn take(&mut self, seen: &Seen, event: Event<Pod>) {
        match event {
            Event::Init => {
                self.named.clear();
                self.heard.get_or_insert_with(Instant::now);
            }
            Event::InitApply(pod) => {
                self.heard = Some(Instant::now());
                self.named.extend(seen.applied(pod));
            }
            Event::InitDone => {
                self.heard = None;
                seen.listed(&std::mem::take(&mut self.named));
            }
            Event::Apply(pod) => drop(seen.applied(pod)),
            Event::Delete(pod) => seen.deleted(&pod),
        }
    }

    /// How long a listing that was begun has told nothing.
    fn silent_for(&self) -> Duration {
        self.heard.map_or(Duration::ZERO, |heard| heard.elapsed())
    }
}

/// Whether a watch works: one line in the log when it stops to, and one when it does again.
struct Health {
    calm: Duration,
    failing: Option<(Instant, Instant)>,
}

impl Health {
    /// Of something that is tried again after at most `pause`.
    fn new(pause: Duration) -> Self {
        Self { calm: pause * 2 + CALM, failing: None }
    }

    fn works(&mut self, what: &str) {
        if let Some((since, _)) = self.failing.take() {
            tracing::info!(what, after = ?since.elapsed(), "the cluster is watched again");
        }
    }

    /// Returns for how long it has failed.
    fn fails(&mut self, what: &str, error: &RuntimeError) -> Duration {
        let now = Instant::now();
        let since = match self.failing {
            Some((since, last)) if last.elapsed() < self.calm => since,
            _ => {
                tracing::warn!(what, %error, "the cluster can't be watched; that is tried again");
                now
            }
        };
        self.failing = Some((since, now));
        now.duration_since(since)
    }
}

/// Growing pauses, which begin anew after a while without a failure. A watcher counts the
/// beginning of a listing as a success, so its own resets mean nothing.
struct Pauses {
    next: Duration,
    longest: Duration,
    last: Instant,
}

impl Pauses {
    fn new(longest: Duration) -> Self {
        Self { next: FIRST_PAUSE, longest, last: Instant::now() }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.last.elapsed() > self.longest + CALM {
            self.next = FIRST_PAUSE;
        }
        self.last = Instant::now();
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        // Servers that lost the same cluster don't come back at the same moment.
        Some(pause.mul_f64(rand::random_range(0.8..1.2)))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests;
