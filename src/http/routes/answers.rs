//! Answers that several routes document. What every route may answer (429, 500, 503 …) is
//! added to the document as a whole: [`super::docs`].

use utoipa::IntoResponses;

use crate::dialect::views::ErrorBody;

/// Not signed in, or not any more.
#[derive(IntoResponses)]
#[response(status = 401)]
pub(super) struct Signed(#[allow(dead_code, reason = "its schema counts")] ErrorBody);

/// The address is not verified.
#[derive(IntoResponses)]
#[response(status = 403)]
pub(super) struct Unverified(#[allow(dead_code, reason = "its schema counts")] ErrorBody);

/// Not allowed: by the plan, the role, or because the address is not verified.
#[derive(IntoResponses)]
#[response(status = 403)]
pub(super) struct Forbidden(#[allow(dead_code, reason = "its schema counts")] ErrorBody);

/// There is no such thing, or it is somebody else's.
#[derive(IntoResponses)]
#[response(status = 404)]
pub(super) struct NotFound(#[allow(dead_code, reason = "its schema counts")] ErrorBody);

/// Unknown, used or expired. In snake it is a 400.
#[derive(IntoResponses)]
#[response(status = 404)]
pub(super) struct BadProof(#[allow(dead_code, reason = "its schema counts")] ErrorBody);

/// It is taken, or not in the state for that.
#[derive(IntoResponses)]
#[response(status = 409)]
pub(super) struct Conflict(#[allow(dead_code, reason = "its schema counts")] ErrorBody);

/// Too many of these. `Retry-After` says when to come again.
#[derive(IntoResponses)]
#[response(status = 429)]
pub(super) struct TooMany(#[allow(dead_code, reason = "its schema counts")] ErrorBody);
