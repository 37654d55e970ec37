//! The supervisor alone: restarts, escalation, and what introspection shows of it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use devpocket_actors::supervision::{
    ActorPath, Addr, Behavior, CallError, ChildExit, Context, Failure, Kind, Outcome, Registry, Reply,
    RestartPolicy, Supervisor, spawn_root,
};
use tokio::sync::mpsc;

const POLICY: RestartPolicy = RestartPolicy {
    first_pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(4),
    max_restarts: 3,
    window: Duration::from_millis(400),
    ..RestartPolicy::DEFAULT
};

enum ChildMessage {
    Count(Reply<usize>),
    Fail,
    Panic,
    Stop,
    Forget(#[expect(dead_code, reason = "dropped unanswered")] Reply<()>),
}

/// Counts messages; how often it was started is counted outside of it.
struct Child {
    handled: usize,
}

impl Behavior for Child {
    type Message = ChildMessage;
    type Args = Arc<AtomicUsize>;

    fn start(_context: &Context<Self>, starts: Arc<AtomicUsize>) -> Result<Self, Failure> {
        starts.fetch_add(1, Ordering::Relaxed);
        Ok(Self { handled: 0 })
    }

    fn handle(&mut self, context: &Context<Self>, message: ChildMessage) -> Result<(), Failure> {
        self.handled += 1;
        match message {
            ChildMessage::Count(reply) => reply.send(self.handled),
            ChildMessage::Fail => return Err(Failure::new("asked to fail")),
            ChildMessage::Panic => panic!("asked to panic"),
            ChildMessage::Stop => context.stop(),
            ChildMessage::Forget(_) => {}
        }
        Ok(())
    }
}

enum ParentMessage {
    Child(&'static str, Reply<Result<Addr<ChildMessage>, String>>),
}

#[derive(Clone)]
struct ParentArgs {
    starts: Arc<AtomicUsize>,
    outcomes: mpsc::UnboundedSender<Outcome<&'static str>>,
}

struct Parent {
    args: ParentArgs,
    children: Supervisor<&'static str, Child>,
}

impl Behavior for Parent {
    type Message = ParentMessage;
    type Args = ParentArgs;

    fn start(_context: &Context<Self>, args: ParentArgs) -> Result<Self, Failure> {
        Ok(Self { args, children: Supervisor::new(POLICY) })
    }

    fn handle(&mut self, context: &Context<Self>, message: ParentMessage) -> Result<(), Failure> {
        let ParentMessage::Child(key, reply) = message;
        let starts = Arc::clone(&self.args.starts);
        let child = self.children.ensure(context, key, || ActorPath::of(Kind::Terminal, key), || starts);
        reply.send(child.map_err(|given_up| given_up.to_string()));
        Ok(())
    }

    fn child_exited(&mut self, context: &Context<Self>, exit: &ChildExit) {
        if let Some(outcome) = self.children.exited(context, exit) {
            self.args.outcomes.send(outcome).unwrap();
        }
    }

    fn restart_due(&mut self, context: &Context<Self>, child: &ActorPath) {
        self.children.restart(context, child);
    }
}

struct Family {
    registry: Arc<Registry>,
    parent: Addr<ParentMessage>,
    starts: Arc<AtomicUsize>,
    outcomes: mpsc::UnboundedReceiver<Outcome<&'static str>>,
}

impl Family {
    async fn new() -> Self {
        let registry = Arc::new(Registry::default());
        let (outcomes, receiver) = mpsc::unbounded_channel();
        let starts = Arc::new(AtomicUsize::new(0));
        let args = ParentArgs { starts: Arc::clone(&starts), outcomes };
        let (parent, _) = spawn_root::<Parent>(&registry, ActorPath::single(Kind::Root), args).await.unwrap();
        Self { registry, parent, starts, outcomes: receiver }
    }

    async fn child(&self, key: &'static str) -> Result<Addr<ChildMessage>, String> {
        self.parent.call(|reply| ParentMessage::Child(key, reply)).await.unwrap()
    }

    async fn outcome(&mut self) -> Outcome<&'static str> {
        tokio::time::timeout(Duration::from_secs(10), self.outcomes.recv()).await.unwrap().unwrap()
    }
}

/// Calls until the child, which is being restarted, answers.
async fn count(child: &Addr<ChildMessage>) -> usize {
    loop {
        match child.call(ChildMessage::Count).await {
            Ok(count) => return count,
            Err(CallError::Down(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_child_comes_back_under_the_same_address_and_its_sibling_never_left() {
    let mut family = Family::new().await;
    let (child, sibling) = (family.child("a").await.unwrap(), family.child("b").await.unwrap());
    assert_eq!(count(&sibling).await, 1);
    for message in [ChildMessage::Fail, ChildMessage::Panic] {
        child.cast(message).unwrap();
        assert_eq!(family.outcome().await, Outcome::Restarting("a"));
        assert_eq!(count(&child).await, 1, "a restarted child starts anew");
    }
    assert_eq!(count(&sibling).await, 2);
    assert_eq!(family.starts.load(Ordering::Relaxed), 4);
    let shown = family.registry.inspect(child.path()).unwrap();
    assert_eq!((shown.restarts, shown.state, shown.parent.as_deref()), (2, "running", Some("root")));
    assert!(shown.last_failure.unwrap().contains("asked to panic"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_keeps_failing_is_given_up_and_may_come_back_when_it_is_calm() {
    let mut family = Family::new().await;
    let child = family.child("a").await.unwrap();
    for _ in 0..POLICY.max_restarts {
        while child.cast(ChildMessage::Fail).is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(family.outcome().await, Outcome::Restarting("a"));
    }
    while child.cast(ChildMessage::Fail).is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(family.outcome().await, Outcome::Escalated("a", "asked to fail".into()));
    assert_eq!(family.registry.inspect(child.path()).unwrap().state, "failed");
    let refused = family.child("a").await.unwrap_err();
    assert!(refused.contains("failed too often"), "{refused}");
    let again = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match family.child("a").await {
                Ok(child) => return child,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    assert_eq!(count(&again.await.unwrap()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_stops_is_forgotten() {
    let mut family = Family::new().await;
    let child = family.child("a").await.unwrap();
    child.cast(ChildMessage::Stop).unwrap();
    assert_eq!(family.outcome().await, Outcome::Stopped("a"));
    assert!(family.registry.inspect(child.path()).is_none());
    assert!(child.cast(ChildMessage::Stop).is_err());
    assert_eq!(count(&family.child("a").await.unwrap()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_not_left_waiting() {
    let mut family = Family::new().await;
    let child = family.child("a").await.unwrap();
    let forgotten = child.call(ChildMessage::Forget).await;
    assert!(matches!(forgotten, Err(CallError::Down(_))), "{forgotten:?}");
    // A message behind the one that fails is lost with the mailbox, and its caller hears so.
    child.cast(ChildMessage::Fail).unwrap();
    let lost = child.call(ChildMessage::Count).await;
    assert!(matches!(lost, Err(CallError::Down(_))), "{lost:?}");
    assert_eq!(family.outcome().await, Outcome::Restarting("a"));
    assert_eq!(count(&child).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_injected_panic_and_one_at_each_start_are_failures_like_any_other() {
    let mut family = Family::new().await;
    let child = family.child("a").await.unwrap();
    assert_eq!(count(&child).await, 1);
    family.registry.panic_at_start(child.path(), true);
    assert!(family.registry.inject_panic(child.path()));
    for _ in 0..POLICY.max_restarts {
        assert_eq!(family.outcome().await, Outcome::Restarting("a"));
    }
    assert_eq!(family.outcome().await, Outcome::Escalated("a", "injected fault".into()));
}
