//! Stopping: no pod, and the volume stays.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::super::error::explain;
use super::super::{Inner, names};
use super::{Patience, code, pod_gone};
use crate::runtime::{EnvironmentKey, RuntimeError};

/// Ends the pod and waits until nothing of it runs.
pub(super) async fn stop(inner: &Inner, environment: &EnvironmentKey) -> Result<(), RuntimeError> {
    let mut patience = Patience::new();
    inner.seen.stop(environment);
    if scale_to_zero(inner, environment).await? {
        pod_gone(inner, environment, &mut patience).await?;
    }
    Ok(())
}

/// Returns whether there is a StatefulSet at all.
async fn scale_to_zero(inner: &Inner, environment: &EnvironmentKey) -> Result<bool, RuntimeError> {
    let namespace = names::namespace(&inner.config, environment);
    let api = Api::<StatefulSet>::namespaced(inner.client.clone(), &namespace);
    // Tested and changed in one step, so that nothing of anybody else is ever stopped. The
    // `/` of the label is `~1` in a JSON pointer.
    let label = format!("/metadata/labels/{}", names::INSTALLATION.replace('/', "~1"));
    let patch = serde_json::from_value(json!([
        {"op": "test", "path": label, "value": inner.config.installation},
        {"op": "replace", "path": "/spec/replicas", "value": 0},
    ]))
    .map_err(|error| RuntimeError::Rejected(error.to_string()))?;
    let params =
        PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match api.patch_metadata(&names::object(environment), &params, &Patch::<()>::Json(patch)).await {
        Ok(_) => Ok(true),
        Err(error) => match code(&error) {
            Some(404) => Ok(false),
            Some(422) => Err(RuntimeError::Rejected(format!(
                "The StatefulSet {} in namespace {namespace} is not of this installation: an operator has to \
                 look at it.",
                names::object(environment)
            ))),
            _ => Err(explain("Stopping", &error)),
        },
    }
}
