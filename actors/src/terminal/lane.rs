//! One client's input on its way to the agent.

use devpocket_protocol::agent::StreamId;
use devpocket_protocol::input::{InputCursor, InputGap};
use devpocket_protocol::ring::Ring;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The most input of one client that waits for the agent's acknowledgement, in bytes. A client
/// that sends more is not read until there is room.
pub const LANE_LIMIT: usize = 256 * 1024;

/// Input that the agent has not acknowledged: a ring that the channel reads by a cursor of its
/// own, as clients read output. It belongs to the client's connection, so it survives the
/// terminal actor and the channel, and is sent again after either broke.
#[derive(Debug)]
pub struct Lane {
    stream: StreamId,
    inner: Mutex<Inner>,
    room: Notify,
}

#[derive(Debug)]
struct Inner {
    /// Starts at the next byte that the agent expects, ends at the next one from the client.
    unacked: Ring,
    /// The next byte to send.
    sent: u64,
    sync: Sync,
}

/// Whether the agent's place in the stream is known on this channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    Unknown,
    Asked,
    Known,
}

impl Lane {
    /// The lane of `stream`; where it stands is asked of the agent.
    #[must_use]
    pub fn new(stream: StreamId) -> Self {
        let inner = Inner { unacked: Ring::new(LANE_LIMIT), sent: 0, sync: Sync::Unknown };
        Self { stream, inner: Mutex::new(inner), room: Notify::new() }
    }

    /// Which stream it is.
    #[must_use]
    pub const fn stream(&self) -> StreamId {
        self.stream
    }

    /// The next byte that the agent expects, once it is known on this channel.
    #[must_use]
    pub fn synced(&self) -> Option<u64> {
        let inner = self.inner.lock();
        (inner.sync == Sync::Known).then(|| inner.unacked.start())
    }

    /// All before this offset reached the agent.
    #[must_use]
    pub fn acked(&self) -> u64 {
        self.inner.lock().unacked.start()
    }

    /// The next byte that is expected of the client.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.inner.lock().unacked.end()
    }

    /// Takes what is new of the bytes at `offset`, as far as there is room. Returns how many
    /// of them (old ones included) are done with.
    ///
    /// # Errors
    /// When bytes are missing before `offset`.
    pub fn take(&self, offset: u64, data: &[u8]) -> Result<usize, InputGap> {
        let mut inner = self.inner.lock();
        let fresh = InputCursor::at(inner.unacked.end()).fresh(offset, data.len())?;
        let taken = fresh.len().min(LANE_LIMIT - inner.unacked.len());
        inner.unacked.append(&data[fresh.start..fresh.start + taken]);
        Ok(fresh.start + taken)
    }

    /// Waits until the agent acknowledged something. Cancel-safe.
    pub async fn room(&self) {
        self.room.notified().await;
    }

    /// The channel was opened anew: where the agent stands must be asked again.
    pub(super) fn unsync(&self) {
        self.inner.lock().sync = Sync::Unknown;
    }

    /// Whether the agent must be asked; it counts as asked from then on.
    pub(super) fn ask(&self) -> bool {
        let mut inner = self.inner.lock();
        let ask = inner.sync == Sync::Unknown;
        if ask {
            inner.sync = Sync::Asked;
        }
        ask
    }

    /// The agent took all before `offset`.
    pub(super) fn taken_until(&self, offset: u64) {
        let mut inner = self.inner.lock();
        if offset > inner.unacked.end() {
            // Another connection of this stream got further than this one knows.
            inner.unacked.restart_at(offset);
        } else {
            inner.unacked.release_before(offset);
        }
        // After a break, what was sent and not taken is sent again.
        let (start, known) = (inner.unacked.start(), inner.sync == Sync::Known);
        inner.sent = if known { inner.sent.max(start) } else { start };
        inner.sync = Sync::Known;
        drop(inner);
        self.room.notify_one();
    }

    /// Copies at most `max` bytes that were not sent on this channel to `out`, and counts them
    /// as sent. Returns the offset of the first one.
    pub(super) fn send(&self, max: usize, out: &mut Vec<u8>) -> Option<u64> {
        let mut inner = self.inner.lock();
        if inner.sync != Sync::Known {
            return None;
        }
        let offset = inner.sent;
        let n = inner.unacked.read(offset, max, out).ok().filter(|n| *n > 0)?;
        inner.sent += n as u64;
        Some(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(lane: &Lane) -> Option<(u64, Vec<u8>)> {
        let mut out = Vec::new();
        lane.send(100, &mut out).map(|offset| (offset, out))
    }

    #[test]
    fn nothing_is_sent_before_the_agent_said_where_it_stands() {
        let lane = Lane::new(StreamId([1; 16]));
        assert_eq!(sent(&lane), None);
        assert!(lane.ask());
        assert!(!lane.ask());
        lane.taken_until(7);
        assert_eq!(lane.take(7, b"abc"), Ok(3));
        assert_eq!(sent(&lane), Some((7, b"abc".to_vec())));
        assert_eq!(sent(&lane), None);
    }

    #[test]
    fn what_was_not_acknowledged_is_sent_again_after_a_break() {
        let lane = Lane::new(StreamId([1; 16]));
        lane.taken_until(0);
        assert_eq!(lane.take(0, b"abcdef"), Ok(6));
        sent(&lane);
        lane.taken_until(2);
        assert_eq!(sent(&lane), None);
        lane.unsync();
        assert_eq!(sent(&lane), None);
        lane.taken_until(4);
        assert_eq!(sent(&lane), Some((4, b"ef".to_vec())));
    }

    #[test]
    fn a_full_lane_takes_a_part() {
        let lane = Lane::new(StreamId([1; 16]));
        lane.taken_until(0);
        let paste = vec![b'x'; LANE_LIMIT + 10];
        assert_eq!(lane.take(0, &paste), Ok(LANE_LIMIT));
        assert_eq!(lane.take(LANE_LIMIT as u64, &paste[LANE_LIMIT..]), Ok(0));
        lane.taken_until(4);
        assert_eq!(lane.take(LANE_LIMIT as u64, &paste[LANE_LIMIT..]), Ok(4));
        assert!(lane.take(LANE_LIMIT as u64 + 5, b"y").is_err());
    }
}
