//! The environment actor: its state, and how news changes it.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use devpocket_protocol::Size;
use devpocket_protocol::agent::ControlRequest;
use devpocket_protocol::client::{Exit, ExitReason, HelloEnvironment};
use tokio::time::{Instant, sleep};

use super::EnvironmentError;
use super::control::News;
use super::known::EnvironmentArgs;
use super::lifecycle::{Lifecycle, LifecycleNews};
use super::messages::{EnvironmentMessage, EnvironmentNews, OpenReply, OpenTerminal, OwnNews};
use super::sessions::{Ended, Entry, MAX_SESSIONS, Selector, Sessions};
use super::spec::key_of;
use crate::persistence::terminals::{self, CreateTerminalSession, EndTerminalSession, TerminalSession};
use crate::persistence::{EnvironmentStatus, Late, WriteError, new_id};
use crate::supervision::{
    ActorPath, Behavior, ChildExit, Context, Failure, Kind, Outcome, RestartDue, RestartPolicy, Supervisor,
    TaskGuard,
};
use crate::terminal::{Kick, SessionName, Terminal, TerminalArgs, TerminalMessage};
use crate::user::Happening;

/// How many clients may wait for an environment to run.
const MAX_WAITING: usize = 64;

/// How long a session waits for its name, which another one has just left.
const NAME_ATTEMPTS: u32 = 40;
const NAME_PAUSE: Duration = Duration::from_millis(25);

/// How often the actor looks whether it is still needed, and measures.
const TICK: Duration = Duration::from_secs(60);

/// After how long without use the actor stops; it is made again on demand.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// The state of an environment actor.
pub struct Environment {
    args: EnvironmentArgs,
    id: String,
    lifecycle: Lifecycle,
    sessions: Sessions,
    ended: Ended,
    terminals: Supervisor<String, Terminal>,
    /// Clients that wait for the environment to run.
    waiting: Vec<(Selector, Size, OpenReply)>,
    /// Sessions that are being written, and the clients that wait for them.
    creating: Vec<(String, Vec<OpenReply>)>,
    /// Tasks that end by themselves.
    tasks: Vec<TaskGuard>,
    last_use: Instant,
    _ticks: TaskGuard,
}

impl Behavior for Environment {
    type Message = EnvironmentMessage;
    type Args = EnvironmentArgs;

    fn start(context: &Context<Self>, args: EnvironmentArgs) -> Result<Self, Failure> {
        let (id, sessions, ended) = {
            let known = args.known.read();
            context.me.describe(known.view.environment.name.as_str());
            let sessions = Sessions::left(known.sessions.clone());
            (known.view.environment.id.clone(), sessions, Ended::left(known.ended.clone()))
        };
        let me = context.me.clone();
        let ticks = TaskGuard::spawn(async move {
            loop {
                sleep(TICK).await;
                let _ = me.cast(EnvironmentNews::Tick.into());
            }
        });
        Ok(Self {
            lifecycle: Lifecycle::start(context.me.clone(), args.clone()),
            args,
            id,
            sessions,
            ended,
            terminals: Supervisor::new(RestartPolicy::DEFAULT),
            waiting: Vec::new(),
            creating: Vec::new(),
            tasks: Vec::new(),
            last_use: Instant::now(),
            _ticks: ticks,
        })
    }

    fn handle(&mut self, context: &Context<Self>, message: EnvironmentMessage) -> Result<(), Failure> {
        match message {
            EnvironmentMessage::Change(change, line, reply) => self.lifecycle.change(change, line, reply),
            EnvironmentMessage::Open(selector, size, reply) => self.open(context, selector, size, reply),
            EnvironmentMessage::EndSession(selector, reply) => reply.send(self.end_session(&selector)),
            EnvironmentMessage::InstallLog(reply) => reply.send(Ok(self.lifecycle.log())),
            EnvironmentMessage::Refreshed(view) => {
                context.me.describe(view.environment.name.as_str());
                self.lifecycle.refresh(*view);
            }
            EnvironmentMessage::Kick(kick) => self.tell_terminals(|| TerminalMessage::Kick(kick)),
            EnvironmentMessage::Own(OwnNews(news)) => match news {
                EnvironmentNews::Lifecycle(news) => self.advance(context, news),
                EnvironmentNews::SessionCreated(name, result) => self.session_created(context, &name, result),
                EnvironmentNews::SessionEnded(id, exit) => self.session_ended(&id, &exit),
                EnvironmentNews::Tick => self.tick(context),
            },
        }
        Ok(())
    }

    fn child_exited(&mut self, context: &Context<Self>, exit: &ChildExit) {
        match self.terminals.exited(context, exit) {
            // Its clients have read to the end, or it was idle: the agent holds the session.
            Some(Outcome::Stopped(id)) => self.forget_session(id),
            Some(Outcome::Escalated(id, reason)) => {
                tracing::error!(
                    environment = self.id,
                    session = id,
                    reason,
                    "a terminal session keeps failing"
                );
            }
            _ => {}
        }
    }

    fn restart_due(&mut self, context: &Context<Self>, due: &RestartDue) {
        self.terminals.restart(context, due);
    }

    fn state(&self) -> &'static str {
        self.lifecycle.status().as_str()
    }
}

impl Environment {
    /// Takes news of the lifecycle and tells those whom it concerns.
    fn advance(&mut self, context: &Context<Self>, news: LifecycleNews) {
        if let LifecycleNews::Agent(instance, News::Sessions(held)) = &news
            && self.lifecycle.is_current(instance)
        {
            // One whose terminal runs finds out by its own channel, which is newer than the list.
            let mut missing = self.sessions.missing_from(held);
            missing.retain(|id| self.terminals.get(id).is_none());
            for id in missing {
                self.session_ended(&id, &Exit::because(ExitReason::PodGone));
            }
            for session in held {
                if let Some(exit) = &session.exit
                    && self.terminals.get(&session.id).is_none()
                {
                    self.session_ended(&session.id, exit);
                }
            }
            for id in self.sessions.superfluous_in(held, &self.ended) {
                if self.terminals.get(&id).is_none() {
                    self.lifecycle.ask_agent(ControlRequest::CloseSession { id: id.clone() });
                    self.lifecycle.ask_agent(ControlRequest::ForgetSession { id });
                }
            }
        }
        let before = self.lifecycle.status();
        let ran = self.lifecycle.instance().map(str::to_owned);
        self.lifecycle.advance(news);
        let now = self.lifecycle.status();
        if now != before {
            let starting = !matches!(now, EnvironmentStatus::Running | EnvironmentStatus::Error);
            self.tell_terminals(|| TerminalMessage::EnvironmentStarting(starting));
        }
        if self.lifecycle.is_ending() {
            self.end_sessions(|_| true, ExitReason::EnvironmentGone);
            self.ended.clear();
        } else if ran.as_deref().is_some_and(|ran| self.lifecycle.instance() != Some(ran)) {
            // Those that wait for an agent get the next one.
            self.end_sessions(Entry::is_made, ExitReason::PodGone);
            self.ended.clear();
        }
        if self.lifecycle.is_gone() {
            self.tell_terminals(|| TerminalMessage::Kick(Kick::EnvironmentDeleted));
            context.stop();
        }
        if !self.waiting.is_empty() && self.lifecycle.can_open() != Ok(false) {
            for (selector, size, reply) in std::mem::take(&mut self.waiting) {
                self.open(context, selector, size, reply);
            }
        }
    }

    /// Finds or makes a session; waits for the environment to run if it is on its way.
    fn open(&mut self, context: &Context<Self>, selector: Selector, size: Size, reply: OpenReply) {
        self.last_use = Instant::now();
        match self.lifecycle.can_open() {
            Err(error) => return reply.send(Err(error)),
            Ok(false) => {
                self.waiting.retain(|(_, _, waiting)| !waiting.is_abandoned());
                if self.waiting.len() >= MAX_WAITING {
                    let busy = "The environment is starting. Try again shortly.";
                    return reply.send(Err(EnvironmentError::Unavailable(busy.into())));
                }
                return self.waiting.push((selector, size, reply));
            }
            Ok(true) => {}
        }
        if let Some(entry) = self.sessions.find(&selector).cloned() {
            self.give_out(context, entry, reply);
            return;
        }
        match selector {
            Selector::Id(_) => reply.send(Err(EnvironmentError::NoSuchSession)),
            Selector::Resumed(id) => match self.ended.find(&id).cloned() {
                Some(entry) => self.give_out(context, entry, reply),
                None => reply.send(Err(EnvironmentError::NoSuchSession)),
            },
            Selector::Name(name) => self.create_session(context, name, size, reply),
        }
    }

    fn create_session(&mut self, context: &Context<Self>, name: String, size: Size, reply: OpenReply) {
        if let Some((_, waiting)) = self.creating.iter_mut().find(|(creating, _)| *creating == name) {
            return waiting.push(reply);
        }
        if self.sessions.len() + self.creating.len() >= MAX_SESSIONS {
            let full = format!("The environment has {MAX_SESSIONS} terminal sessions. End one first.");
            return reply.send(Err(EnvironmentError::Refused(full)));
        }
        let write = CreateTerminalSession {
            id: new_id(),
            environment_id: self.id.clone(),
            session_id: new_id(),
            name: name.clone(),
            cols: size.cols(),
            rows: size.rows(),
            client_info: None,
        };
        self.creating.push((name.clone(), vec![reply]));
        let (persistence, me) = (self.args.persistence.clone(), context.me.clone());
        self.spawn(async move {
            let mut result = persistence.write(write.clone()).await;
            for _ in 0..NAME_ATTEMPTS {
                // The end of the last session of this name is still on its way to the database.
                let Err(WriteError::Conflict { .. }) = result else { break };
                sleep(NAME_PAUSE).await;
                result = persistence.write(write.clone()).await;
            }
            if let Err(WriteError::Conflict { .. }) = result
                && let Ok(rows) = terminals::live(persistence.pool(), &write.environment_id).await
                && let Some(row) = rows.into_iter().find(|row| row.name == write.name)
            {
                // A predecessor of this actor wrote it and failed before it knew, or before it wrote
                // the end: the agent makes the session, or has it.
                result = Ok(row);
            }
            let _ = me.cast(EnvironmentNews::SessionCreated(name, result).into());
        });
    }

    fn session_created(
        &mut self,
        context: &Context<Self>,
        name: &str,
        result: Result<TerminalSession, WriteError>,
    ) {
        let waiting: Vec<_> = self.creating.extract_if(.., |(creating, _)| creating == name).collect();
        let replies = waiting.into_iter().flat_map(|(_, replies)| replies);
        match result {
            Ok(row) => {
                let id = Selector::Id(row.session_id.clone());
                self.args.tell(Happening::SessionBegan {
                    session: row.session_id.clone(),
                    name: row.name.clone(),
                });
                self.sessions.add(row);
                self.remember_sessions();
                for reply in replies {
                    if let Some(entry) = self.sessions.find(&id).cloned() {
                        self.give_out(context, entry, reply);
                    }
                }
            }
            Err(error) => replies.for_each(|reply| reply.send(Err(error.clone().into()))),
        }
    }

    /// Gives a client the terminal of a session, started if it is not running.
    fn give_out(&mut self, context: &Context<Self>, entry: Entry, reply: OpenReply) {
        let id = entry.row.session_id.clone();
        let environment = self.hello_environment();
        let (made, size, session) = (Arc::clone(&entry.made), entry.size(), entry.row.clone());
        let (runtime, environment_id, me) =
            (Arc::clone(&self.args.runtime), self.id.clone(), context.me.clone());
        let args = || TerminalArgs {
            environment: key_of(&self.args.known.read().view.environment),
            session: SessionName { id: id.clone(), name: session.name.clone(), environment: environment_id },
            size,
            made,
            runtime,
            on_end: {
                let id = id.clone();
                Arc::new(move |exit: &Exit| {
                    let news = EnvironmentNews::SessionEnded(id.clone(), exit.clone());
                    let _ = me.cast(news.into());
                })
            },
        };
        let path = || ActorPath::of(Kind::Terminal, &id);
        reply.send(match self.terminals.ensure(context, id.clone(), path, args) {
            Ok(terminal) => Ok(OpenTerminal { terminal, session: entry.row, environment }),
            Err(given_up) => {
                tracing::warn!(session = id, reason = given_up.reason, "a failed session was asked for");
                Err(EnvironmentError::KeepsFailing)
            }
        });
        let activity = Late::Activity { environment_id: self.id.clone(), at: chrono::Utc::now() };
        self.args.persistence.late(activity);
    }

    fn hello_environment(&self) -> HelloEnvironment {
        let known = self.args.known.read();
        HelloEnvironment {
            id: self.id.clone(),
            name: known.view.environment.name.clone(),
            status: self.lifecycle.status().as_str().to_owned(),
        }
    }

    fn end_session(&mut self, selector: &Selector) -> Result<(), EnvironmentError> {
        let id = self.sessions.find(selector).ok_or(EnvironmentError::NoSuchSession)?.row.session_id.clone();
        self.lifecycle.ask_agent(ControlRequest::CloseSession { id: id.clone() });
        let exit = Exit::because(ExitReason::Closed);
        if let Some(terminal) = self.terminals.get(&id) {
            // The agent's EXIT, which tells the signal, usually comes first.
            let _ = terminal.cast(TerminalMessage::End(exit.clone()));
        }
        self.session_ended(&id, &exit);
        Ok(())
    }

    fn end_sessions(&mut self, which: impl Fn(&Entry) -> bool, reason: ExitReason) {
        let exit = Exit::because(reason);
        for id in self.sessions.ids(which) {
            if let Some(terminal) = self.terminals.get(&id) {
                // One that is being restarted finds out by itself.
                let _ = terminal.cast(TerminalMessage::End(exit.clone()));
            }
            self.session_ended(&id, &exit);
        }
    }

    /// Takes a session off the live ones: its name is free from now on.
    fn session_ended(&mut self, id: &str, exit: &Exit) {
        if let Some(entry) = self.sessions.remove(id) {
            tracing::info!(environment = self.id, session = id, reason = ?exit.reason, "session ended");
            let (row, name) = (entry.row.id.clone(), entry.row.name.clone());
            let pushed_out = self.ended.keep(entry, exit);
            self.remember_sessions();
            self.args.tell(Happening::SessionEnded { session: id.to_owned(), name });
            self.write_end(row, exit);
            if let Some(oldest) = pushed_out {
                self.forget_session(oldest);
            }
        }
    }

    /// Lets the agent forget a session that nobody can come back to any more.
    fn forget_session(&self, id: String) {
        let is_needed = self.terminals.get(&id).is_some()
            || self.ended.find(&id).is_some()
            || self.sessions.find(&Selector::Id(id.clone())).is_some();
        if !is_needed {
            self.lifecycle.ask_agent(ControlRequest::ForgetSession { id });
        }
    }

    /// Writes how a session ended, however long the database is away.
    fn write_end(&mut self, row: String, exit: &Exit) {
        let persistence = self.args.persistence.clone();
        let exit = serde_json::to_value(exit).unwrap_or_default();
        self.spawn(async move {
            let write = || EndTerminalSession { id: row.clone(), exit: exit.clone() };
            while let Err(error) = persistence.write(write()).await {
                if !error.is_transient() {
                    return tracing::error!(%error, "the end of a session was not written");
                }
                sleep(Duration::from_secs(1)).await;
            }
        });
    }

    fn remember_sessions(&self) {
        let mut known = self.args.known.write();
        known.sessions = self.sessions.rows();
        known.ended = self.ended.rows();
    }

    fn tell_terminals(&self, message: impl Fn() -> TerminalMessage) {
        for (_, terminal) in self.terminals.iter() {
            // One that is being restarted finds out by itself.
            let _ = terminal.cast(message());
        }
    }

    fn tick(&mut self, context: &Context<Self>) {
        self.tasks.retain(|task| !task.is_finished());
        for id in self.ended.expire(Utc::now()) {
            self.forget_session(id);
        }
        let idle = self.terminals.is_empty() && self.waiting.is_empty() && self.creating.is_empty();
        if !idle {
            self.last_use = Instant::now();
        } else if self.last_use.elapsed() > IDLE && self.lifecycle.is_settled() && self.tasks.is_empty() {
            context.stop();
        }
        self.lifecycle.measure();
    }

    /// Runs something that ends by itself, at the latest with this actor.
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.retain(|task| !task.is_finished());
        self.tasks.push(TaskGuard::spawn(task));
    }
}
