//! The client against a model of a server, over real sockets that break.

use std::str::FromStr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use devpocket_protocol::client::{Hello, HelloEnvironment, Mode};
use devpocket_protocol::input::InputCursor;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use super::*;
use crate::client::{Backoff, ServerUrl};

#[test]
fn close_codes_are_followed_as_the_protocol_has_them() {
    for (code, next) in [
        (1000, Next::Stop),
        (1001, Next::Soon),
        (1005, Next::Later),
        (1006, Next::Later),
        (1009, Next::Stop),
        (1011, Next::Later),
        (1013, Next::Later),
        (4400, Next::Stop),
        (4401, Next::SignIn),
        (4403, Next::Stop),
        (4404, Next::Stop),
        (4408, Next::Later),
        (4410, Next::Stop),
    ] {
        assert_eq!(after_close(code), next, "{code}");
    }
}

/// What the model's session has, whatever connections come and go.
#[derive(Default)]
struct Session {
    taken: Vec<u8>,
    connections: usize,
}

fn program(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

fn query(request: &Request, key: &str) -> String {
    let query = request.uri().query().unwrap();
    let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{key}=")));
    pair.unwrap().to_owned()
}

/// Serves one connection; drops it after `frames` frames of output.
#[expect(clippy::result_large_err, reason = "the type of the handshake's callback is given")]
async fn serve(tcp: TcpStream, session: Arc<Mutex<Session>>, output: Arc<Vec<u8>>, frames: usize) {
    let (mut from, mut stream) = (String::new(), String::new());
    let socket = accept_hdr_async(tcp, |request: &Request, mut response: Response| {
        (from, stream) = (query(request, "from"), query(request, "stream"));
        let wanted = request.headers()["sec-websocket-protocol"].clone();
        response.headers_mut().insert("sec-websocket-protocol", wanted);
        Ok(response)
    });
    let Ok(mut socket) = socket.await else { return };
    let mut at: usize = from.parse().unwrap_or(0);
    let taken = session.lock().unwrap().taken.len() as u64;
    let hello = ServerFrame::Hello(Hello {
        session_id: "s1".into(),
        session: "main".into(),
        stream,
        output_offset: at as u64,
        oldest_offset: 0,
        input_offset: taken,
        cols: 80,
        rows: 24,
        window: 262_144,
        heartbeat_s: 20,
        mode: Mode::Control,
        environment: HelloEnvironment { id: "e".into(), name: "e".into(), status: "RUNNING".into() },
    });
    let mut cursor = InputCursor::at(taken);
    socket.send(Message::Binary(hello.encode())).await.unwrap();
    for _ in 0..frames {
        let n = 700.min(output.len() - at);
        if n > 0 {
            let data = Bytes::copy_from_slice(&output[at..at + n]);
            let frame = ServerFrame::Output { offset: at as u64, data };
            if socket.send(Message::Binary(frame.encode())).await.is_err() {
                return;
            }
            at += n;
        }
        let read = tokio::time::timeout(Duration::from_millis(2), socket.next()).await;
        match read {
            Err(_) => {}
            Ok(Some(Ok(Message::Binary(data)))) => {
                if let ClientFrame::Input { offset, data } = ClientFrame::decode(data).unwrap() {
                    let fresh = cursor.fresh(offset, data.len()).unwrap();
                    cursor.advance(fresh.len());
                    session.lock().unwrap().taken.extend_from_slice(&data[fresh]);
                    let ack = ServerFrame::InputAck(cursor.expected());
                    let _ = socket.send(Message::Binary(ack.encode())).await;
                }
            }
            Ok(_) => return,
        }
    }
}

#[tokio::test]
async fn output_and_input_are_exact_over_connections_that_break() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = ServerUrl::from_str(&listener.local_addr().unwrap().to_string()).unwrap();
    let (session, output) = (Arc::new(Mutex::new(Session::default())), Arc::new(program(20_000)));
    let accepting = tokio::spawn({
        let (session, output) = (Arc::clone(&session), Arc::clone(&output));
        async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                session.lock().unwrap().connections += 1;
                serve(tcp, Arc::clone(&session), Arc::clone(&output), 7).await;
            }
        }
    });

    let mut options = Options::new(server, "e", "token");
    options.backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(5));
    let mut client = TerminalClient::new(options);
    let (input, mut typed, mut got) = (program(5_000), 0, Vec::new());
    while got.len() < output.len() || session.lock().unwrap().taken.len() < input.len() {
        let n = (typed + 100).min(input.len());
        typed += client.type_bytes(&input[typed..n]);
        let event = tokio::time::timeout(Duration::from_secs(10), client.next_event()).await;
        if let Event::Output { data, .. } = event.expect("an event").expect("no error") {
            got.extend_from_slice(&data);
        }
    }
    accepting.abort();
    assert!(got == *output, "output differs");
    assert!(session.lock().unwrap().taken == input, "input differs");
    assert!(session.lock().unwrap().connections > 3);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = ServerUrl::from_str(&listener.local_addr().unwrap().to_string()).unwrap();
    drop(listener);
    let mut client = TerminalClient::new(Options::new(server, "e", "token"));
    assert!(matches!(client.next_event().await, Err(ClientError::Unreachable { .. })));
    assert!(matches!(client.next_event().await, Ok(Event::Closed { .. })));
}
