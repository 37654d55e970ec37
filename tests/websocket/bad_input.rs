//! Frames that no client should send: the documented close code, and nobody else notices.

use devpocket_protocol::client::ClientFrame;
use devpocket_protocol::client::MAX_FRAME;
use tokio_tungstenite::tungstenite::Message;

use crate::common::raw::RawSocket;
use crate::common::server::TestServer;
use crate::common::shell::Shell;

#[tokio::test(flavor = "multi_thread")]
async fn bad_frames_close_their_own_socket_alone() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("frames").await;
    let mut other = Shell::quiet(person.options(&environment.id, "other")).await;
    let ahead = ClientFrame::Input { offset: 5, data: bytes::Bytes::from_static(b"x") }.encode();
    let unsent = ClientFrame::Ack(1 << 40).encode();
    let mut large = vec![0x01; MAX_FRAME + 1];
    large[1..9].fill(0);
    let huge = vec![0x01; 4 * 1024 * 1024];
    let cases: [(&str, Message, u16); 11] = [
        ("an empty frame", Message::Binary(bytes::Bytes::new()), 4400),
        ("an unknown type", Message::Binary(b"\x7fabc".as_slice().into()), 4400),
        ("a server's type", Message::Binary(b"\x81\0\0\0\0\0\0\0\0".as_slice().into()), 4400),
        ("INPUT without an offset", Message::Binary(b"\x01\0\0".as_slice().into()), 4400),
        ("RESIZE to nothing", Message::Binary(b"\x02\0\0\0\x18".as_slice().into()), 4400),
        ("RESIZE too long", Message::Binary(b"\x02\0\x50\0\x18\0".as_slice().into()), 4400),
        ("input with a gap", Message::Binary(ahead), 4400),
        ("an ACK of what was never sent", Message::Binary(unsent), 4400),
        ("text", Message::text("{\"type\":\"input\"}"), 4400),
        ("a frame over the limit", Message::Binary(large.into()), 1009),
        ("a frame far over it", Message::Binary(huge.into()), 1009),
    ];
    for (what, message, code) in cases {
        let mut socket = RawSocket::terminal(&server.url(), &environment.id, "session=bad", &person.token)
            .await
            .unwrap_or_else(|status| panic!("{what}: {status}"));
        socket.send(message).await;
        assert_eq!(socket.closed().await, code, "{what}");
    }
    // The session that they were sent to, and the other one, go on.
    let mut same = Shell::quiet(person.options(&environment.id, "bad")).await;
    assert_eq!(same.run("echo same").await, "same\r\n");
    assert_eq!(other.run("echo other").await, "other\r\n");
    assert_eq!(other.losses, 0);
}

/// Bytes that are no WebSocket frames, and connections that end in the middle of one.
#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_leave_nothing_behind() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("broken").await;
    let mut other = Shell::quiet(person.options(&environment.id, "main")).await;
    for _ in 0..20 {
        let socket = RawSocket::terminal(&server.url(), &environment.id, "session=main", &person.token).await;
        let socket = socket.unwrap_or_else(|status| panic!("connections are not given back: {status}"));
        drop(socket);
    }
    assert_eq!(other.run("echo here").await, "here\r\n");
    assert_eq!(other.losses, 0);
}
