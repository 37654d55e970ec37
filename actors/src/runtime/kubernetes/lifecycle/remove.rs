//! Deleting: everything of one environment, and the user's namespace after the last one.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, Secret, Service};
use kube::api::{DeleteParams, ListParams};
use kube::core::Resource;
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;

use super::super::error::explain;
use super::super::{Inner, names};
use super::{Patience, code, namespaced, of_uid, pod_gone};
use crate::runtime::{EnvironmentKey, RuntimeError};

/// Whoever deletes an environment does not want its programs to end in peace.
const GRACE_SECONDS: u32 = 1;

/// Removes the environment, and waits until it is gone.
pub(super) async fn delete(inner: &Inner, environment: &EnvironmentKey) -> Result<(), RuntimeError> {
    let mut patience = Patience::new();
    inner.seen.stop(environment);
    let (object, pod) = (names::object(environment), names::pod(environment));
    // First what would make a new pod, then the pod, then what the pod uses.
    let params = DeleteParams::background;
    remove::<StatefulSet>(inner, environment, &object, params()).await?;
    let quickly = DeleteParams { grace_period_seconds: Some(GRACE_SECONDS), ..params() };
    let has_pod = remove::<Pod>(inner, environment, &pod, quickly.clone()).await?;
    let (secret, service, claim) = tokio::join!(
        remove::<Secret>(inner, environment, &object, params()),
        remove::<Service>(inner, environment, &object, params()),
        remove::<PersistentVolumeClaim>(inner, environment, &object, params()),
    );
    secret?;
    service?;
    if has_pod {
        pod_gone(inner, environment, &mut patience).await?;
    }
    let mut left = claim?;
    while left {
        if !patience.wait().await {
            return Err(RuntimeError::Unavailable("It is still being removed.".to_owned()));
        }
        // A StatefulSet's controller that was behind may have made one more pod.
        remove::<Pod>(inner, environment, &pod, quickly.clone()).await?;
        left = remove::<PersistentVolumeClaim>(inner, environment, &object, params()).await?;
    }
    if let Err(error) = remove_namespace(inner, environment).await {
        // The environment is gone, which is what was asked for. An empty namespace costs
        // nothing, and goes with the user's next environment.
        tracing::warn!(user = environment.user_id, %error, "a user's empty namespace is left");
    }
    Ok(())
}

/// Deletes an object if it is ours. Returns whether it is still there.
async fn remove<K>(
    inner: &Inner,
    environment: &EnvironmentKey,
    name: &str,
    params: DeleteParams,
) -> Result<bool, RuntimeError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let api = namespaced::<K>(&inner.client, &names::namespace(&inner.config, environment));
    let failed = |error: &kube::Error| explain(&format!("Deleting its {}", K::kind(&())), error);
    let Some(found) = api.get_metadata_opt(name).await.map_err(|error| failed(&error))? else {
        return Ok(false);
    };
    if !names::is_ours(&inner.config, found.metadata.labels.as_ref()) {
        return Err(RuntimeError::Rejected(format!(
            "The {} {name} in namespace {} is not of this installation, so it is not deleted: an operator has \
             to look at it.",
            K::kind(&()),
            names::namespace(&inner.config, environment)
        )));
    }
    if found.metadata.deletion_timestamp.is_some() {
        return Ok(true);
    }
    let mut this_one = of_uid(found.uid().unwrap_or_default());
    this_one.grace_period_seconds = params.grace_period_seconds;
    match api.delete(name, &this_one).await {
        // An object with finalizers comes back in the answer: it is there until they are done.
        Ok(answer) => Ok(answer.is_left()),
        Err(error) => match code(&error) {
            Some(404) => Ok(false),
            // Another one has come to its name.
            Some(409) => Ok(true),
            _ => Err(failed(&error)),
        },
    }
}

/// Deletes the user's namespace if it is ours and holds no environment any more.
///
/// That a user who deletes their only environment and makes another one has to wait for the
/// cluster to clear the namespace (some seconds) is the price for leaving nothing behind of
/// users who don't come back.
async fn remove_namespace(inner: &Inner, environment: &EnvironmentKey) -> Result<(), RuntimeError> {
    let name = names::namespace(&inner.config, environment);
    let failed = |error: &kube::Error| explain("Removing the user's namespace", error);
    let _alone = inner.namespaces.change_it(&name).await;
    let one = ListParams::default().labels(&names::selector(&inner.config)).limit(1);
    let (sets, claims) = tokio::join!(
        async { namespaced::<StatefulSet>(&inner.client, &name).list_metadata(&one).await },
        async { namespaced::<PersistentVolumeClaim>(&inner.client, &name).list_metadata(&one).await },
    );
    let empty = sets.map_err(|error| failed(&error))?.items.is_empty()
        && claims.map_err(|error| failed(&error))?.items.is_empty();
    if !empty {
        return Ok(());
    }
    let api = Api::<Namespace>::all(inner.client.clone());
    let Some(found) = api.get_metadata_opt(&name).await.map_err(|error| failed(&error))? else {
        return Ok(());
    };
    let ours = names::is_ours(&inner.config, found.metadata.labels.as_ref())
        && found.labels().get(names::USER) == Some(&environment.user_id);
    if !ours || found.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    inner.namespaces.forget(&name);
    match api.delete(&name, &of_uid(found.uid().unwrap_or_default())).await {
        Err(error) if !matches!(code(&error), Some(404 | 409)) => Err(failed(&error)),
        _ => Ok(()),
    }
}
