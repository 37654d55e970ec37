//! What a container wrote.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::stream::unfold;
use futures_util::{AsyncBufReadExt as _, AsyncReadExt as _, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use tokio::time::timeout;

use super::error::explain;
use super::{Inner, names};
use crate::runtime::{EnvironmentKey, LogLine, LogQuery, LogStream, RuntimeError};

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(20);
/// The most lines that are told.
const LINES: usize = 1000;
/// The most of a line that comes as one while the log is followed, in bytes.
const LINE: u64 = 16 * 1024;
/// The most bytes that are read at once.
const BYTES: i64 = 1024 * 1024;

/// The environment's container's log. What its predecessor wrote while the present one has
/// written nothing; and while there is none yet, what the container that brings the agent did.
pub(super) async fn read(
    inner: &Inner,
    environment: &EnvironmentKey,
    query: LogQuery,
) -> Result<Vec<LogLine>, RuntimeError> {
    let doing = format!("Reading the log of environment {environment}");
    timeout(LIMIT, read_newest(inner, environment, query, &doing))
        .await
        .unwrap_or_else(|_| Err(RuntimeError::Unavailable(format!("{doing}: the cluster does not answer"))))
}

async fn read_newest(
    inner: &Inner,
    environment: &EnvironmentKey,
    query: LogQuery,
    doing: &str,
) -> Result<Vec<LogLine>, RuntimeError> {
    let pods = Api::namespaced(inner.client.clone(), &names::namespace(&inner.config, environment));
    let pod = names::pod(environment);
    let since = query.since.and_then(|since| Timestamp::from_second(since.timestamp()).ok());
    let params = |container: &str, previous| LogParams {
        container: Some(container.to_owned()),
        previous,
        since_time: since,
        timestamps: true,
        limit_bytes: Some(BYTES),
        tail_lines: i64::try_from(query.lines.min(LINES)).ok(),
        ..LogParams::default()
    };
    let tries = if query.previous {
        vec![params(names::CONTAINER, true)]
    } else {
        vec![
            params(names::CONTAINER, false),
            params(names::CONTAINER, true),
            params(names::AGENT_CONTAINER, false),
            params(names::AGENT_CONTAINER, true),
        ]
    };
    for params in tries {
        match text(&pods, &pod, params).await {
            // Seconds are all that the question can say.
            Ok(text) => {
                let mut lines: Vec<LogLine> = text.lines().map(line).collect();
                lines.retain(|line| query.since.is_none_or(|since| line.at.is_none_or(|at| at >= since)));
                if !lines.is_empty() {
                    return Ok(lines);
                }
            }
            // This container has not run (yet, or not twice).
            Err(kube::Error::Api(status)) if status.code == 400 => {}
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Vec::new()),
            Err(error) => return Err(explain(doing, &error)),
        }
    }
    Ok(Vec::new())
}

/// The environment's container's log from `query` on, until the container ends.
pub(super) async fn follow(
    inner: &Inner,
    environment: &EnvironmentKey,
    query: LogQuery,
) -> Result<LogStream, RuntimeError> {
    let doing = format!("Following the log of environment {environment}");
    let pods: Api<Pod> = Api::namespaced(inner.client.clone(), &names::namespace(&inner.config, environment));
    let params = LogParams {
        container: Some(names::CONTAINER.to_owned()),
        follow: true,
        since_time: query.since.and_then(|since| Timestamp::from_second(since.timestamp()).ok()),
        timestamps: true,
        tail_lines: i64::try_from(query.lines.min(LINES)).ok(),
        ..LogParams::default()
    };
    let pod = names::pod(environment);
    let opened = timeout(LIMIT, pods.log_stream(&pod, &params)).await;
    let reader = match opened {
        Ok(Ok(reader)) => reader,
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 400 | 404) => {
            return Err(RuntimeError::Rejected("It does not run, so there is no log to follow.".to_owned()));
        }
        Ok(Err(error)) => return Err(explain(&doing, &error)),
        Err(_) => {
            return Err(RuntimeError::Unavailable(format!("{doing}: the cluster does not answer")));
        }
    };
    let since = query.since;
    let lines = unfold(Box::pin(reader), |mut reader| async move {
        let mut bytes = Vec::new();
        // What is longer than that comes in pieces.
        let mut limited = (&mut reader).take(LINE);
        // A stream that breaks ends like one that ended: whoever follows asks again.
        let read = limited.read_until(b'\n', &mut bytes).await.unwrap_or(0);
        (read > 0).then(|| (line(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n'])), reader))
    });
    let wanted = move |line: &LogLine| since.is_none_or(|since| line.at.is_none_or(|at| at >= since));
    Ok(lines.filter(move |line| std::future::ready(wanted(line))).boxed())
}

/// The cluster cuts at the end, where the newest lines are: then fewer lines are asked for.
async fn text(pods: &Api<Pod>, pod: &str, mut params: LogParams) -> kube::Result<String> {
    loop {
        let text = pods.logs(pod, &params).await?;
        let cut = i64::try_from(text.len()).is_ok_and(|length| length >= BYTES);
        match params.tail_lines {
            Some(lines) if cut && lines > 1 => params.tail_lines = Some(lines / 4 + 1).min(Some(lines - 1)),
            _ => return Ok(text),
        }
    }
}

/// Splits off the time in front, which the cluster puts there.
fn line(line: &str) -> LogLine {
    let stamped = line.split_once(' ').unwrap_or((line, ""));
    match DateTime::parse_from_rfc3339(stamped.0) {
        Ok(at) => LogLine { at: Some(at.with_timezone(&Utc)), text: stamped.1.to_owned() },
        Err(_) => LogLine { at: None, text: line.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_taken_off_a_line() {
        let told = line("2026-11-22T23:31:58.123456789Z a line of text");
        assert_eq!(told.text, "a line of text");
        assert_eq!(told.at.unwrap().timestamp_subsec_nanos(), 123_456_789);
        assert_eq!(line("2026-11-22T23:31:58Z ").text, "");
        assert_eq!(line("2026-11-22T23:31:58Z").text, "");
        let odd = line("no time here");
        assert_eq!((odd.at, odd.text.as_str()), (None, "no time here"));
    }
}
