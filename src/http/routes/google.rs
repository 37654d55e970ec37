//! Signing in with Google.

use axum::extract::State;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Conflict, Forbidden, NotFound, Signed};
use super::auth::device_name;
use crate::app::App;
use crate::auth::google;
use crate::auth::sign_in::Device;
use crate::dialect::views::SignedIn;
use crate::dialect::{Reply, Spoken};
use crate::http::error::ApiResult;
use crate::http::input::{Checked, Fields, Form};
use crate::http::validate;

/// Below `/auth`.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(by_google))
}

/// An ID token of Google's.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct ByGoogle {
    /// The ID token. Also taken as `token`.
    #[schema(min_length = 1)]
    id_token: String,
    /// What the device is called in the list of sign-ins.
    #[schema(min_length = 1, max_length = 64)]
    device_name: Option<String>,
}

impl Form for ByGoogle {
    const ASKS_FOR_TOKENS: bool = true;

    fn read(fields: &mut Fields) -> Self {
        Self {
            id_token: fields.required_as("idToken", &["idToken", "token"], validate::any),
            device_name: device_name(fields),
        }
    }
}

/// Signs in with Google.
///
/// Who comes for the first time gets an account, or the one of their address, if Google has
/// verified it (else 403). If nobody had proved that address here, the password and the sign-ins of
/// that account end. 409: that account is linked with another Google account. 503 when Google's
/// keys can't be fetched. 404 when this is not set up: `features.google_oauth` at `/api/v1/info`.
#[utoipa::path(
    post, path = "/google", tag = "auth", request_body = ByGoogle,
    responses((status = 200, body = SignedIn), Signed, Forbidden, NotFound, Conflict),
)]
async fn by_google(
    State(app): State<App>,
    device: Device,
    spoken: Spoken,
    Checked(form): Checked<ByGoogle>,
) -> ApiResult {
    let device = Device { name: form.device_name, ..device };
    let (user, pair) = google::sign_in(&app, &form.id_token, device, spoken.known()).await?;
    Ok(Reply::ok(SignedIn { tokens: pair.into(), user: (&user).into() }))
}
