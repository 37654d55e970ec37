//! Clients that want to keep the server busy: what they may take is bounded, in size and in time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::server::TestServer;

/// The most that a test waits for one thing.
const PATIENCE: Duration = Duration::from_secs(30);

async fn connect(server: &TestServer) -> TcpStream {
    TcpStream::connect(server.running.addr()).await.unwrap()
}

/// All that still comes, until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = async {
        let mut piece = [0; 4096];
        // A reset is an end too.
        while let Ok(count @ 1..) = stream.read(&mut piece).await {
            all.extend_from_slice(&piece[..count]);
        }
    };
    timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("the server does not close"));
    String::from_utf8_lossy(&all).into_owned()
}

/// Writes slowly until the server has had enough; returns what it said.
async fn trickle(stream: TcpStream, byte: u8, pause: Duration) -> String {
    let (mut reader, mut writer) = stream.into_split();
    let writing = tokio::spawn(async move {
        while writer.write_all(&[byte]).await.is_ok() {
            sleep(pause).await;
        }
    });
    let mut said = Vec::new();
    let _ = timeout(PATIENCE, reader.read_to_end(&mut said))
        .await
        .unwrap_or_else(|_| panic!("the server does not close"));
    writing.abort();
    String::from_utf8_lossy(&said).into_owned()
}

async fn hasty() -> TestServer {
    TestServer::start(&[
        ("HTTP_HEADER_TIMEOUT", "1s"),
        ("HTTP_BODY_TIMEOUT", "2s"),
        ("HTTP_IDLE_TIMEOUT", "4s"),
    ])
    .await
}

#[tokio::test]
async fn a_head_that_trickles_is_cut() {
    let server = hasty().await;
    let mut stream = connect(&server).await;
    let began = Instant::now();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\nX-Slow: ").await.unwrap();
    let said = trickle(stream, b'a', Duration::from_millis(100)).await;
    assert_eq!(said, "");
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}: by the head's limit, not by the idle one",
        began.elapsed()
    );
    // The second head of a connection as well.
    let mut stream = connect(&server).await;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let began = Instant::now();
    trickle(stream, b'G', Duration::from_millis(100)).await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    server.running.stop().await;
}

#[tokio::test]
async fn a_body_that_trickles_is_answered_and_cut() {
    let server = hasty().await;
    let mut stream = connect(&server).await;
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let said = trickle(stream, b' ', Duration::from_millis(100)).await;
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    let body: Value = serde_json::from_str(said.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert!(body["detail"].as_str().unwrap().contains("in time"), "{body}");
    server.running.stop().await;
}

#[tokio::test]
async fn who_says_nothing_is_not_kept() {
    let server = hasty().await;
    let mut silent = connect(&server).await;
    let mut kept = connect(&server).await;
    kept.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    assert_eq!(rest(&mut silent).await, "");
    assert!(rest(&mut kept).await.starts_with("HTTP/1.1 200 "));
    server.running.stop().await;
}

#[tokio::test]
async fn who_takes_nothing_of_the_answer_is_not_kept() {
    let server = hasty().await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.running.addr()).await.unwrap();
    // Far more answers than the kernel takes in between.
    let many = "GET /api/v1/openapi.json HTTP/1.1\r\nHost: test\r\n\r\n".repeat(400);
    stream.write_all(many.as_bytes()).await.unwrap();
    let ended = async {
        // The connection is gone when a write says so.
        while stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.is_ok() {
            sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE, ended).await.unwrap_or_else(|_| panic!("the server does not close"));
    server.running.stop().await;
}

#[tokio::test]
async fn an_address_has_so_many_connections() {
    let most = [("MAX_CONNECTIONS_PER_ADDRESS", "3"), ("TRUST_PROXY_HOPS", "0")];
    let server = TestServer::start(&most).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&server).await;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        held.push(stream);
    }
    assert_eq!(rest(&mut connect(&server).await).await, "");
    drop(held.pop());
    let again = async {
        while server.raw_or_nothing("GET /health HTTP/1.1").await != Some(200) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, again).await.expect("the place is free again");
    drop(held);
    server.running.stop().await;
    // Behind a proxy all come from one address.
    let server = TestServer::start(&[("MAX_CONNECTIONS_PER_ADDRESS", "1")]).await;
    let first = connect(&server).await;
    assert_eq!(server.ask("GET", "/health", None, None).await.status, 200);
    drop(first);
    server.running.stop().await;
}

#[tokio::test]
async fn heads_are_bounded() {
    let server = TestServer::start(&[]).await;
    let many: String = (0..200).map(|number| format!("X-{number}: a\r\n")).collect();
    assert_eq!(server.raw(&format!("GET /health HTTP/1.1\r\n{}", many.trim_end()), b"").await.status, 431);
    let large = "a".repeat(500_000);
    assert_eq!(server.raw(&format!("GET /health HTTP/1.1\r\nX-Large: {large}"), b"").await.status, 431);
    let long = server.raw(&format!("GET /health?{large} HTTP/1.1"), b"").await.status;
    assert!([414, 431].contains(&long), "{long}");
    server.running.stop().await;
}

#[tokio::test]
async fn bodies_are_bounded_in_depth_and_in_members() {
    let server = TestServer::start(&[]).await;
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nContent-Type: application/json";
    let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    for depth in [200, 5_000, 1_000_000] {
        let answer = server.raw(head, deep(depth).as_bytes()).await;
        assert_eq!((answer.status, answer.text("detail").is_empty()), (400, false), "{depth}");
    }
    let members = |count: usize| {
        let all: Vec<_> = (0..count).map(|number| format!("\"k{number}\":0")).collect();
        format!("{{{}}}", all.join(","))
    };
    let few = server.raw(head, members(9_000).as_bytes()).await;
    assert!(few.status == 400 && few.text("detail").contains("required"), "{}", few.body);
    for count in [20_000, 400_000] {
        let many = server.raw(head, members(count).as_bytes()).await;
        assert!(many.status == 400 && many.text("detail").contains("10000 members"), "{}", many.body);
    }
    let form = "POST /api/v1/auth/login HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded";
    assert_eq!(server.raw(form, "a=1&".repeat(20_000).as_bytes()).await.status, 400);
    // One with many commas in a text is small.
    let text = json!({ "usernameOrEmail": ",".repeat(20_000), "password": "x" }).to_string();
    assert_eq!(server.raw(head, text.as_bytes()).await.status, 401);
    server.running.stop().await;
}

/// A sign-in to an account that there is not costs what any other does: one hash, one count.
#[tokio::test]
async fn as_many_sign_ins_wait_as_there_is_room_for_and_the_rest_comes_again() {
    let server = TestServer::start(&[("BCRYPT_ROUNDS", "10")]).await;
    let cores = std::thread::available_parallelism().unwrap().get();
    // Of one account they would come one after the other.
    let names: Vec<String> = (0..cores * 32 + 60).map(|number| format!("nobody{number}")).collect();
    let many = names.iter().map(|name| server.login(name, "wrong"));
    let began = Instant::now();
    let all = futures_util::future::join_all(many);
    // The others are served meanwhile: hashing has threads of its own.
    let other = async {
        sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        let health = server.ask("GET", "/health", None, None).await;
        (health.status, began.elapsed())
    };
    let (answers, (status, took)) = futures_util::future::join(all, other).await;
    assert!(status == 200 && took < Duration::from_secs(5), "{took:?} of {:?}", began.elapsed());
    let busy = answers.iter().filter(|answer| answer.status == 503).count();
    let refused = answers.iter().filter(|answer| answer.status == 401).count();
    assert!(busy >= 1 && refused >= 1 && busy + refused == answers.len(), "{busy} busy, {refused} refused");
    assert!(
        answers
            .iter()
            .filter(|answer| answer.status == 503)
            .all(|answer| answer.header("retry-after").is_some())
    );
    server.running.stop().await;
}
