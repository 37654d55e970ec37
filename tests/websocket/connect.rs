//! `devpocket connect` as a person sees it: the real program on a real pseudo-terminal.

use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use devpocket_protocol::Size;
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{InputModes, LocalModes, OutputModes, Winsize};
use tokio::sync::mpsc;

use crate::common::server::{LOOK, TestServer};
use crate::common::shell::find;
use crate::common::soon;

/// A terminal that somebody sits at.
struct Seat {
    /// The emulator's end.
    master: Arc<OwnedFd>,
    /// The program's end, held open so that its modes can be looked at afterwards.
    slave: OwnedFd,
    child: Child,
    pieces: mpsc::UnboundedReceiver<Vec<u8>>,
    emulator: vt100::Parser,
    written: Vec<u8>,
    /// What of it was waited for.
    seen: usize,
}

fn winsize(size: Size) -> Winsize {
    Winsize { ws_row: size.rows(), ws_col: size.cols(), ws_xpixel: 0, ws_ypixel: 0 }
}

fn side(side: u16) -> std::num::NonZeroU16 {
    std::num::NonZeroU16::new(side).unwrap()
}

impl Seat {
    /// Runs `devpocket connect` on a terminal of `size`.
    fn at(server: &TestServer, size: Size, arguments: &[&str]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).unwrap();
        rustix::termios::tcsetwinsize(&master, winsize(size)).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        // It makes the terminal the controlling one: who resizes it is told by a signal.
        let child = Command::new("setsid")
            .args(["--ctty", env!("CARGO_BIN_EXE_devpocket"), "connect", "--data-dir"])
            .arg(server.data())
            .args(arguments)
            .env("XDG_CONFIG_HOME", server.data().join("config"))
            .env_remove("DEVPOCKET_SERVER")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let master = Arc::new(master);
        let (sender, pieces) = mpsc::unbounded_channel();
        let reading = Arc::clone(&master);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                match rustix::io::read(&reading, &mut buffer) {
                    Ok(0) | Err(Errno::IO) => return,
                    Ok(n) => {
                        if sender.send(buffer[..n].to_vec()).is_err() {
                            return;
                        }
                    }
                    Err(Errno::INTR) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let emulator = vt100::Parser::new(side(size.rows()), side(size.cols()), 0);
        Self { master, slave, child, pieces, emulator, written: Vec::new(), seen: 0 }
    }

    fn type_text(&self, text: &str) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let n = rustix::io::write(&self.master, rest).unwrap();
            rest = &rest[n..];
        }
    }

    /// Takes what is written next.
    async fn step(&mut self) {
        let piece = self.pieces.recv().await.expect("the terminal is held open here");
        self.emulator.process(&piece);
        self.written.extend_from_slice(&piece);
    }

    /// Waits until this was written after what was waited for last; returns what came before it.
    async fn until(&mut self, text: &str) -> String {
        let waiting = async {
            loop {
                if let Some(at) = find(&self.written[self.seen..], text.as_bytes()) {
                    let before = self.written[self.seen..self.seen + at].to_vec();
                    self.seen += at + text.len();
                    return String::from_utf8_lossy(&before).into_owned();
                }
                self.step().await;
            }
        };
        soon(text, waiting).await
    }

    fn screen(&self) -> String {
        self.emulator.screen().contents()
    }

    fn resize(&mut self, size: Size) {
        self.emulator.screen_mut().set_size(side(size.rows()), side(size.cols()));
        rustix::termios::tcsetwinsize(&self.master, winsize(size)).unwrap();
    }

    /// The terminal's modes, as far as programs change them.
    fn modes(&self) -> (InputModes, OutputModes, LocalModes) {
        let modes = rustix::termios::tcgetattr(&self.slave).unwrap();
        (modes.input_modes, modes.output_modes, modes.local_modes)
    }

    /// Waits until the program has ended.
    async fn ended(&mut self) -> ExitStatus {
        let ending = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        soon("the end of the program", ending).await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- the terminal showed:\n{}", self.screen());
        }
    }
}

/// Signs in by hand, makes an environment from a list, works, turns the phone, loses the server,
/// goes on, and leaves from the middle of a full-screen program.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_works_and_leaves() {
    let mut server = TestServer::start().await;
    let account = std::fs::read(server.data().join("demo-account.json")).unwrap();
    let account: serde_json::Value = serde_json::from_slice(&account).unwrap();
    let mut seat = Seat::at(&server, Size::new(100, 30).unwrap(), &[]);
    let before = seat.modes();

    seat.until("Name or e-mail: ").await;
    seat.type_text(&format!("{}\n", account["username"].as_str().unwrap()));
    seat.until("Password: ").await;
    let password = account["password"].as_str().unwrap();
    seat.type_text(&format!("{password}\n"));
    let list = seat.until("Number: ").await;
    assert!(!list.contains(password), "the password was shown");
    let ubuntu = list.lines().find(|line| line.to_lowercase().contains("ubuntu")).expect("a template");
    seat.type_text(&format!("{}\n", ubuntu.split_whitespace().next().unwrap()));
    seat.until("Its name").await;
    seat.type_text("seat\n");

    // The marks are cut in two, so that the echo does not hold them.
    seat.until("$ ").await;
    seat.type_text("printf 'he%s\\n' llo; stty size\r");
    seat.until("hello\r\n30 100\r\n").await;
    assert!(!seat.modes().2.intersects(LocalModes::ICANON | LocalModes::ECHO), "it is not raw");

    seat.resize(Size::new(60, 20).unwrap());
    seat.type_text("until [ \"$(stty size)\" = '20 60' ]; do sleep 0.05; done; printf 'turn%s\\n' ed\r");
    seat.until("turned\r\n").await;

    server.kill();
    seat.until("connection lost, retrying… (Enter ~. leaves)").await;
    assert!(seat.screen().contains("connection lost"), "{}", seat.screen());
    server.run().await;
    seat.type_text("printf 'ba%s\\n' ck\r");
    seat.until("back\r\n").await;
    let screen = seat.screen();
    assert!(!screen.contains("connection lost"), "{screen}");
    assert!(screen.contains("hello") && screen.contains("turned"), "the screen came back: {screen}");

    seat.type_text("printf '\\033[?1049h\\033[?2004h\\033[?1h\\033[?25lfull%s' screen; cat >/dev/null\r");
    seat.until("fullscreen").await;
    assert!(seat.emulator.screen().alternate_screen());
    seat.type_text("\r~.");
    seat.until("[left; the session goes on]").await;
    assert!(seat.ended().await.success());
    assert_eq!(seat.modes(), before, "the modes it found");
    let screen = seat.emulator.screen();
    let left = (screen.alternate_screen(), screen.bracketed_paste(), screen.application_cursor());
    assert_eq!((left, screen.hide_cursor()), ((false, false, false), false));

    // It went on, and whoever comes back need not sign in again.
    let mut again = Seat::at(&server, Size::new(60, 20).unwrap(), &["seat"]);
    again.until("fullscreen").await;
    again.type_text("\u{3}");
    again.until("$ ").await;
    again.type_text("exit 4\r");
    again.until("[the shell ended with 4]").await;
    assert_eq!(again.ended().await.code(), Some(4));
}
