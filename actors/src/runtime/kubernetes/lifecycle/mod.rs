//! Ensure, stop, delete, inventory.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::core::Resource;
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::error::explain;
use super::{Inner, judge, names};
use crate::runtime::{CALL_LIMIT, EnvironmentKey, EnvironmentSpec, RuntimeError};

mod ensure;
mod grow;
mod remove;
mod stop;

/// How long a call may take, whatever the cluster does.
const LIMIT: Duration = CALL_LIMIT.saturating_sub(Duration::from_secs(1));

/// How long a call waits for the cluster to do what it was told; the rest of [`LIMIT`] is for
/// telling it.
const WAIT: Duration = LIMIT.saturating_sub(Duration::from_secs(5));

/// The pauses between questions, where nothing tells of a change.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How many objects one page of a listing holds.
const PAGE: u32 = 500;

/// Applies everything that makes an environment run.
pub(super) async fn ensure(inner: &Inner, spec: &EnvironmentSpec) -> Result<(), RuntimeError> {
    bounded(ensure::ensure(inner, spec)).await
}

/// Whether the volume can have another size at the next start.
pub(super) async fn may_grow(inner: &Inner, spec: &EnvironmentSpec) -> Result<(), RuntimeError> {
    bounded(grow::may_grow(inner, spec)).await
}

/// Ends the pod and waits until nothing of it runs.
pub(super) async fn stop(inner: &Inner, environment: &EnvironmentKey) -> Result<(), RuntimeError> {
    bounded(stop::stop(inner, environment)).await
}

/// Removes the environment, and waits until it is gone.
pub(super) async fn delete(inner: &Inner, environment: &EnvironmentKey) -> Result<(), RuntimeError> {
    bounded(remove::delete(inner, environment)).await
}

/// The ids of the environments that there is anything of: a StatefulSet or a volume claim.
pub(super) async fn inventory(inner: &Inner) -> Result<Vec<String>, RuntimeError> {
    let mut ids = BTreeSet::new();
    bounded(async {
        list::<StatefulSet>(inner, &mut ids).await?;
        list::<PersistentVolumeClaim>(inner, &mut ids).await
    })
    .await?;
    Ok(ids.into_iter().collect())
}

async fn bounded(call: impl Future<Output = Result<(), RuntimeError>>) -> Result<(), RuntimeError> {
    let silent = || RuntimeError::Unavailable("The cluster does not answer.".to_owned());
    tokio::time::timeout(LIMIT, call).await.unwrap_or_else(|_| Err(silent()))
}

async fn list<K>(inner: &Inner, ids: &mut BTreeSet<String>) -> Result<(), RuntimeError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let api = Api::<K>::all(inner.client.clone());
    let mut page = ListParams::default().labels(&names::selector(&inner.config)).limit(PAGE);
    loop {
        let found =
            api.list_metadata(&page).await.map_err(|error| explain("Listing environments", &error))?;
        ids.extend(found.items.iter().filter_map(|object| object.labels().get(names::ENVIRONMENT).cloned()));
        match found.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page.continue_token = Some(token),
            None => return Ok(()),
        }
    }
}

/// Growing pauses up to a moment.
struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    fn new() -> Self {
        Self { until: Instant::now() + WAIT, pause: FIRST_PAUSE }
    }

    /// Waits a little; false when it has been long enough.
    async fn wait(&mut self) -> bool {
        if Instant::now() + self.pause >= self.until {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

/// Waits until nothing of the environment's pod runs any more, and sees to it that its object
/// goes. The pod was told to end, or will be by its StatefulSet.
async fn pod_gone(
    inner: &Inner,
    environment: &EnvironmentKey,
    patience: &mut Patience,
) -> Result<(), RuntimeError> {
    let api = Api::<Pod>::namespaced(inner.client.clone(), &names::namespace(&inner.config, environment));
    let name = names::pod(environment);
    loop {
        let asked = api.get_opt(&name).await.map_err(|error| explain("Looking for its pod", &error))?;
        let Some(pod) = asked else { return Ok(()) };
        let mut over = judge::is_over(&pod).then(|| pod.metadata.uid.clone().unwrap_or_default());
        if over.is_none()
            && let Some(mut presence) = inner.seen.presence(environment)
        {
            // The watch may be behind, or ahead: only what it tells of this pod counts.
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            let news = presence.wait_for(|now| match now {
                super::watch::Presence::Over(seen) => *seen == uid,
                super::watch::Presence::Gone => true,
                super::watch::Presence::There => false,
            });
            if let Ok(Ok(now)) = tokio::time::timeout_at(patience.until, news).await
                && *now != super::watch::Presence::Gone
            {
                over = Some(uid);
            }
        }
        if let Some(uid) = over {
            // Old kubelets leave the object for 10 s, and nothing can start before it is gone.
            if let Err(error) = release(&api, &name, &uid).await {
                tracing::debug!(%error, "the object of an ended pod is left to its node");
            }
            return Ok(());
        }
        if !patience.wait().await {
            return Err(RuntimeError::Unavailable("It is still stopping.".to_owned()));
        }
    }
}

/// Removes the object of a pod of which nothing runs. Its node may be quicker.
async fn release(api: &Api<Pod>, name: &str, uid: &str) -> Result<(), kube::Error> {
    let params = DeleteParams { grace_period_seconds: Some(0), ..of_uid(uid.to_owned()) };
    match api.delete(name, &params).await {
        Err(error) if !matches!(code(&error), Some(404 | 409)) => Err(error),
        _ => Ok(()),
    }
}

/// Deletes that one object and none that has come to its name since.
fn of_uid(uid: String) -> DeleteParams {
    let preconditions = Preconditions { uid: Some(uid), resource_version: None };
    DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() }
}

/// The HTTP status of a refusal.
fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

fn namespaced<K>(client: &Client, namespace: &str) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), namespace)
}
