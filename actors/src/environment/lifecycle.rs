//! An environment's way between what is wanted and what is.

mod steps;

use std::sync::Arc;
use std::time::Duration;

use devpocket_protocol::agent::{ControlRequest, Phase};
use tokio::time::{sleep, timeout};

use self::steps::{UnderWay, Waiting};
use super::EnvironmentError;
use super::control::{self, ControlSender, News};
use super::known::EnvironmentArgs;
use super::log::{InstallLog, LogWriter};
use super::messages::{EnvironmentMessage, EnvironmentNews};
use super::reconcile::{Situation, Step};
use super::spec::{key_of, spec_of};
use crate::mailer::Told;
use crate::persistence::environments::{EnvironmentView, SetDesired};
use crate::persistence::records::Audited;
use crate::persistence::{AuditEntry, DesiredState, EnvironmentStatus, Late, Metric, WriteError};
use crate::runtime::{CALL_LIMIT, EnvironmentKey, Observed, RuntimeError};
use crate::supervision::policy::History;
use crate::supervision::{Addr, Reply, TaskGuard};
use crate::user::Happening;

/// The pause before an environment that can't be watched is tried again.
const WATCH_PAUSE: Duration = Duration::from_secs(2);

/// A change of what is wanted of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Run.
    Start,
    /// Stop, and keep the volume.
    Stop,
    /// Stop, then run.
    Restart,
    /// Remove it with its volume, unless it runs.
    Delete,
    /// The same, also while it runs.
    StopAndDelete,
}

impl Change {
    const fn deletes(self) -> bool {
        matches!(self, Self::Delete | Self::StopAndDelete)
    }
}

type ChangeReply = Reply<Result<EnvironmentStatus, EnvironmentError>>;

/// What is news to an environment's lifecycle.
pub(super) enum LifecycleNews {
    /// A change was written, or not.
    Changed(Change, Result<Box<crate::persistence::environments::Environment>, WriteError>, ChangeReply),
    /// What the runtime sees.
    Observed(Observed),
    /// Why the runtime sees nothing.
    Unseen(String),
    /// The step of this number was taken, or failed.
    Stepped(u64, Step, Result<(), RuntimeError>),
    /// The pause of this number is over.
    PauseOver(u64),
    /// The agent of this instance told something.
    Agent(String, News),
    /// The row of a deleted environment was marked.
    Marked,
}

/// The lifecycle of one environment.
pub(super) struct Lifecycle {
    me: Addr<EnvironmentMessage>,
    args: EnvironmentArgs,
    observed: Option<Observed>,
    /// Why nothing is observed, or what was observed may be old.
    unseen: Option<String>,
    phase: Option<Phase>,
    /// Why the agent that runs can't be used.
    trouble: Option<String>,
    shown: (EnvironmentStatus, Option<String>),
    /// What the owner was told by mail.
    told: Told,
    under_way: Option<UnderWay>,
    /// Numbers what is under way, so that news of something that was cut short is recognised.
    number: u64,
    failed_steps: u32,
    starts: History,
    instance: Option<Instance>,
    /// Those who wait for the environment to be gone.
    deleting: Vec<ChangeReply>,
    gone: bool,
    /// Writes that end by themselves.
    writes: Vec<TaskGuard>,
    _watch: TaskGuard,
}

/// One start of the environment's agent.
struct Instance {
    id: String,
    control: ControlSender,
    _channel: TaskGuard,
}

impl Lifecycle {
    pub(super) fn start(me: Addr<EnvironmentMessage>, args: EnvironmentArgs) -> Self {
        let (key, shown) = {
            let known = args.known.read();
            let row = &known.view.environment;
            (key_of(row), (row.status, row.status_reason.clone()))
        };
        let (runtime, watcher) = (Arc::clone(&args.runtime), me.clone());
        let watch = TaskGuard::spawn(async move {
            let mut known = None;
            loop {
                match runtime.watch(&key).await {
                    Ok(mut seen) => loop {
                        known = None;
                        let observed = seen.borrow_and_update().clone();
                        tell(&watcher, LifecycleNews::Observed(observed));
                        if seen.changed().await.is_err() {
                            break;
                        }
                    },
                    Err(error) => {
                        let reason = Some(error.to_string());
                        // The same reason is told once: this goes on for as long as it lasts.
                        if known != reason {
                            tracing::warn!(environment = %key, %error, "an environment can't be watched");
                            tell(&watcher, LifecycleNews::Unseen(error.to_string()));
                            known = reason;
                        }
                    }
                }
                sleep(WATCH_PAUSE).await;
            }
        });
        Self {
            me,
            args,
            observed: None,
            unseen: None,
            phase: None,
            trouble: None,
            shown,
            told: Told::default(),
            under_way: None,
            number: 0,
            failed_steps: 0,
            starts: History::default(),
            instance: None,
            deleting: Vec::new(),
            gone: false,
            writes: Vec::new(),
            _watch: watch,
        }
    }

    pub(super) fn status(&self) -> EnvironmentStatus {
        self.shown.0
    }

    pub(super) fn log(&self) -> Arc<InstallLog> {
        Arc::clone(&self.args.log)
    }

    /// Whether it was deleted, and its row says so.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether what runs is to end, so that its sessions end with it.
    pub(super) fn is_ending(&self) -> bool {
        self.desired() != DesiredState::Running || self.situation(|now| now.is_to_be_replaced())
    }

    /// The instance that runs, if one does.
    pub(super) fn instance(&self) -> Option<&str> {
        self.instance.as_ref().map(|instance| instance.id.as_str())
    }

    /// Whether nothing is under way.
    pub(super) fn is_settled(&self) -> bool {
        self.under_way.is_none() && self.observed.is_some() && self.situation(|now| now.next_step()).is_none()
    }

    /// Whether terminals can be opened now (`true`) or soon (`false`).
    pub(super) fn can_open(&self) -> Result<bool, EnvironmentError> {
        match (self.desired(), &self.observed, &self.shown) {
            (DesiredState::Terminated, ..) => Err(EnvironmentError::NotFound),
            (DesiredState::Stopped, ..) => {
                Err(EnvironmentError::Refused("The environment is stopped. Start it first.".into()))
            }
            (_, _, (EnvironmentStatus::Error, reason)) => {
                let reason = reason.as_deref().unwrap_or("it failed to start");
                Err(EnvironmentError::Refused(format!("The environment does not run: {reason}")))
            }
            (_, Some(Observed::Running { .. }), _) => Ok(!self.situation(|now| now.is_to_be_replaced())),
            _ => Ok(false),
        }
    }

    fn desired(&self) -> DesiredState {
        self.args.known.read().view.environment.desired_state
    }

    fn id(&self) -> String {
        self.args.known.read().view.environment.id.clone()
    }

    fn key(&self) -> EnvironmentKey {
        key_of(&self.args.known.read().view.environment)
    }

    fn situation<T>(&self, judge: impl FnOnce(&Situation<'_>) -> T) -> T {
        let known = self.args.known.read();
        let row = &known.view.environment;
        judge(&Situation {
            desired: row.desired_state,
            observed: self.observed.as_ref(),
            unseen: self.unseen.as_deref(),
            phase: self.phase.as_ref(),
            replaces: row.replaces_instance.as_deref(),
            trouble: self.trouble.as_deref(),
            installed: row.installation_completed,
            shown: self.shown.0,
        })
    }

    /// Writes a change of what is wanted, with its line of the audit record if it has one; `reply` is
    /// answered when it is written. What is so already is only noted.
    pub(super) fn change(&mut self, change: Change, line: Option<Box<AuditEntry>>, reply: ChangeReply) {
        use EnvironmentStatus as S;
        let note = |line: Option<Box<AuditEntry>>| {
            line.into_iter().for_each(|line| self.args.persistence.late(Late::Audit(*line)));
        };
        let (desired, status) = match (change, self.desired(), self.shown.0) {
            (_, DesiredState::Terminated, _) if change.deletes() => return self.deleting.push(reply),
            (_, DesiredState::Terminated, _) => return reply.send(Err(EnvironmentError::NotFound)),
            (Change::Start, DesiredState::Running, now @ S::Running)
            | (Change::Stop, DesiredState::Stopped, now @ S::Stopped) => {
                note(line);
                return reply.send(Ok(now));
            }
            (Change::Delete, DesiredState::Running, S::Running) => {
                return reply.send(Err(EnvironmentError::StillRunning));
            }
            (Change::Start, ..) => (DesiredState::Running, S::Provisioning),
            (Change::Stop, ..) => (DesiredState::Stopped, S::Stopping),
            (Change::Restart, ..) => (DesiredState::Running, S::Restarting),
            (Change::Delete | Change::StopAndDelete, ..) => (DesiredState::Terminated, S::Stopping),
        };
        let replaces = self.instance.as_ref().map(|instance| instance.id.clone());
        let replaces = replaces.filter(|_| change == Change::Restart);
        let write = SetDesired { id: self.id(), desired, status: Some(status), reason: None, replaces };
        let (persistence, me) = (self.args.persistence.clone(), self.me.clone());
        self.spawn(async move {
            let result = match line {
                Some(entry) => persistence.write(Audited { write, entry: *entry }).await,
                None => persistence.write(write).await,
            };
            tell(&me, LifecycleNews::Changed(change, result.map(Box::new), reply));
        });
    }

    /// The row was changed by somebody else: name, variables, resources.
    pub(super) fn refresh(&mut self, view: EnvironmentView) {
        let mut known = self.args.known.write();
        let old = std::mem::replace(&mut known.view, view).environment;
        let row = &mut known.view.environment;
        // What is wanted changes by `change` alone, and what is shown by `show`.
        row.desired_state = old.desired_state;
        row.desired_generation = old.desired_generation;
        row.replaces_instance = old.replaces_instance;
        row.status = old.status;
        row.status_reason = old.status_reason;
        row.installation_completed = old.installation_completed;
    }

    /// Takes news, shows the status that follows from it, and takes the next step.
    pub(super) fn advance(&mut self, news: LifecycleNews) {
        match news {
            LifecycleNews::Changed(change, result, reply) => self.changed(change, result, reply),
            LifecycleNews::Observed(observed) => {
                self.unseen = None;
                self.observed(observed);
            }
            LifecycleNews::Unseen(reason) => self.unseen = Some(reason),
            LifecycleNews::Stepped(number, step, result) if number == self.number => {
                self.stepped(step, result)
            }
            LifecycleNews::PauseOver(number) if number == self.number => self.pause_over(),
            LifecycleNews::Stepped(..) | LifecycleNews::PauseOver(_) => return,
            LifecycleNews::Agent(instance, news) if self.is_current(&instance) => match news {
                News::Phase(phase) => {
                    if let (Some(Phase::Installing | Phase::Configuring), Phase::Ready { failed_commands }) =
                        (&self.phase, &phase)
                    {
                        self.args.tell(Happening::Installed { failed_commands: *failed_commands });
                    }
                    self.phase = Some(phase);
                    self.trouble = None;
                }
                News::Refused(reason) => self.trouble = Some(reason),
                News::Sessions(_) => {}
            },
            LifecycleNews::Agent(..) => return,
            LifecycleNews::Marked => {
                self.gone = true;
                self.shown = (EnvironmentStatus::Terminated, None);
                self.tell_status();
                self.deleting.drain(..).for_each(|reply| reply.send(Ok(EnvironmentStatus::Terminated)));
                return;
            }
        }
        self.show();
        if self.under_way.is_none()
            && let Some(step) = self.situation(|now| now.next_step())
        {
            self.take(step);
        }
    }

    fn changed(
        &mut self,
        change: Change,
        result: Result<Box<crate::persistence::environments::Environment>, WriteError>,
        reply: ChangeReply,
    ) {
        let row = match result {
            Ok(row) => row,
            Err(error) => return reply.send(Err(error.into())),
        };
        let desired = row.desired_state;
        {
            let mut known = self.args.known.write();
            if row.desired_generation < known.view.environment.desired_generation {
                // Overtaken by a later wish while it was written.
                return reply.send(Ok(row.status));
            }
            self.shown = (row.status, row.status_reason.clone());
            known.view.environment = *row;
        }
        self.tell_status();
        self.starts = History::default();
        self.failed_steps = 0;
        self.wish_changed(desired);
        match change {
            Change::Delete | Change::StopAndDelete => self.deleting.push(reply),
            _ => reply.send(Ok(self.shown.0)),
        }
    }

    /// What is under way towards the old wish is cut short, unless it serves the new one too.
    fn wish_changed(&mut self, desired: DesiredState) {
        let starting = self.waits_for(Waiting::Step(Step::Ensure));
        if desired == DesiredState::Running {
            if starting {
                return;
            }
            if matches!(self.observed, Some(Observed::Failed(_))) {
                // Asked for by a person: a clean slate.
                self.observed = Some(Observed::Absent);
            }
        } else if starting && self.observed == Some(Observed::Absent) {
            // Cut or not, it may come up all the same: it has to be stopped.
            self.observed = Some(Observed::Starting(None));
        }
        self.under_way = None;
        self.number += 1;
    }

    fn observed(&mut self, observed: Observed) {
        match &observed {
            Observed::Running { instance, after } => {
                if !self.is_current(instance) {
                    if let Some(why) = after {
                        tracing::warn!(environment = self.id(), why, "an environment was started again");
                    }
                    self.phase = None;
                    self.trouble = None;
                    self.instance = Some(self.meet(instance.clone()));
                }
            }
            _ => {
                self.instance = None;
                self.phase = None;
                self.trouble = None;
            }
        }
        if self.waits_for(Waiting::Pause) && !matches!(observed, Observed::Absent) {
            // What the pause was for has come.
            self.under_way = None;
            self.number += 1;
        }
        self.observed = Some(observed);
    }

    /// Opens the control channel to an agent.
    fn meet(&self, instance: String) -> Instance {
        let log = LogWriter::new(self.args.clone(), self.id(), instance.clone());
        let (me, from) = (self.me.clone(), instance.clone());
        let tell = move |news| tell(&me, LifecycleNews::Agent(from.clone(), news));
        let (control, channel) = control::channel(Arc::clone(&self.args.runtime), self.key(), log, tell);
        Instance { id: instance, control, _channel: TaskGuard::spawn(channel) }
    }

    /// Asks the running agent, if one runs.
    pub(super) fn ask_agent(&self, request: ControlRequest) {
        if let Some(instance) = &self.instance {
            instance.control.send(request);
        }
    }

    /// Whether `instance` is the one that runs.
    pub(super) fn is_current(&self, instance: &str) -> bool {
        self.instance.as_ref().is_some_and(|current| current.id == instance)
    }

    /// Shows the status that follows from what is known, if it is another.
    fn show(&mut self) {
        let now = self.situation(|now| now.status());
        if now == self.shown {
            return;
        }
        let id = {
            let mut known = self.args.known.write();
            let row = &mut known.view.environment;
            row.status = now.0;
            row.status_reason.clone_from(&now.1);
            row.installation_completed |= now.0 == EnvironmentStatus::Running;
            row.id.clone()
        };
        tracing::info!(environment = id, status = now.0.as_str(), reason = now.1, "environment status");
        self.args.persistence.observe_status(id, now.0, now.1.clone());
        self.shown = now;
        self.tell_status();
    }

    /// Tells whoever listens how it is, and its owner by mail.
    fn tell_status(&mut self) {
        let (status, reason) = self.shown.clone();
        let mail = {
            let known = self.args.known.read();
            let row = &known.view.environment;
            self.args.notices.tell(&mut self.told, row, status, reason.as_deref())
        };
        if let Some(mail) = mail {
            // Apart from the writes: it outlives the actor of an environment that is gone.
            tokio::spawn(mail);
        }
        self.args.tell(Happening::Status { status, reason });
    }

    /// Measures what the environment uses, for its history.
    pub(super) fn measure(&mut self) {
        if self.shown.0 != EnvironmentStatus::Running {
            return;
        }
        let Ok(spec) = spec_of(&self.args.known.read().view, &self.args.vault) else { return };
        let (runtime, persistence) = (Arc::clone(&self.args.runtime), self.args.persistence.clone());
        self.spawn(async move {
            if let Ok(Ok(stats)) = timeout(CALL_LIMIT, runtime.stats(&spec)).await {
                let metric = Metric {
                    id: crate::persistence::new_id(),
                    environment_id: spec.key.id,
                    cpu_usage: stats.cpu_percent,
                    memory_usage: stats.memory_percent,
                    storage_usage: stats.storage_percent,
                    network_rx: i64::try_from(stats.network_rx).unwrap_or(i64::MAX),
                    network_tx: i64::try_from(stats.network_tx).unwrap_or(i64::MAX),
                    timestamp: chrono::Utc::now(),
                };
                persistence.late(Late::Metric(metric));
            }
        });
    }

    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.writes.retain(|task| !task.is_finished());
        self.writes.push(TaskGuard::spawn(task));
    }
}

/// The actor that is told may be gone: then its successor finds out by itself.
fn tell(me: &Addr<EnvironmentMessage>, news: LifecycleNews) {
    let _ = me.cast(EnvironmentNews::Lifecycle(news).into());
}
