//! What administrators do, and that it is noted.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use devpocket_actors::persistence::AuditEntry;
use serde_json::Value;

use crate::app::App;
use crate::auth::Principal;
use crate::auth::sign_in::Device;
use crate::http::error::ApiError;
use crate::http::session::Admin;

/// An administrator who changes something: the change goes into the audit record with it.
pub(super) struct Acting {
    principal: Principal,
    device: Device,
}

impl FromRequestParts<App> for Acting {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Admin(principal) = Admin::from_request_parts(parts, app).await?;
        Ok(Self { principal, device: Device::from_request_parts(parts, app).await? })
    }
}

impl Acting {
    /// Their user name.
    pub(super) fn name(&self) -> &str {
        &self.principal.username
    }

    /// The line about what is done to something: `action` is `template.create` or the like.
    /// `detail` must hold no secret.
    pub(super) fn line(&self, action: &str, target: &str, detail: Option<Value>) -> AuditEntry {
        AuditEntry {
            actor_id: Some(self.principal.user_id.clone()),
            actor_name: Some(self.principal.username.clone()),
            target_type: action.split('.').next().map(str::to_owned),
            target_id: Some(target.to_owned()),
            ip: self.device.ip.clone(),
            detail,
            ..AuditEntry::now(action)
        }
    }
}
