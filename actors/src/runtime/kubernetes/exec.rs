//! Channels to agents: an exec of `devpocket-agent attach`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use kube::core::Status;
use kube::core::response::StatusSummary;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::error::quote;
use super::socket::{ChannelStream, Layout};
use super::upgrade::{V4, V5, connect};
use super::{Inner, names};
use crate::runtime::{BoxStream, EnvironmentKey, RuntimeError};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;

pub(super) async fn open(inner: &Inner, environment: &EnvironmentKey) -> Result<BoxStream, RuntimeError> {
    let doing = format!("Reaching the agent of environment {environment}");
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/exec?container={}&stdin=true&stdout=true&stderr=true\
         &command={}/devpocket-agent&command=attach&command=--socket&command={}",
        names::namespace(&inner.config, environment),
        names::pod(environment),
        names::CONTAINER,
        names::AGENT_DIR,
        names::SOCKET,
    );
    // Never closed.
    let place = Arc::clone(&inner.opening).acquire_owned().await.ok();
    let (socket, protocol) = connect(&inner.client, &doing, &path, &[V5, V4]).await?;
    let stream = ChannelStream::new(socket, layout(protocol));
    Ok(Box::new(Opening { stream, place, _counted: Arc::clone(&inner.open) }))
}

/// A channel that keeps its place among those that are being opened until the agent has spoken:
/// the upgrade is answered before the node has started the command, which is the work.
struct Opening<T> {
    stream: T,
    place: Option<OwnedSemaphorePermit>,
    _counted: Arc<()>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Opening<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.place = None;
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Opening<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn layout(protocol: &str) -> Layout {
    Layout {
        input: STDIN,
        output: STDOUT,
        errors: Some(STDERR),
        status: STATUS,
        judge,
        half_close: protocol == V5,
        preamble: 0,
    }
}

/// Reads how the command ended.
fn judge(status: &[u8]) -> Result<(), String> {
    match serde_json::from_slice::<Status>(status) {
        Ok(status) if matches!(status.status, Some(StatusSummary::Success)) => Ok(()),
        Ok(status) => Err(quote(&status.message)),
        Err(_) => Err(quote(&String::from_utf8_lossy(status))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_ends_well_or_with_its_message() {
        assert_eq!(judge(br#"{"metadata":{},"status":"Success"}"#), Ok(()));
        let failed = br#"{"metadata":{},"status":"Failure","message":"command terminated with exit code 1","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"1"}]}}"#;
        assert_eq!(judge(failed), Err("command terminated with exit code 1".to_owned()));
        assert_eq!(judge(b"no json"), Err("no json".to_owned()));
    }
}
