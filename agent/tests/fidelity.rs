//! The screen after a snapshot equals the screen after the whole replay.
//!
//! Three terminals judge: the agent's own, and two of other authors. Each is given the whole
//! recording on one side, the snapshot taken at a cut and the rest on the other. What a judge
//! does not know it does not know on both sides.
#![allow(clippy::unwrap_used, clippy::panic)]

mod engines;

use avt::Terminal;
use devpocket_agent::screen::{Emulator, Screen};
use devpocket_protocol::Size;
use devpocket_protocol::client::MAX_SNAPSHOT;
use engines::{Avt, Vt100};
use proptest::prelude::*;

/// The recordings with their sizes.
fn recordings() -> Vec<(String, Size, Vec<u8>)> {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let size = name.rsplit_once('-').and_then(|(_, size)| size.split_once('x'));
        if let Some((cols, rows)) = size {
            let size = Size::new(cols.parse().unwrap(), rows.parse().unwrap()).unwrap();
            all.push((name.clone(), size, std::fs::read(entry.path()).unwrap()));
        }
    }
    assert!(all.len() >= 12);
    all
}

/// Places where a recording may be cut: before a line feed or a CSI.
fn cuts(bytes: &[u8], count: usize) -> Vec<usize> {
    let near = |at: usize| {
        (at..bytes.len())
            .find(|&i| bytes[i] == b'\n' || bytes[i..].starts_with(b"\x1b["))
            .unwrap_or(bytes.len())
    };
    (0..=count).map(|i| near(bytes.len() * i / count)).collect()
}

/// What can be seen with each judge: rows, cursor, modes.
trait Judge: Screen {
    fn make(size: Size) -> Self;
    fn view(&self) -> Vec<String>;
}

impl Judge for Emulator {
    fn make(size: Size) -> Self {
        Self::new(size)
    }
    fn view(&self) -> Vec<String> {
        self.describe()
    }
}

impl Judge for Vt100 {
    fn make(size: Size) -> Self {
        Self::new(size)
    }
    fn view(&self) -> Vec<String> {
        let screen = self.parser.screen();
        let mut out = vec![format!("{:?} {}", screen.cursor_position(), screen.alternate_screen())];
        out.push(screen.input_mode_formatted());
        let (rows, cols) = screen.size();
        for row in 0..rows.get() {
            let cell = |col| screen.cell(row, col).unwrap();
            // What a blank would be written with can't be seen.
            let look = |c: &vt100::Cell| {
                let text = if c.has_contents() { c.contents() } else { " " }.to_owned();
                let ink =
                    (text != " " || c.inverse()).then(|| (c.fgcolor(), c.bold(), c.italic(), c.underline()));
                (text, c.is_wide(), c.bgcolor(), c.inverse(), ink)
            };
            out.push((0..cols.get()).map(|col| format!("{:?}", look(cell(col)))).collect());
        }
        out
    }
}

impl Judge for Avt {
    fn make(size: Size) -> Self {
        Self::new(size)
    }
    fn view(&self) -> Vec<String> {
        let terminal: &Terminal = &self.terminal;
        let mut out = vec![format!("{:?}", terminal.cursor())];
        for screen in [terminal.screen(), terminal.primary_screen()] {
            out.extend(screen.visible_lines().map(|line| line.text().trim_end().to_owned()));
        }
        out
    }
}

#[track_caller]
fn judge<J: Judge>(name: &str, size: Size, bytes: &[u8], cut: usize) {
    let mut source = Emulator::new(size);
    source.feed(&bytes[..cut]);
    let snapshot = source.snapshot(MAX_SNAPSHOT);
    assert!(snapshot.starts_with(b"\x1bc") && snapshot.len() <= MAX_SNAPSHOT);
    let (mut whole, mut resumed) = (J::make(size), J::make(size));
    whole.feed(&bytes[..cut]);
    // A terminal that had been used for something else.
    resumed.feed(b"\x1b[5;9rold\x1b[31m\x1b[?1h");
    resumed.feed(&snapshot);
    same(name, cut, &whole, &resumed);
    whole.feed(&bytes[cut..]);
    resumed.feed(&bytes[cut..]);
    same(&format!("{name}, at the end,"), cut, &whole, &resumed);
}

#[track_caller]
fn same(name: &str, cut: usize, whole: &impl Judge, resumed: &impl Judge) {
    let (a, b) = (whole.view(), resumed.view());
    for (row, (a, b)) in a.iter().zip(&b).enumerate() {
        assert_eq!(a, b, "{name} cut at {cut}, line {row}");
    }
    assert_eq!(a.len(), b.len(), "{name} cut at {cut}");
}

#[test]
fn recordings_resume_exactly_on_the_same_terminal() {
    for (name, size, bytes) in recordings() {
        for cut in cuts(&bytes, 40) {
            judge::<Emulator>(&name, size, &bytes, cut);
        }
    }
}

#[test]
fn recordings_resume_exactly_on_another_terminal() {
    for (name, size, bytes) in recordings() {
        // It has no insert mode, no tab stops and no switch for wrapping; it draws lines as letters.
        if !name.starts_with("modes") {
            for cut in cuts(&bytes, 20) {
                judge::<Vt100>(&name, size, &bytes, cut);
            }
        }
    }
}

#[test]
fn recordings_resume_exactly_on_a_third_terminal() {
    for (name, size, bytes) in recordings() {
        // It gives combining characters a cell of their own.
        if !name.starts_with("wide")
            && !name.starts_with("less")
            && !name.starts_with("vim")
            && !name.starts_with("modes")
        {
            for cut in cuts(&bytes, 20) {
                judge::<Avt>(&name, size, &bytes, cut);
            }
        }
    }
}

#[test]
fn leaving_a_full_screen_program_shows_the_shell_again() {
    let size = Size::DEFAULT;
    let mut source = Emulator::new(size);
    source.feed(
        b"$ ls\r\nfile\r\n$ vim\r\n\x1b[?1049h\x1b[22;0;0t\x1b]2;vim\x07\x1b[H\x1b[2J~ text ~\x1b[?25l",
    );
    assert!(source.alternate());
    let mut client = vt100::Parser::new(24.try_into().unwrap(), 80.try_into().unwrap(), 0);
    client.process(&source.snapshot(MAX_SNAPSHOT));
    assert!(client.screen().alternate_screen() && client.screen().hide_cursor());
    assert!(client.screen().contents().starts_with("~ text ~"));
    client.process(b"\x1b[?1049l\x1b[?25h");
    assert_eq!(client.screen().contents().trim_end(), "$ ls\nfile\n$ vim");
    assert_eq!(client.screen().cursor_position(), (3, 0));
}

/// The emulator skips what can't be seen of a flood; one that is fed line by line does not.
#[test]
fn a_flood_in_one_piece_looks_like_one_in_many() {
    for (start, cols, rows) in
        [("", 80, 24), ("\x1b[?1049h", 40, 10), ("\x1b[44m", 20, 3), ("\x1b[2;5r", 80, 24)]
    {
        let size = Size::new(cols, rows).unwrap();
        let mut flood = start.as_bytes().to_vec();
        for n in 0..6000 {
            let line = format!("{n} {}宽\r\n", "long ".repeat(n % 13));
            flood.extend_from_slice(line.as_bytes());
        }
        let (mut whole, mut pieces) = (Emulator::new(size), Emulator::new(size));
        whole.feed(&flood);
        flood.split_inclusive(|b| *b == b'\n').for_each(|line| pieces.feed(line));
        assert_eq!(whole.describe(), pieces.describe());
        assert_eq!(whole.snapshot(MAX_SNAPSHOT), pieces.snapshot(MAX_SNAPSHOT));
    }
}

#[test]
fn the_largest_screen_fits_its_budget() {
    let size = Size::new(1000, 1000).unwrap();
    let mut source = Emulator::new(size);
    for i in 0..1_100_000u32 {
        if i % 7 == 0 {
            source.feed(format!("\x1b[38;2;{};{};{}m", i % 256, i / 256 % 256, i % 100).as_bytes());
        }
        source.feed(b"x");
    }
    source.feed(b"\x1b[999;1Hlast words");
    let snapshot = source.snapshot(MAX_SNAPSHOT);
    assert!(snapshot.len() <= MAX_SNAPSHOT, "{}", snapshot.len());
    let mut client = Emulator::new(size);
    client.feed(&snapshot);
    let text = String::from_utf8_lossy(&snapshot).into_owned();
    assert!(text.contains("last words"));
    // A flood of scrollback in a usual size costs the oldest rows only.
    let mut source = Emulator::new(Size::DEFAULT);
    for i in 0..5000 {
        source.feed(format!("\x1b[1;38;5;{}m{i:0>79}\r\n", i % 256).as_bytes());
    }
    let snapshot = source.snapshot(MAX_SNAPSHOT);
    assert!(snapshot.len() <= MAX_SNAPSHOT && snapshot.len() > 40_000, "{}", snapshot.len());
    let small = source.snapshot(8 * 1024);
    assert!(small.len() <= 8 * 1024);
}

/// Pieces that programs are made of, and some that none should write.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let csi = (
        prop::sample::select(vec!["", "?", ">", "!", " "]),
        prop::collection::vec(
            prop::sample::select(vec![
                0u16, 1, 2, 3, 4, 5, 7, 9, 20, 25, 47, 80, 1004, 1047, 1049, 2004, 65535,
            ]),
            0..4,
        ),
        // Not REP: which character it repeats is not held (`docs/screen.md`).
        prop::sample::select((0x40u8..0x7f).filter(|last| *last != b'b').collect::<Vec<_>>()),
    )
        .prop_map(|(private, numbers, last)| {
            let numbers: Vec<String> = numbers.iter().map(u16::to_string).collect();
            format!("\x1b[{private}{}{}", numbers.join(";"), last as char).into_bytes()
        });
    let text = prop::sample::select(vec![
        "a",
        "hello world ",
        "宽",
        "字符",
        "e\u{301}",
        "👩\u{200d}💻",
        "\r\n",
        "\n",
        "\r",
        "\t",
        "\x08",
        "\x1bM",
        "\x1bD",
        "\x1bE",
        "\x1b7",
        "\x1b8",
        "\x1bH",
        "\x1b(0",
        "\x1b(B",
        "\x0e",
        "\x0f",
        "\x1b)0",
        "\x1b#8",
        "\x1b]2;t;x\x07",
        "\x1b=",
        "\x1bc",
        "\x1b[38;2;1;2;3m",
        "\x1b[48;5;200m",
        "\x1b[1;4;7m",
        "\x1b[4:3m",
        "\x1b[m",
        "\x1b[?6h",
        "\x1b[2;4r",
        "\x1b[r",
        "\x1b[?7l",
        "\x1b[?7h",
        "\x1b[4h",
        "\x1b[4l",
        "\x1b[5;3H",
        "\x1b[K",
        "\x1b[1K",
        "\x1b[J",
        "\x1b[3L",
        "\x1b[2M",
        "\x1b[2@",
        "\x1b[2P",
        "\x1b[?1049h",
        "\x1b[?1049l",
        "\u{301}",
        "0123456789",
    ])
    .prop_map(|s| s.as_bytes().to_vec());
    prop_oneof![4 => text, 1 => csi]
}

/// Found by the property below: a row that is scrolled in by a character with a background.
#[test]
fn what_a_wrap_filled_with_background_is_erased_again() {
    let bytes = b"\x1b[5;3H\x1b[48;5;200mahello world \x1b[m\x1b[K";
    judge::<Emulator>("background", Size::new(4, 1).unwrap(), bytes, bytes.len());
}

proptest! {
    // Failures are written down as tests of their own.
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is written, at whatever size, cut wherever a sequence ends.
    #[test]
    fn any_cut_resumes_exactly(
        pieces in prop::collection::vec(piece(), 0..60),
        cut in any::<prop::sample::Index>(),
        cols in 1u16..14, rows in 1u16..8,
    ) {
        let at = cut.index(pieces.len() + 1);
        let bytes = pieces.concat();
        let cut = pieces[..at].concat().len();
        let name = format!("{cols}x{rows} {:?}", String::from_utf8_lossy(&bytes));
        judge::<Emulator>(&name, Size::new(cols, rows).unwrap(), &bytes, cut);
    }

    /// No bytes and no sizes bring it down.
    #[test]
    fn nothing_breaks_it(
        steps in prop::collection::vec((prop_oneof![piece(), prop::collection::vec(any::<u8>(), 0..30)], 1u16..30, 1u16..12, any::<bool>()), 0..40),
    ) {
        let mut screen = Emulator::new(Size::DEFAULT);
        for (bytes, cols, rows, resize) in steps {
            screen.feed(&bytes);
            if resize {
                screen.resize(Size::new(cols, rows).unwrap());
            }
            prop_assert!(screen.snapshot(2000).len() <= 2000);
        }
    }
}
