//! The client's rules by value, and against a model server over random schedules.

use bytes::Bytes;
use devpocket_protocol::client::HelloEnvironment;
use devpocket_protocol::input::InputCursor;
use proptest::prelude::*;

use super::*;

const STREAM: Uuid = Uuid::from_u128(7);

fn client() -> Resume {
    Resume::new("main".to_owned(), STREAM, Size::DEFAULT, Mode::Control)
}

fn hello(output: u64, input: u64) -> ServerFrame {
    ServerFrame::Hello(Hello {
        session_id: "s1".to_owned(),
        session: "main".to_owned(),
        stream: STREAM.to_string(),
        output_offset: output,
        oldest_offset: 0,
        input_offset: input,
        cols: 80,
        rows: 24,
        window: 262_144,
        heartbeat_s: 20,
        mode: Mode::Control,
        environment: HelloEnvironment { id: "e".into(), name: "e".into(), status: "RUNNING".into() },
    })
}

fn output(offset: u64, len: usize) -> ServerFrame {
    ServerFrame::Output { offset, data: Bytes::from(vec![b'x'; len]) }
}

fn snapshot(offset: u64) -> ServerFrame {
    ServerFrame::Snapshot { offset, size: Size::DEFAULT, data: Bytes::new() }
}

#[test]
fn output_is_contiguous_or_a_violation() {
    let mut client = client();
    assert_eq!(client.receive(&output(0, 1)), Err(Violation::Hello));
    client.open();
    client.receive(&hello(5, 0)).unwrap();
    assert_eq!(client.receive(&hello(5, 0)), Err(Violation::Hello));
    assert_eq!(client.receive(&output(4, 1)), Err(Violation::Output { expected: 5, got: 4 }));
    client.receive(&output(5, 3)).unwrap();
    assert_eq!(client.receive(&output(9, 1)), Err(Violation::Output { expected: 8, got: 9 }));
    client.receive(&snapshot(20)).unwrap();
    assert_eq!(client.receive(&snapshot(19)), Err(Violation::OldSnapshot { have: 20, got: 19 }));
    client.receive(&output(20, 1)).unwrap();
}

#[test]
fn a_reconnect_asks_for_the_session_by_id_and_from_its_byte() {
    let mut client = client();
    let first = client.open();
    assert_eq!((first.session.as_str(), first.from), ("main", None));
    client.receive(&hello(5, 0)).unwrap();
    client.receive(&output(5, 3)).unwrap();
    client.lost();
    let second = client.open();
    assert_eq!((second.session.as_str(), second.from), ("s1", Some(8)));
    client.forget_output();
    assert_eq!(client.open().from, None);
    assert!(!client.recall_output());
}

#[test]
fn a_place_that_was_set_aside_is_taken_up_again_once() {
    let mut client = client();
    client.open();
    client.receive(&hello(5, 0)).unwrap();
    client.receive(&output(5, 3)).unwrap();
    client.lost();
    client.set_output_aside();
    assert_eq!(client.open().from, None);
    assert!(client.recall_output());
    assert_eq!(client.open().from, Some(8));
    assert!(!client.recall_output());
}

#[test]
fn output_is_acknowledged_when_shown_and_a_snapshot_at_once() {
    let mut client = client();
    client.open();
    client.receive(&hello(0, 0)).unwrap();
    client.receive(&output(0, ACK_EVERY as usize)).unwrap();
    assert_eq!(client.next_frame(), None);
    client.show(ACK_EVERY - 1);
    assert_eq!(client.next_frame(), None);
    client.show(ACK_EVERY);
    assert_eq!(client.next_frame(), Some(ClientFrame::Ack(ACK_EVERY)));
    assert_eq!(client.next_frame(), None);
    client.receive(&snapshot(ACK_EVERY + 10)).unwrap();
    assert_eq!(client.next_frame(), None);
    client.show(ACK_EVERY + 10);
    assert_eq!(client.next_frame(), Some(ClientFrame::Ack(ACK_EVERY + 10)));
    assert_eq!(client.next_frame(), None);
}

#[test]
fn input_is_bounded_and_goes_on_where_the_server_stands() {
    let mut client = client();
    assert_eq!(client.type_bytes(&vec![b'k'; UNACKED_LIMIT + 5]), UNACKED_LIMIT);
    client.open();
    assert_eq!(client.next_frame(), None);
    client.receive(&hello(0, 0)).unwrap();
    let mut sent = 0;
    while let Some(ClientFrame::Input { offset, data }) = client.next_frame() {
        assert_eq!(offset, sent);
        sent += data.len() as u64;
    }
    assert_eq!(sent, UNACKED_LIMIT as u64);
    client.receive(&ServerFrame::InputAck(10)).unwrap();
    client.open();
    let behind = client.receive(&hello(0, 9));
    assert_eq!(behind, Err(Violation::Input { from: 10, to: sent, got: 9 }));
    client.receive(&hello(0, 20)).unwrap();
    assert!(matches!(client.next_frame(), Some(ClientFrame::Input { offset: 20, .. })));
    assert_eq!(client.unacked(), UNACKED_LIMIT - 20);
}

#[test]
fn a_size_is_sent_once_and_never_by_a_viewer() {
    let larger = Size::new(100, 40).unwrap();
    let mut client = client();
    client.open();
    client.receive(&hello(0, 0)).unwrap();
    client.resize(Size::DEFAULT);
    assert_eq!(client.next_frame(), None);
    client.resize(larger);
    assert_eq!(client.next_frame(), Some(ClientFrame::Resize(larger)));
    assert_eq!(client.next_frame(), None);
    let mut viewer = Resume::new("main".to_owned(), STREAM, Size::DEFAULT, Mode::View);
    viewer.open();
    viewer.receive(&hello(0, 0)).unwrap();
    viewer.resize(larger);
    assert_eq!(viewer.type_bytes(b"x"), 0);
    assert_eq!(viewer.next_frame(), None);
    assert_eq!(viewer.open().size, larger);
}

#[derive(Debug, Clone)]
enum Step {
    Type(usize),
    /// The next frames of the client arrive.
    Deliver(usize),
    /// The agent's acknowledgement arrives.
    Acknowledge,
    /// The connection breaks; what is under way is lost.
    Cut,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1usize..40_000).prop_map(Step::Type),
        (1usize..6).prop_map(Step::Deliver),
        Just(Step::Acknowledge),
        Just(Step::Cut),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    /// However connections break, the server takes each byte typed once and in order.
    #[test]
    fn every_byte_typed_is_taken_once(steps in steps()) {
        let (mut client, mut server, mut taken, mut typed) =
            (client(), InputCursor::default(), Vec::new(), Vec::new());
        client.open();
        client.receive(&hello(0, 0)).unwrap();
        let reconnect = |client: &mut Resume, at: u64| {
            client.lost();
            client.open();
            client.receive(&hello(0, at)).unwrap();
        };
        for step in steps.iter().chain(&[Step::Cut, Step::Deliver(usize::MAX)]) {
            match step {
                Step::Type(n) => {
                    let data: Vec<u8> = (0..*n).map(|i| ((typed.len() + i) * 31 % 251) as u8).collect();
                    let n = client.type_bytes(&data);
                    typed.extend_from_slice(&data[..n]);
                }
                Step::Deliver(frames) => {
                    for _ in 0..*frames {
                        let Some(frame) = client.next_frame() else { break };
                        let ClientFrame::Input { offset, data } = frame else { panic!("{frame:?}") };
                        let fresh = server.fresh(offset, data.len()).unwrap();
                        taken.extend_from_slice(&data[fresh.clone()]);
                        server.advance(fresh.len());
                    }
                }
                Step::Acknowledge => client.receive(&ServerFrame::InputAck(server.expected())).unwrap(),
                Step::Cut => reconnect(&mut client, server.expected()),
            }
        }
        prop_assert_eq!(taken, typed);
    }
}
