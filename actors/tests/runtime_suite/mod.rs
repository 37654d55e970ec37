//! What every [`Runtime`] must do, told from outside: the same functions run against each
//! adapter. They talk to the real agent through [`Runtime::open`].

#![allow(dead_code, reason = "each adapter's tests use the part that applies to it")]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use devpocket_actors::persistence::Plan;
use devpocket_actors::runtime::{
    BoxStream, EnvironmentKey, EnvironmentSpec, LogQuery, Observed, Placement, Resources, Runtime,
    RuntimeError,
};
use devpocket_protocol::Size;
use devpocket_protocol::agent::{
    self, AgentFrame, ControlEvent, FrameReader, Open, OpenSession, Phase, Role, ServerFrame, StreamId,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;

/// Long enough for a busy machine; nothing waits this long on a free one.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Names an environment of the suite's one user.
pub fn key(id: &str) -> EnvironmentKey {
    EnvironmentKey { id: id.to_owned(), user_id: "u1".to_owned() }
}

/// An environment that a test may use: a fresh id each time.
pub fn spec(name: &str) -> EnvironmentSpec {
    let id: String = format!("c{}", uuid::Uuid::new_v4().simple()).chars().take(25).collect();
    EnvironmentSpec {
        key: key(&id),
        name: name.to_owned(),
        plan: Plan::Pro,
        template: "test".to_owned(),
        image: "debian:12".to_owned(),
        port: 8080,
        variables: BTreeMap::from([("FLAVOUR".to_owned(), "plain vanilla".to_owned())]),
        install: Vec::new(),
        startup: Vec::new(),
        resources: Resources { cpu_millis: 1000, memory_bytes: 1 << 30, storage_bytes: 10 << 30 },
        placement: Placement::default(),
    }
}

/// A channel to an agent, frame by frame.
pub struct Channel {
    stream: BoxStream,
    reader: FrameReader,
}

impl Channel {
    pub async fn open(runtime: &dyn Runtime, environment: &EnvironmentKey, role: Role) -> Self {
        let stream = runtime.open(environment).await.expect("the agent is reached");
        let mut channel = Self { stream, reader: FrameReader::default() };
        channel.send(&ServerFrame::Open(Open { version: agent::VERSION, role })).await;
        channel
    }

    pub async fn send(&mut self, frame: &ServerFrame) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.stream.write_all(&bytes).await.expect("the agent takes a frame");
    }

    /// The next frame; nothing once the channel has ended.
    pub async fn next(&mut self) -> Option<AgentFrame> {
        loop {
            if let Some(frame) = self.reader.next_frame().expect("frames are well formed") {
                return Some(AgentFrame::decode(frame).expect("frames are known"));
            }
            let read = timeout(PATIENCE, self.stream.read_buf(self.reader.buffer())).await;
            if read.expect("the agent says something in time").unwrap_or(0) == 0 {
                return None;
            }
        }
    }
}

/// Runs a command in a new terminal session and returns what it wrote.
pub async fn shell(runtime: &dyn Runtime, environment: &EnvironmentKey, command: &str) -> String {
    let session = OpenSession {
        id: uuid::Uuid::new_v4().to_string(),
        name: "test".to_owned(),
        size: Size::DEFAULT,
        create: true,
        from: None,
        backfill: 1 << 20,
    };
    let mut channel = Channel::open(runtime, environment, Role::Session(session)).await;
    // The marks are put together by printf, so that the echo of the command does not hold them.
    let line = format!("printf '@%s@' begin; {command}; printf '@%s@' end; exit\n");
    let stream = StreamId(*uuid::Uuid::new_v4().as_bytes());
    channel.send(&ServerFrame::Input { stream, offset: 0, data: Bytes::from(line) }).await;
    let mut output = Vec::new();
    loop {
        match channel.next().await {
            Some(AgentFrame::Output { data, .. }) => output.extend_from_slice(&data),
            Some(AgentFrame::Refused(refusal)) => panic!("refused: {}", refusal.message),
            Some(AgentFrame::Exit(_)) | None => break,
            Some(_) => {}
        }
    }
    let text = String::from_utf8_lossy(&output).replace("\r\n", "\n");
    let (_, after) = text.split_once("@begin@").unwrap_or_else(|| panic!("no output: {text:?}"));
    let (between, _) = after.split_once("@end@").unwrap_or_else(|| panic!("cut short: {text:?}"));
    between.trim().to_owned()
}

/// Waits until what is observed is as wanted.
pub async fn wait_for(
    seen: &mut watch::Receiver<Observed>,
    wanted: impl FnMut(&Observed) -> bool,
) -> Observed {
    let found = timeout(PATIENCE, seen.wait_for(wanted))
        .await
        .map(|found| found.expect("the runtime goes on watching").clone());
    found.unwrap_or_else(|_| panic!("still {:?}", *seen.borrow()))
}

/// Makes it run, and waits until it does. Returns the instance.
pub async fn start(runtime: &dyn Runtime, spec: &EnvironmentSpec) -> String {
    runtime.ensure(spec).await.expect("the environment is started");
    let mut seen = runtime.watch(&spec.key).await.expect("it can be watched");
    match wait_for(&mut seen, |seen| matches!(seen, Observed::Running { .. })).await {
        Observed::Running { instance, .. } => instance,
        other => panic!("{other:?}"),
    }
}

/// Absent, Running, Absent, Running again with another instance; the home is kept throughout.
pub async fn the_home_outlives_a_stop(runtime: &dyn Runtime, spec: &EnvironmentSpec) {
    let mut seen = runtime.watch(&spec.key).await.unwrap();
    assert_eq!(*seen.borrow_and_update(), Observed::Absent);
    let first = start(runtime, spec).await;
    shell(runtime, &spec.key, "mkdir -p ~/src && echo kept >~/src/file").await;

    runtime.stop(&spec.key).await.unwrap();
    wait_for(&mut seen, |seen| *seen == Observed::Absent).await;
    assert!(runtime.open(&spec.key).await.is_err());
    runtime.stop(&spec.key).await.expect("stopping what is stopped is fine");

    let second = start(runtime, spec).await;
    assert_ne!(first, second);
    assert_eq!(shell(runtime, &spec.key, "cat ~/src/file").await, "kept");
}

/// A second `ensure` changes nothing, whether it comes later or at the same moment.
pub async fn ensure_may_be_repeated(runtime: &dyn Runtime, spec: &EnvironmentSpec) {
    let starts = (0..5).map(|_| runtime.ensure(spec));
    for result in futures_util::future::join_all(starts).await {
        result.unwrap();
    }
    let instance = start(runtime, spec).await;
    assert_eq!(start(runtime, spec).await, instance);
}

/// The variables are there, and the environment knows who and where it is.
pub async fn variables_reach_the_shell(runtime: &dyn Runtime, spec: &EnvironmentSpec) {
    start(runtime, spec).await;
    let shown = shell(runtime, &spec.key, "echo \"$FLAVOUR|$(id -u)|$(pwd)|$HOME\"").await;
    let fields: Vec<&str> = shown.split('|').collect();
    assert_eq!(fields[0], "plain vanilla");
    assert_eq!(fields[2], fields[3], "a session starts at home");
}

/// A startup command that fails is counted and does not keep the environment from running.
pub async fn a_failing_startup_command_stops_nothing(runtime: &dyn Runtime, spec: &EnvironmentSpec) {
    let startup = vec!["echo first >~/first".to_owned(), "false".to_owned(), "echo last >~/last".to_owned()];
    let spec = EnvironmentSpec { startup, ..spec.clone() };
    start(runtime, &spec).await;
    let mut channel = Channel::open(runtime, &spec.key, Role::Control).await;
    let failed = loop {
        let frame = channel.next().await.expect("the agent tells its phase");
        if let AgentFrame::Control(ControlEvent::Phase { phase: Phase::Ready { failed_commands } }) = frame {
            break failed_commands;
        }
    };
    assert_eq!(failed, 1);
    assert_eq!(shell(runtime, &spec.key, "cat ~/first ~/last").await, "first\nlast");
}

/// Figures are shares, and work shows in them.
pub async fn stats_are_shares(runtime: &dyn Runtime, spec: &EnvironmentSpec) {
    start(runtime, spec).await;
    runtime.stats(spec).await.unwrap();
    shell(runtime, &spec.key, "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done").await;
    let stats = runtime.stats(spec).await.unwrap();
    for share in [stats.cpu_percent, stats.memory_percent, stats.storage_percent] {
        assert!((0.0..=100.0).contains(&share), "{stats:?}");
    }
    assert!(stats.memory_percent > 0.0, "{stats:?}");
}

/// A server inside is reached; a port without one is an error that says so.
pub async fn a_port_is_forwarded(runtime: &dyn Runtime, spec: &EnvironmentSpec, port: u16, serve: &str) {
    start(runtime, spec).await;
    let closed = runtime.forward(&spec.key, port).await.err().expect("nothing listens yet");
    assert!(closed.to_string().contains(&port.to_string()), "{closed}");
    shell(runtime, &spec.key, serve).await;
    let connected = timeout(PATIENCE, async {
        loop {
            match runtime.forward(&spec.key, port).await {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    let mut stream = connected.await.expect("the server inside is reached");
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert_eq!(said.trim(), "hello from inside");
}

/// Deleting removes the volume, may be repeated, and spares the neighbour.
pub async fn delete_removes_all_of_it_alone(
    runtime: &dyn Runtime,
    spec: &EnvironmentSpec,
    other: &EnvironmentSpec,
) {
    start(runtime, spec).await;
    let instance = start(runtime, other).await;
    shell(runtime, &spec.key, "echo mine >~/file").await;
    shell(runtime, &other.key, "echo theirs >~/file").await;
    runtime.delete(&spec.key).await.unwrap();
    runtime.delete(&spec.key).await.expect("deleting what is gone is fine");
    assert_eq!(*runtime.watch(&spec.key).await.unwrap().borrow(), Observed::Absent);
    assert_eq!(start(runtime, other).await, instance);
    assert_eq!(shell(runtime, &other.key, "cat ~/file").await, "theirs");
    start(runtime, spec).await;
    assert_eq!(shell(runtime, &spec.key, "ls ~/file || echo gone").await.lines().last(), Some("gone"));
}

/// What is no id is refused by every call, for good.
pub async fn hostile_ids_are_refused(runtime: &dyn Runtime) {
    let query = LogQuery { lines: 1, since: None, previous: false };
    for id in ["", ".", "..", "../other", "a/b", "/etc", "-rf", "A", "a b", &"x".repeat(300)] {
        let key = &key(id);
        let refused = |result: Result<(), RuntimeError>| {
            assert!(matches!(result, Err(RuntimeError::Rejected(_))), "{id:?}: {result:?}");
        };
        refused(runtime.ensure(&EnvironmentSpec { key: key.clone(), ..spec("x") }).await);
        refused(runtime.stop(key).await);
        refused(runtime.delete(key).await);
        refused(runtime.watch(key).await.map(drop));
        refused(runtime.open(key).await.map(drop));
        refused(runtime.logs(key, query).await.map(drop));
        refused(runtime.forward(key, 80).await.map(drop));
    }
}
