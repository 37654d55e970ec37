//! The lines of the audit record about what administrators do here.

use devpocket_actors::persistence::AuditEntry;
use serde_json::Value;

use crate::http::routes::acting::Acting;

/// The line about an act (`session.end` is noted as `admin.session.end`) on a thing of that kind
/// and id. `detail` must hold no secret.
pub(super) fn noted(
    acting: &Acting,
    act: &str,
    (kind, id): (&str, Option<&str>),
    detail: Option<Value>,
) -> AuditEntry {
    AuditEntry {
        target_type: Some(kind.to_owned()),
        target_id: id.map(str::to_owned),
        ..acting.line(&format!("admin.{act}"), "", detail)
    }
}
