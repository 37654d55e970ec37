//! Byte streams into pods: channels to agents, and ports.

use std::time::{Duration, Instant};

use devpocket_actors::runtime::{EnvironmentKey, Runtime, RuntimeError};
use devpocket_protocol::agent::{AgentFrame, Role, ServerFrame};
use kube::api::DeleteParams;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::time::{sleep, timeout};

use crate::place::{Agent, PATIENCE, Place};
use crate::runtime_suite::{self, Channel};
use crate::words;

#[tokio::test]
async fn the_agent_greets() {
    let place = Place::new().await;
    let config = json!({
        "environment_id": "e1", "environment_name": "test", "socket": "/devpocket/run/agent.sock", "home": "/tmp",
    });
    let run = format!(
        "echo '{config}' >/tmp/agent.json; exec /devpocket/bin/devpocket-agent run --config /tmp/agent.json"
    );
    place.running(&Agent::Real, json!(["bash", "-c", run])).await;
    let shown = runtime_suite::shell(&place.runtime, &place.key(), "echo $((6*7))").await;
    assert_eq!(shown, "42");
    let mut channel = Channel::open(&place.runtime, &place.key(), Role::Control).await;
    assert!(matches!(channel.next().await, Some(AgentFrame::Welcome(_))));
    channel.send(&ServerFrame::Ping(7)).await;
    loop {
        if let AgentFrame::Pong(echoed) = channel.next().await.expect("the channel stays") {
            break assert_eq!(echoed, 7);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_output_comes_byte_for_byte() {
    let place = Place::with_script("exec seq 1 2700000").await;
    let mut stream = place.runtime.open(&place.key()).await.unwrap();
    let began = Instant::now();
    let mut got = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut got)).await.unwrap().unwrap();
    println!("{} bytes in {:?}", got.len(), began.elapsed());
    let wanted: String = (1..=2_700_000).map(|line| format!("{line}\n")).collect();
    assert!(got == wanted.as_bytes(), "{} of {} bytes", got.len(), wanted.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_input_waits_and_comes_byte_for_byte() {
    let place = Place::with_script("sleep 2; exec cat").await;
    let (mut reader, mut writer) = split(place.runtime.open(&place.key()).await.unwrap());
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let wanted = sent.clone();
    let writing = tokio::spawn(async move {
        // No flush: what was written leaves all the same.
        writer.write_all(&sent).await.unwrap();
        std::future::pending::<()>().await;
    });
    let mut got = vec![0; wanted.len()];
    timeout(PATIENCE, reader.read_exact(&mut got)).await.unwrap().unwrap();
    assert!(got == wanted);
    writing.abort();
}

#[tokio::test]
async fn who_does_not_read_keeps_the_stream() {
    let place = Place::with_script("seq 1 1000000; exec cat").await;
    let mut stream = place.runtime.open(&place.key()).await.unwrap();
    // Nothing is waited for: the reader is away for as long as a heartbeat may go unanswered.
    sleep(Duration::from_secs(12)).await;
    let mut left: usize = (1..=1_000_000).map(|line: u32| line.to_string().len() + 1).sum();
    let mut buffer = vec![0; 64 * 1024];
    while left > 0 {
        let room = buffer.len().min(left);
        left -= timeout(PATIENCE, stream.read(&mut buffer[..room])).await.unwrap().unwrap();
    }
    stream.write_all(b"still there").await.unwrap();
    let mut echo = [0; 11];
    timeout(PATIENCE, stream.read_exact(&mut echo)).await.unwrap().unwrap();
    assert_eq!(&echo, b"still there");
}

#[tokio::test]
async fn a_pod_that_goes_ends_its_streams() {
    let place = Place::with_script("exec cat").await;
    let mut stream = place.runtime.open(&place.key()).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap(), b'x');
    let gone = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    place.pods().delete("env-e1-0", &gone).await.unwrap();
    let began = Instant::now();
    let end = timeout(PATIENCE, stream.read_u8()).await.expect("the end is seen in time");
    println!("ended after {:?}: {end:?}", began.elapsed());
    assert!(end.is_err());
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let place = Place::with_script("echo 'no agent can be reached' >&2; exit 1").await;
    let mut stream = place.runtime.open(&place.key()).await.unwrap();
    let error = timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap_err().to_string();
    println!("agent fails: {error}");
    assert!(error.contains("no agent can be reached"), "{error}");

    let place = Place::new().await;
    place.running(&Agent::Missing, json!(["sleep", "3600"])).await;
    let error = match place.runtime.open(&place.key()).await {
        Ok(mut stream) => timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    println!("agent missing: {error}");
    assert!(error.contains("no such file"), "{error}");

    let other = EnvironmentKey { id: "e2".to_owned(), ..place.key() };
    let missing = place.runtime.open(&other).await.map(drop);
    assert!(matches!(missing, Err(RuntimeError::Unavailable(_))), "{missing:?}");
    println!("no pod: {}", words(missing));
    println!("no pod to forward to: {}", words(place.runtime.forward(&other, 80).await));
}

#[tokio::test]
async fn ports_are_forwarded() {
    let place = Place::new().await;
    // An echo; the image's Python has little more than sockets.
    let server = "import socket,os
l=socket.socket()
l.bind(('127.0.0.1',8080))
l.listen(9)
while 1:
 c,_=l.accept()
 if os.fork()==0:
  while 1:
   b=c.recv(65536)
   if not b or b==b'bye': os._exit(0)
   c.sendall(b)
 c.close()";
    place.running(&Agent::Missing, json!(["python3", "-c", server])).await;
    let began = Instant::now();
    let closed = place.runtime.forward(&place.key(), 9999).await;
    assert!(matches!(closed, Err(RuntimeError::Unavailable(_))), "nothing listens on 9999");
    println!("refused after {:?}: {}", began.elapsed(), words(closed));
    let began = Instant::now();
    let stream = timeout(PATIENCE, async {
        loop {
            match place.runtime.forward(&place.key(), 8080).await {
                Ok(stream) => return stream,
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    });
    let (mut reader, mut writer) = split(stream.await.unwrap());
    println!("forwarded after {:?}", began.elapsed());
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 249) as u8).collect();
    let wanted = sent.clone();
    let writing = tokio::spawn(async move { writer.write_all(&sent).await.map(|()| writer) });
    let mut got = vec![0; wanted.len()];
    timeout(PATIENCE, reader.read_exact(&mut got)).await.unwrap().unwrap();
    assert!(got == wanted);
    // The end of the server's side is the end of the stream.
    let mut writer = writing.await.unwrap().unwrap();
    writer.write_all(b"bye").await.unwrap();
    let end = timeout(PATIENCE, reader.read_u8()).await.expect("the end is seen in time");
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}
