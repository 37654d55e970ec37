//! Connections to ports inside environments.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::error::quote;
use super::socket::{ChannelStream, Layout};
use super::upgrade::{V4, connect};
use super::{Inner, names};
use crate::runtime::{BoxStream, EnvironmentKey, RuntimeError};

const DATA: u8 = 0;
const ERROR: u8 = 1;

/// How long the two sides may take to begin.
const BEGIN: Duration = Duration::from_secs(5);
/// How long a refusal is waited for: as long as opening took, since the connection inside the
/// pod is the shortest part of the way; within these bounds.
const SHORTEST_DOUBT: Duration = Duration::from_millis(20);
const LONGEST_DOUBT: Duration = Duration::from_millis(300);

/// The protocol never tells that a connection inside was made, only that it was not. So this
/// returns when a refusal would have come; one that comes later is the stream's first error.
pub(super) async fn open(
    inner: &Inner,
    environment: &EnvironmentKey,
    port: u16,
) -> Result<BoxStream, RuntimeError> {
    let began = Instant::now();
    let doing = format!("Connecting to port {port} of environment {environment}");
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/portforward?ports={port}",
        names::namespace(&inner.config, environment),
        names::pod(environment),
    );
    let (socket, _) = connect(&inner.client, &doing, &path, &[V4]).await?;
    let mut stream = ChannelStream::new(socket, LAYOUT);
    let failed = |why: String| {
        RuntimeError::Unavailable(if why.contains(REFUSED) {
            format!("nothing listens on port {port} in environment {environment}: start the program first")
        } else {
            format!("{doing}: {why}")
        })
    };
    timeout(BEGIN, stream.begun())
        .await
        .map_err(|_| RuntimeError::Unavailable(format!("{doing}: the cluster does not answer")))?
        .map_err(failed)?;
    let doubt = began.elapsed().clamp(SHORTEST_DOUBT, LONGEST_DOUBT);
    if let Ok(Err(why)) = timeout(doubt, stream.readable()).await {
        return Err(failed(why));
    }
    Ok(Box::new(stream))
}

/// One port has two channels, and on each its number comes first.
const LAYOUT: Layout =
    Layout { input: DATA, output: DATA, errors: None, status: ERROR, judge, half_close: false, preamble: 1 };

/// What container runtimes say of a port without a listener.
const REFUSED: &str = "connection refused";

/// Only failures are told, as text. All of it is kept until it has been searched.
fn judge(error: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(error).to_lowercase();
    Err(if text.contains(REFUSED) { format!("{REFUSED}: nothing listens on the port") } else { quote(&text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_other_failures() {
        let long = format!("error forwarding port 80: {} dial tcp4: Connection Refused", "x".repeat(1000));
        assert!(judge(long.as_bytes()).unwrap_err().starts_with(REFUSED));
        assert_eq!(judge(b"no such\nsandbox"), Err("no such sandbox".to_owned()));
    }
}
