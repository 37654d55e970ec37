//! The supervisor alone: restarts, escalation, and what introspection shows of it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use devpocket_actors::supervision::{
    ActorPath, ActorSnapshot, Addr, Behavior, CallError, ChildExit, Context, Failure, Kind, Outcome,
    Registry, Reply, RestartDue, RestartPolicy, RestartRefused, Supervisor, What, spawn_root,
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
    /// Does not return before it is told to.
    Hold(std::sync::mpsc::Receiver<()>),
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
            ChildMessage::Hold(until) => until.recv().unwrap(),
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

    fn restart_due(&mut self, context: &Context<Self>, due: &RestartDue) {
        self.children.restart(context, due);
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

    fn journal(&self) -> Vec<What> {
        self.registry.journal().read(0, None, 100).into_iter().map(|event| event.what).collect()
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
    assert_eq!(
        (shown.restarts, shown.state, shown.parent),
        (2, "running", Some(family.parent.path().clone()))
    );
    assert!(shown.last_failure.unwrap().reason.contains("asked to panic"));
    let told = family.journal();
    assert!(matches!(&told[0], What::Failed { reason, failures, .. } if reason == "asked to fail"
        && (failures.count, failures.allowed) == (1, POLICY.max_restarts)));
    assert_eq!(told[1], What::Restarted);
    assert!(matches!(&told[2], What::Failed { reason, .. } if reason.contains("asked to panic")));
    assert_eq!(told[3..], [What::Restarted]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_is_restarted_when_somebody_asks_and_that_is_no_failure() {
    let mut family = Family::new().await;
    let child = family.child("a").await.unwrap();
    let expected: Vec<_> = (0..2 * POLICY.max_restarts)
        .flat_map(|_| [What::Asked { by: "ann".into() }, What::Restarted])
        .collect();
    for asked in 1..=2 * POLICY.max_restarts {
        assert_eq!(count(&child).await, 1, "it has not started anew");
        family.registry.restart(child.path(), "ann").unwrap();
        assert_eq!(family.outcome().await, Outcome::Restarting("a"));
        while family.starts.load(Ordering::Relaxed) != asked + 1 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(family.journal(), expected);
    assert_eq!(family.registry.inspect(child.path()).unwrap().last_failure, None);
    let (root, nobody) = (ActorPath::single(Kind::Root), ActorPath::single(Kind::Mailer));
    assert_eq!(family.registry.restart(&root, "ann"), Err(RestartRefused::Root));
    assert_eq!(family.registry.restart(&nobody, "ann"), Err(RestartRefused::Unknown(nobody.clone())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_was_asked_for_loses_no_message() {
    let mut family = Family::new().await;
    let child = family.child("a").await.unwrap();
    let (hold, held) = std::sync::mpsc::channel::<()>();
    child.cast(ChildMessage::Hold(held)).unwrap();
    while family.registry.inspect(child.path()).unwrap().busy.is_none() {
        tokio::task::yield_now().await;
    }
    family.registry.restart(child.path(), "ann").unwrap();
    // Behind the wish in the mailbox.
    let waiting = tokio::spawn({
        let child = child.clone();
        async move { child.call(ChildMessage::Count).await }
    });
    while family.registry.inspect(child.path()).unwrap().mailbox < 2 {
        tokio::task::yield_now().await;
    }
    hold.send(()).unwrap();
    assert_eq!(waiting.await.unwrap(), Ok(2));
    assert_eq!(family.outcome().await, Outcome::Restarting("a"));
    assert_eq!(count(&child).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_was_given_up_is_restarted_when_somebody_asks() {
    let mut family = Family::new().await;
    let child = family.child("a").await.unwrap();
    family.registry.panic_at_start(child.path(), true);
    assert!(family.registry.inject_panic(child.path()));
    while family.outcome().await == Outcome::Restarting("a") {}
    family.registry.panic_at_start(child.path(), false);
    family.registry.restart(child.path(), "ann").unwrap();
    assert_eq!(count(&child).await, 1);
    let told = family.journal();
    let end = &told[told.len() - 3..];
    assert!(matches!(&end[0], What::GivenUp { reason, .. } if reason.contains("injected")), "{end:?}");
    assert_eq!(end[1..], [What::Asked { by: "ann".into() }, What::Restarted]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_what_waits_is_told() {
    let family = Family::new().await;
    let child = family.child("a").await.unwrap();
    assert_eq!(family.registry.inspect(child.path()).unwrap().mailbox_age, None);
    let (hold, held) = std::sync::mpsc::channel::<()>();
    child.cast(ChildMessage::Hold(held)).unwrap();
    let waiting = tokio::spawn({
        let child = child.clone();
        async move { child.call(ChildMessage::Count).await }
    });
    let until = |is: fn(&ActorSnapshot) -> bool| {
        let (registry, path) = (Arc::clone(&family.registry), child.path().clone());
        tokio::time::timeout(Duration::from_secs(10), async move {
            while !is(&registry.inspect(&path).unwrap()) {
                tokio::task::yield_now().await;
            }
        })
    };
    let old = |actor: &ActorSnapshot| actor.mailbox_age.is_some_and(|age| age > Duration::from_millis(20));
    until(|actor| actor.mailbox == 1).await.unwrap();
    until(old).await.unwrap();
    hold.send(()).unwrap();
    assert_eq!(waiting.await.unwrap(), Ok(2));
    until(|actor| actor.mailbox_age.is_none()).await.unwrap();
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
