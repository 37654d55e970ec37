//! The logs of an environment: what there is, and what comes.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header::{ACCEPT, HeaderMap};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use devpocket_actors::persistence::{LogLevel, records};
use devpocket_actors::runtime::{LogLine, LogQuery};
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, unfold};
use tokio::time::{MissedTickBehavior, interval};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Conflict, NotFound, Signed};
use super::query::Params;
use crate::app::App;
use crate::auth::{Principal, is_still_valid};
use crate::dialect::views::{LogEntry, Logs, Timestamp};
use crate::dialect::{Dialect, Reply, Spoken, View as _};
use crate::events::CHECK_EVERY;
use crate::http::error::{ApiError, ApiResult};

/// How often a stream without lines shows that it lives: below what proxies cut.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Below `/environments`.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(logs))
}

/// Which log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// What the agent did: install and startup commands.
    Install,
    /// What the container, or the sandbox, wrote.
    Container,
}

struct Wanted {
    source: Source,
    lines: u32,
    since: Option<DateTime<Utc>>,
    previous: bool,
}

impl Wanted {
    fn read(params: &Params) -> Result<Self, ApiError> {
        Ok(Self {
            source: match params.text("source") {
                None | Some("install") => Source::Install,
                Some("container") => Source::Container,
                Some(_) => {
                    return Err(ApiError::bad_request("Invalid source: it is install or container"));
                }
            },
            lines: params.number("lines", 100, 1, records::MAX_LOG_LINES)?,
            since: params.parsed("since")?,
            previous: params.is_on("previous"),
        })
    }

    fn query(&self) -> LogQuery {
        LogQuery { lines: self.lines as usize, since: self.since, previous: self.previous }
    }
}

fn container_line(line: LogLine) -> LogEntry {
    LogEntry {
        timestamp: line.at.map(Timestamp),
        level: LogLevel::Info.into(),
        message: line.text,
        source: "container".to_owned(),
    }
}

/// Lines of an environment's log, the oldest first.
///
/// With `follow=true` and `Accept: text/event-stream` the lines come as server-sent events of
/// the type `log`, and those that follow as they are written.
#[utoipa::path(
    get, path = "/{id}/logs", tag = "environments", security(("bearer" = [])),
    params(
        ("id" = String, Path),
        ("lines" = Option<u32>, Query, description = "1 to 1000, 100 if not said"),
        ("since" = Option<String>, Query, description = "Only from this time on: RFC 3339"),
        ("source" = Option<String>, Query,
            description = "`install` (install and startup commands), or `container` (what the container wrote)"),
        ("previous" = Option<bool>, Query, description = "Of the container before this one"),
        ("follow" = Option<bool>, Query, description = "Also what comes: with `Accept: text/event-stream`"),
    ),
    responses((status = 200, body = Logs), Signed, NotFound, Conflict),
)]
async fn logs(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    spoken: Spoken,
    headers: HeaderMap,
    params: Params,
) -> ApiResult<Response> {
    let view = app.system().view(&principal.user_id, &id).await?;
    let wanted = Wanted::read(&params)?;
    let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if params.is_on("follow") && accepts.contains("text/event-stream") {
        return follow(app, principal, &id, &wanted, spoken.dialect()).await;
    }
    let entries: Vec<LogEntry> = match wanted.source {
        Source::Install => {
            let (lines, since) = (wanted.lines, wanted.since);
            let found = app.system().environment_logs(&principal.user_id, &id, lines, since).await?;
            let entry = |line: records::StoredLogLine| LogEntry {
                timestamp: Some(line.timestamp.into()),
                level: line.level.into(),
                message: line.message,
                source: line.source,
            };
            found.into_iter().map(entry).collect()
        }
        Source::Container => {
            let found = app.system().runtime_logs(&principal.user_id, &id, wanted.query()).await?;
            found.into_iter().map(container_line).collect()
        }
    };
    Ok(Reply::ok(Logs::new(&view, entries, wanted.lines)).into_response())
}

async fn follow(
    app: App,
    principal: Principal,
    id: &str,
    wanted: &Wanted,
    dialect: Dialect,
) -> ApiResult<Response> {
    let user = &principal.user_id;
    let admission = app.system().admit_stream(user).ok_or_else(|| ApiError::too_many(1))?;
    let entries: BoxStream<'static, LogEntry> = match wanted.source {
        Source::Install => {
            let log = app.system().install_log(user, id).await?;
            let entry = |message| LogEntry {
                timestamp: Some(Timestamp::now()),
                level: LogLevel::Info.into(),
                message,
                source: "install".to_owned(),
            };
            let next = |mut lines: devpocket_actors::environment::LogFollower| async move {
                Some((lines.next().await, lines))
            };
            unfold(log.follow(), next).map(entry).boxed()
        }
        Source::Container => {
            let lines = app.system().follow_runtime_logs(user, id, wanted.query()).await?;
            lines.map(container_line).boxed()
        }
    };
    // Counted like a socket: a shutdown ends it.
    let counted = app.sockets().enter();
    let mut checks = interval(CHECK_EVERY);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let state = (entries, counted, checks, app, principal, admission);
    let stream = unfold(state, move |mut state| async move {
        loop {
            let (entries, counted, checks, app, principal, _) = &mut state;
            tokio::select! {
                () = counted.closing() => return None,
                _ = checks.tick() => {
                    if !is_still_valid(app, principal).await {
                        return None;
                    }
                }
                entry = entries.next() => {
                    let event = Event::default().event("log").data(text(&entry?, dialect));
                    return Some((Ok::<_, Infallible>(event), state));
                }
            }
        }
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

fn text(entry: &LogEntry, dialect: Dialect) -> String {
    let text = match dialect {
        Dialect::Camel => serde_json::to_string(entry),
        Dialect::Snake => serde_json::to_string(&entry.snake()),
    };
    // Its members are texts.
    text.unwrap_or_default()
}
