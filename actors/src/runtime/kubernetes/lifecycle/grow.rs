//! Whether a volume can become larger.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Patch, PatchParams};

use super::super::error::explain;
use super::super::{Inner, names, objects};
use super::{code, namespaced};
use crate::environment::parse_bytes;
use crate::runtime::{EnvironmentSpec, RuntimeError};

const DOING: &str = "Asking whether the volume can grow";

/// Asks the cluster to enlarge the claim without doing it. A claim that is not there yet is made
/// with the size of `spec`; what the plan allows is the server's business and applied at the start.
pub(super) async fn may_grow(inner: &Inner, spec: &EnvironmentSpec) -> Result<(), RuntimeError> {
    let namespace = names::namespace(&inner.config, &spec.key);
    let claims = namespaced::<PersistentVolumeClaim>(&inner.client, &namespace);
    let name = names::object(&spec.key);
    let found = claims.get_opt(&name).await.map_err(|error| explain(DOING, &error))?;
    let Some(found) = found.and_then(|found| found.spec) else { return Ok(()) };
    let has = found.resources.and_then(|resources| resources.requests?.remove("storage"));
    let wanted = spec.resources.storage_bytes;
    if has.is_some_and(|has| parse_bytes("storage", &has.0).is_ok_and(|has| has >= wanted)) {
        return Ok(());
    }
    let larger = objects::claim(&inner.config, spec, objects::bytes(wanted), found.storage_class_name);
    let params = PatchParams::apply(names::FIELD_MANAGER).force().dry_run();
    let Err(error) = claims.patch(&name, &params, &Patch::Apply(larger)).await else { return Ok(()) };
    match (code(&error), &error) {
        (Some(403), kube::Error::Api(status)) if !status.message.contains("resize") => Ok(()),
        (Some(403 | 422), _) => Err(RuntimeError::Rejected(
            "The cluster can't make this volume larger: more storage counts for a new environment only"
                .to_owned(),
        )),
        _ => Err(explain(DOING, &error)),
    }
}
