//! Connections that break after a number of bytes, wherever in a frame that is.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use devpocket::client::{BoxedIo, Wrap};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::random::Random;

/// Breaks so many connections, each after a random number of bytes read.
#[derive(Clone)]
pub struct Cuts {
    random: Arc<Mutex<Random>>,
    left: Arc<AtomicUsize>,
    /// From and to: bytes read before the break.
    range: (u64, u64),
}

impl Cuts {
    /// `count` breaks, each after `range` bytes.
    pub fn new(random: Random, count: usize, range: (u64, u64)) -> Self {
        Self { random: Arc::new(Mutex::new(random)), left: Arc::new(AtomicUsize::new(count)), range }
    }

    /// How many are still to come.
    pub fn left(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }

    /// For [`devpocket::client::Options::wrap`].
    pub fn wrap(&self) -> Wrap {
        let cuts = self.clone();
        Arc::new(move |io| {
            let after = cuts.random.lock().unwrap().between(cuts.range.0, cuts.range.1);
            Box::new(Cut { io, left: after, cuts: cuts.clone() })
        })
    }
}

struct Cut {
    io: BoxedIo,
    left: u64,
    cuts: Cuts,
}

impl Cut {
    fn broken() -> io::Error {
        io::Error::new(io::ErrorKind::ConnectionReset, "cut by the test")
    }
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let cutting = this.cuts.left() > 0;
        if cutting && this.left == 0 {
            this.cuts.left.fetch_sub(1, Ordering::SeqCst);
            return Poll::Ready(Err(Self::broken()));
        }
        let room =
            if cutting { usize::try_from(this.left).unwrap().min(buf.remaining()) } else { buf.remaining() };
        let mut part = vec![0; room];
        let mut part = ReadBuf::new(&mut part);
        std::task::ready!(Pin::new(&mut this.io).poll_read(cx, &mut part))?;
        this.left = this.left.saturating_sub(part.filled().len() as u64);
        buf.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Cut {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // Half of a frame is all that gets out when the break is near.
        let n = if self.cuts.left() > 0 && self.left < 64 { buf.len().div_ceil(2) } else { buf.len() };
        Pin::new(&mut self.io).poll_write(cx, &buf[..n])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
