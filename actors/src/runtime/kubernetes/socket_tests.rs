use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};

use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::super::upgrade::{RECEIVE, config};
use super::*;

const STDERR: u8 = 2;

fn layout(half_close: bool) -> Layout {
    Layout {
        input: 0,
        output: 1,
        errors: Some(STDERR),
        status: 3,
        judge: |text| if text == b"ok" { Ok(()) } else { Err(String::from_utf8_lossy(text).into_owned()) },
        half_close,
        preamble: 0,
    }
}

async fn pair(room: usize, layout: Layout) -> (ChannelStream<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (ours, theirs) = duplex(room);
    let ours = WebSocketStream::from_raw_socket(ours, Role::Client, Some(config())).await;
    let theirs = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
    (ChannelStream::new(ours, layout), theirs)
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    let mut all = vec![channel];
    all.extend_from_slice(bytes);
    Message::Binary(all.into())
}

#[tokio::test]
async fn output_is_read_and_a_good_end_is_the_end() {
    let (mut ours, mut theirs) = pair(1024, layout(false)).await;
    theirs.send(message(1, b"hello ")).await.unwrap();
    theirs.send(message(1, b"")).await.unwrap();
    theirs.send(message(1, b"world")).await.unwrap();
    theirs.send(message(3, b"ok")).await.unwrap();
    let mut all = String::new();
    ours.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "hello world");
}

#[tokio::test]
async fn a_failure_tells_the_status_and_what_was_written_to_stderr() {
    let (mut ours, mut theirs) = pair(64 * 1024, layout(false)).await;
    theirs.send(message(STDERR, &[b'x'; 9000])).await.unwrap();
    theirs.send(message(STDERR, b" no such file")).await.unwrap();
    theirs.send(message(1, b"partly")).await.unwrap();
    theirs.send(message(3, b"exit code 1")).await.unwrap();
    let mut all = Vec::new();
    let error = ours.read_to_end(&mut all).await.unwrap_err().to_string();
    assert_eq!(all, b"partly");
    assert!(error.contains("no such file") && error.contains("exit code 1") && error.len() < KEPT, "{error}");
    assert!(ours.write(b"x").await.is_err());
}

#[tokio::test]
async fn a_cut_is_the_end_of_the_stream() {
    let (mut ours, mut theirs) = pair(1024, layout(false)).await;
    theirs.send(message(1, b"last")).await.unwrap();
    drop(theirs);
    let mut all = String::new();
    ours.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "last");
}

#[tokio::test]
async fn input_is_cut_into_messages_and_waits_for_who_reads() {
    let (mut ours, mut theirs) = pair(4096, layout(false)).await;
    let sent = vec![7_u8; 300 * 1024];
    let mut written = 0;
    // Nobody reads: one message is taken beyond what the pipe holds, and no more.
    while let Ok(n) = timeout(Duration::from_millis(50), ours.write(&sent[written..])).await {
        written += n.unwrap();
    }
    assert!(written <= 2 * SEND, "{written}");
    let (mut rest, mut got) = (&sent[written..], 0);
    let (mut reader, mut writer) = split(ours);
    let writing = async {
        while !rest.is_empty() {
            let n = writer.write(rest).await.unwrap();
            rest = &rest[n..];
        }
        writer.flush().await.unwrap();
    };
    let taking = async {
        while got < sent.len() {
            let Some(Ok(Message::Binary(bytes))) = theirs.next().await else { panic!("cut short") };
            assert_eq!(bytes[0], 0);
            assert!(bytes.len() <= SEND + 1);
            got += bytes.len() - 1;
        }
    };
    tokio::select! {
        _ = async { tokio::join!(writing, taking) } => {}
        _ = reader.read_u8() => panic!("nothing was said"),
    }
    assert_eq!(got, sent.len());
}

#[tokio::test]
async fn what_was_written_leaves_without_a_flush() {
    let (ours, mut theirs) = pair(16, layout(false)).await;
    let (mut reader, mut writer) = split(ours);
    writer.write_all(b"a message that is longer than the pipe has room for").await.unwrap();
    // The writer goes on to something else; the reader, a task of its own, sends the rest.
    let reading = tokio::spawn(async move { reader.read_u8().await });
    let got = timeout(Duration::from_secs(5), theirs.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(got.len(), 52);
    reading.abort();
}

#[tokio::test]
async fn pings_are_answered_while_nobody_writes() {
    let (mut ours, mut theirs) = pair(1024, layout(false)).await;
    theirs.send(Message::Ping(Bytes::from_static(b"there?"))).await.unwrap();
    let reading = tokio::spawn(async move { ours.read_u8().await });
    let got = timeout(Duration::from_secs(5), theirs.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(got, Message::Pong(Bytes::from_static(b"there?")));
    reading.abort();
}

#[tokio::test]
async fn shutdown_closes_stdin_alone_where_it_can() {
    let (mut ours, mut theirs) = pair(1024, layout(true)).await;
    ours.shutdown().await.unwrap();
    assert_eq!(theirs.next().await.unwrap().unwrap(), Message::Binary(Bytes::from_static(&[CLOSE, 0])));
    theirs.send(message(1, b"still here")).await.unwrap();
    theirs.send(message(3, b"ok")).await.unwrap();
    let mut all = String::new();
    ours.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "still here");

    let (mut ours, mut theirs) = pair(1024, layout(false)).await;
    ours.shutdown().await.unwrap();
    assert!(theirs.next().await.unwrap().unwrap().is_close());
}

#[tokio::test]
async fn an_oversized_message_ends_it() {
    let (mut ours, mut theirs) = pair(4 * RECEIVE, layout(false)).await;
    theirs.send(message(1, &vec![0; RECEIVE + 1])).await.unwrap();
    assert!(ours.read_u8().await.is_err());
}

#[tokio::test]
async fn a_preamble_is_no_data() {
    let (mut ours, mut theirs) =
        pair(1024, Layout { output: 0, status: 1, preamble: 1, errors: None, ..layout(false) }).await;
    theirs.send(message(0, &[80, 0])).await.unwrap();
    theirs.send(message(1, &[80, 0])).await.unwrap();
    ours.begun().await.unwrap();
    theirs.send(message(1, b"refused")).await.unwrap();
    assert_eq!(ours.readable().await, Err("refused".to_owned()));
    assert!(ours.read_u8().await.unwrap_err().to_string().contains("refused"));
}
