//! Whose size a session has.

use devpocket_protocol::Size;
use devpocket_protocol::client::{ClientFrame, Mode};

use crate::common::raw::RawSocket;
use crate::common::server::{Person, TestServer};
use crate::common::shell::Shell;

fn size(cols: u16, rows: u16) -> Size {
    Size::new(cols, rows).unwrap()
}

async fn client(person: &Person, environment: &str, size: Size, mode: Mode) -> Shell {
    let mut options = person.options(environment, "main");
    options.size = size;
    options.mode = mode;
    Shell::open(options).await
}

/// What the program sees.
async fn seen(shell: &mut Shell) -> String {
    let text = shell.run("stty size").await;
    text.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_size_is_that_of_who_typed_last() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("sizes").await;
    let mut options = person.options(&environment.id, "main");
    options.size = size(100, 40);
    let mut laptop = Shell::quiet(options).await;
    assert_eq!(seen(&mut laptop).await, "40 100");

    let mut phone = client(&person, &environment.id, size(45, 20), Mode::Control).await;
    assert_eq!(seen(&mut phone).await, "20 45");
    let told = |shell: &Shell| shell.statuses.iter().any(|status| status.cols == Some(45));
    laptop.until("the news of the size", told).await;
    assert_eq!(seen(&mut laptop).await, "40 100");

    // A change of its own counts as well, without typing.
    phone.client.resize(size(50, 25));
    phone.until("its own size", |shell| shell.statuses.iter().any(|status| status.cols == Some(50))).await;
    let rows = phone.run("stty size").await;
    assert_eq!(rows.trim(), "25 50");

    // A keyboard slides in: the height alone, in steps.
    for rows in [22, 18, 15] {
        phone.client.resize(size(50, rows));
    }
    phone.until("the height", |shell| shell.statuses.iter().any(|status| status.rows == Some(15))).await;
    assert_eq!(seen(&mut phone).await, "15 50");

    // Who leaves counts no more.
    phone.client.leave().await;
    laptop
        .until("the size back", |shell| shell.statuses.last().is_some_and(|status| status.cols == Some(100)))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_changes_nothing() {
    let server = TestServer::start().await;
    let person = server.demo().await;
    let environment = person.environment("viewed").await;
    let mut options = person.options(&environment.id, "main");
    options.size = size(100, 40);
    let mut typist = Shell::quiet(options).await;
    let mut viewer = client(&person, &environment.id, size(30, 10), Mode::View).await;
    viewer.client.resize(size(31, 11));
    assert_eq!(seen(&mut typist).await, "40 100");
    viewer.until_text("40 100").await;

    let query = "session=main&mode=view";
    for frame in [
        ClientFrame::Input { offset: 0, data: bytes::Bytes::from_static(b"exit\n") },
        ClientFrame::Resize(size(31, 11)),
    ] {
        let mut socket = RawSocket::terminal(&server.url(), &environment.id, query, &person.token)
            .await
            .unwrap_or_else(|s| panic!("{s}"));
        socket.bytes(&frame.encode()).await;
        assert_eq!(socket.closed().await, 4403, "{frame:?}");
    }
    assert_eq!(seen(&mut typist).await, "40 100");
    assert_eq!(typist.losses + viewer.losses, 0);
}
