//! How much output is in flight to one client.

use devpocket_protocol::client::WINDOW;

/// Counts output bytes sent and not yet acknowledged.
///
/// A SNAPSHOT makes the output offset jump; what was in flight before the jump stays counted
/// until it, or anything after the jump, is acknowledged. The snapshot's own bytes are not
/// counted: one is only sent after the client fell behind and acknowledged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Where the contiguous output that is being sent began.
    base: u64,
    /// The offset of the next byte to send.
    sent: u64,
    acked: u64,
    /// Bytes in flight from before `base`.
    before_base: u64,
}

/// An ACK of output that was never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("output was acknowledged up to {acked}, but only sent up to {sent}")]
pub struct AckAhead {
    acked: u64,
    sent: u64,
}

impl Window {
    /// Nothing in flight; the next byte sent is at `offset`.
    #[must_use]
    pub const fn starting_at(offset: u64) -> Self {
        Self { base: offset, sent: offset, acked: offset, before_base: 0 }
    }

    /// Notes that `n` contiguous bytes were sent.
    pub fn send(&mut self, n: usize) {
        self.sent += n as u64;
    }

    /// Notes that a snapshot at `offset` was sent.
    pub fn jump_to(&mut self, offset: u64) {
        self.before_base = self.in_flight();
        self.base = offset;
        self.sent = offset;
    }

    /// Takes an ACK; returns whether it brought news. Old ones are ignored.
    ///
    /// # Errors
    /// When it acknowledges what was never sent.
    pub fn ack(&mut self, offset: u64) -> Result<bool, AckAhead> {
        if offset > self.sent {
            return Err(AckAhead { acked: offset, sent: self.sent });
        }
        if offset >= self.base {
            let news = offset > self.acked || self.before_base > 0;
            self.before_base = 0;
            self.acked = self.acked.max(offset);
            Ok(news)
        } else if offset > self.acked {
            self.before_base = self.before_base.saturating_sub(offset - self.acked);
            self.acked = offset;
            Ok(true)
        } else {
            Ok(false)
        }
    }

    /// The offset of the next byte to send.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Bytes in flight.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.before_base + (self.sent - self.acked.clamp(self.base, self.sent))
    }

    /// How many more bytes may be sent now.
    #[must_use]
    pub fn room(&self) -> u64 {
        WINDOW.saturating_sub(self.in_flight())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_when_full_and_opens_by_what_is_acknowledged() {
        let mut window = Window::starting_at(100);
        window.send(WINDOW as usize);
        assert_eq!(window.room(), 0);
        assert_eq!(window.ack(100 + 1000), Ok(true));
        assert_eq!(window.room(), 1000);
        assert_eq!(window.ack(100 + 500), Ok(false));
        assert_eq!(window.room(), 1000);
    }

    #[test]
    fn what_was_never_sent_cannot_be_acknowledged() {
        let mut window = Window::starting_at(100);
        window.send(10);
        assert!(window.ack(111).is_err());
        window.jump_to(1_000);
        assert_eq!(window.ack(1_000), Ok(true));
        assert!(window.ack(1_001).is_err());
    }

    #[test]
    fn a_jump_keeps_what_was_in_flight_until_it_is_acknowledged() {
        let mut window = Window::starting_at(0);
        window.send(1_000);
        window.jump_to(1_000_000);
        assert_eq!(window.in_flight(), 1_000);
        window.send(50);
        assert_eq!(window.in_flight(), 1_050);
        assert_eq!(window.ack(400), Ok(true));
        assert_eq!(window.in_flight(), 650);
        assert_eq!(window.ack(1_000_010), Ok(true));
        assert_eq!(window.in_flight(), 40);
    }
}
