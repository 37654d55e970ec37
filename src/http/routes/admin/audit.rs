//! The audit record: a page of it, or a file.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use devpocket_actors::persistence::ReadError;
use devpocket_actors::persistence::audit::{self, AuditFilter, Export};
use futures_util::StreamExt as _;
use futures_util::stream::{once, try_unfold};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::export::Format;
use crate::app::App;
use crate::dialect::views::{AuditRecord, AuditRecords, Pagination};
use crate::dialect::{Reply, Spoken};
use crate::http::error::{ApiError, ApiResult};
use crate::http::routes::answers::{Forbidden, Signed, TooMany};
use crate::http::routes::query::Params;
use crate::http::session::Admin;

/// Below `/admin/audit`.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(export))
}

fn filter(params: &Params) -> Result<AuditFilter, ApiError> {
    let text = |name| params.text(name).map(str::to_owned);
    Ok(AuditFilter {
        actor: text("actor"),
        target: text("target"),
        action: text("action"),
        search: text("search"),
        from: params.parsed("from")?,
        to: params.parsed("to")?,
    })
}

/// A page of the audit record, the newest first.
#[utoipa::path(
    get, path = "/", tag = "admin", operation_id = "audit", security(("bearer" = [])),
    params(
        ("actor" = Option<String>, Query, description = "Done by: an id, or a user name as it was then"),
        ("action" = Option<String>, Query,
            description = "What was done; with a dot at the end, all that begins so: `admin.`"),
        ("target" = Option<String>, Query, description = "Done to: an id, or a kind such as `user`"),
        ("search" = Option<String>, Query, description = "A part of any text in it"),
        ("from" = Option<String>, Query, description = "From this time on: RFC 3339"),
        ("to" = Option<String>, Query, description = "Before this time: RFC 3339"),
        ("limit" = Option<u32>, Query, description = "1 to 100, 20 if not said"),
        ("offset" = Option<u32>, Query, description = "How many to skip"),
        ("page" = Option<u32>, Query, description = "Which page, from 1; wins over offset"),
    ),
    responses((status = 200, body = AuditRecords), Signed, Forbidden),
)]
async fn list(State(app): State<App>, Admin(_): Admin, params: Params) -> ApiResult {
    let (filter, page) = (filter(&params)?, params.page(20, 100)?);
    let (rows, total) = audit::page(app.system().persistence().pool(), &filter, page).await?;
    Ok(Reply::ok(AuditRecords {
        entries: rows.into_iter().map(AuditRecord::from).collect(),
        pagination: Pagination::new(total, page),
    }))
}

/// The audit record as a file, the newest first, at most 100,000 records.
///
/// `csv` is a table with a head, as RFC 4180 has it. A cell that a spreadsheet would take for a
/// formula begins with `'`. `ndjson` is an object a line, as in the list. A file that does not end
/// with a line break was cut short.
#[utoipa::path(
    get, path = "/export", tag = "admin", operation_id = "audit_export", security(("bearer" = [])),
    params(
        ("format" = Option<String>, Query, description = "`csv` if not said, or `ndjson`"),
        ("actor" = Option<String>, Query, description = "As in the list; so are all others"),
        ("action" = Option<String>, Query),
        ("target" = Option<String>, Query),
        ("search" = Option<String>, Query),
        ("from" = Option<String>, Query),
        ("to" = Option<String>, Query),
    ),
    responses(
        (status = 200, content((String = "text/csv"), (String = "application/x-ndjson"))),
        Signed, Forbidden, TooMany,
    ),
)]
async fn export(
    State(app): State<App>,
    Admin(principal): Admin,
    spoken: Spoken,
    params: Params,
) -> ApiResult<Response> {
    let (filter, dialect) = (filter(&params)?, spoken.dialect());
    let format = params.parsed("format")?.unwrap_or(Format::Csv);
    let admission = app.system().admit_stream(&principal.user_id).ok_or_else(|| ApiError::too_many(1))?;
    let mut export = Export::new(app.system().persistence().pool(), filter);
    // While there is still a status to answer with.
    let first = export.next().await?;
    let pieces = try_unfold((export, Some(first)), move |(mut export, first)| async move {
        let lines = match first {
            Some(lines) => lines,
            None => {
                export.next().await.inspect_err(|error| tracing::warn!(%error, "an export ends early"))?
            }
        };
        let piece = Bytes::from(format.lines(dialect, lines));
        Ok::<_, ReadError>((!piece.is_empty()).then_some((piece, (export, None))))
    });
    let head = once(async move { Ok(Bytes::from(format.head(dialect))) });
    // Counted among the streams of its owner until it ends.
    let all = head.chain(pieces).inspect(move |_| {
        let _ = &admission;
    });
    let mut response = Body::from_stream(all).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static(format.disposition()));
    Ok(response)
}
