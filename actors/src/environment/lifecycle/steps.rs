//! Steps towards what is wanted: one at a time, tried again after a pause.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio::time::{Instant, sleep, timeout};

use super::{Lifecycle, LifecycleNews, tell};
use crate::environment::reconcile::Step;
use crate::environment::spec::spec_of;
use crate::persistence::EnvironmentStatus;
use crate::persistence::environments::MarkTerminated;
use crate::runtime::{CALL_LIMIT, Observed, RuntimeError};
use crate::supervision::{RestartPolicy, TaskGuard};

/// How often an environment that keeps going away is started again, before it is left for a
/// person to look at.
const STARTS: RestartPolicy = RestartPolicy {
    first_pause: Duration::ZERO,
    longest_pause: Duration::from_secs(30),
    jitter: 0.2,
    max_restarts: 6,
    window: Duration::from_secs(120),
};

/// The pauses before a step that failed is tried again.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long the watch may take to tell what came of a start.
const SETTLE: Duration = Duration::from_secs(30);

/// What the lifecycle waits for before it takes another step.
pub(super) struct UnderWay {
    what: Waiting,
    _task: TaskGuard,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// A step is being taken.
    Step(Step),
    /// A pause: before a failed step is tried again, or for the watch to tell what came of one.
    Pause,
    /// The row of a deleted environment is being marked.
    Mark,
}

impl Lifecycle {
    pub(super) fn waits_for(&self, what: Waiting) -> bool {
        self.under_way.as_ref().is_some_and(|under_way| under_way.what == what)
    }

    pub(super) fn take(&mut self, step: Step) {
        if step == Step::Ensure && !self.starts.is_calm(&STARTS, Instant::now()) {
            let reason = "It stops again and again shortly after it starts. Its logs may say why.";
            self.observed = Some(Observed::Failed(reason.into()));
            return self.show();
        }
        let spec = spec_of(&self.args.known.read().view, &self.args.vault);
        let spec = match spec {
            Ok(spec) => spec,
            Err(error) => {
                self.observed = Some(Observed::Failed(format!("Its {error}")));
                return self.show();
            }
        };
        tracing::info!(environment = %spec.key, ?step, "environment step");
        self.number += 1;
        let (runtime, me, number) = (Arc::clone(&self.args.runtime), self.me.clone(), self.number);
        let task = TaskGuard::spawn(async move {
            let call = async {
                match step {
                    Step::Ensure => runtime.ensure(&spec).await,
                    Step::Stop => runtime.stop(&spec.key).await,
                    Step::Delete => runtime.delete(&spec.key).await,
                }
            };
            let result = timeout(CALL_LIMIT, call).await;
            let result = result.unwrap_or_else(|_| Err(RuntimeError::Unavailable("it took too long".into())));
            tell(&me, LifecycleNews::Stepped(number, step, result));
        });
        self.under_way = Some(UnderWay { what: Waiting::Step(step), _task: task });
    }

    pub(super) fn stepped(&mut self, step: Step, result: Result<(), RuntimeError>) {
        self.under_way = None;
        match (step, result) {
            (_, Err(error)) => return self.step_failed(step, error),
            (Step::Ensure, Ok(())) => {
                // How often it is allowed to come up is judged before the next time.
                let _ = self.starts.failed(&STARTS, Instant::now(), 0.5);
                if self.observed == Some(Observed::Absent) {
                    // The watch tells what came of it; if it is silent, the step is taken again.
                    self.observed = Some(Observed::Starting(None));
                    self.pause(SETTLE);
                }
            }
            (Step::Stop, Ok(())) => self.observed(Observed::Absent),
            (Step::Delete, Ok(())) => {
                let (id, persistence, me) = (self.id(), self.args.persistence.clone(), self.me.clone());
                let task = TaskGuard::spawn(async move {
                    while let Err(error) = persistence.write(MarkTerminated { id: id.clone() }).await {
                        tracing::warn!(environment = id, %error, "a deleted environment is not marked yet");
                        sleep(FIRST_PAUSE).await;
                    }
                    tell(&me, LifecycleNews::Marked);
                });
                self.under_way = Some(UnderWay { what: Waiting::Mark, _task: task });
            }
        }
        self.failed_steps = 0;
    }

    fn step_failed(&mut self, step: Step, error: RuntimeError) {
        tracing::warn!(environment = self.id(), ?step, %error, "environment step failed");
        self.deleting.drain(..).for_each(|reply| reply.send(Ok(EnvironmentStatus::Stopping)));
        if let (Step::Ensure, RuntimeError::Rejected(reason)) = (step, &error) {
            self.observed = Some(Observed::Failed(reason.clone()));
            return;
        }
        let pause = (FIRST_PAUSE * 2u32.pow(self.failed_steps.min(10))).min(LONGEST_PAUSE);
        self.failed_steps += 1;
        self.pause(pause.mul_f64(rand::rng().random_range(0.8..1.2)));
    }

    fn pause(&mut self, pause: Duration) {
        self.number += 1;
        let (me, number) = (self.me.clone(), self.number);
        let task = TaskGuard::spawn(async move {
            sleep(pause).await;
            tell(&me, LifecycleNews::PauseOver(number));
        });
        self.under_way = Some(UnderWay { what: Waiting::Pause, _task: task });
    }

    pub(super) fn pause_over(&mut self) {
        self.under_way = None;
        if self.observed == Some(Observed::Starting(None)) {
            // What was believed did not come about.
            self.observed = Some(Observed::Absent);
        }
    }
}
