//! What environments use, sampled by node.
//!
//! A node tells of all its pods at once, so one question to it serves all environments there:
//! who asks while it is under way waits for the same answer, and an answer is good for a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::Api;
use kube::client::Body;
use kube::core::Status;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::error::{explain, of_status};
use super::summary::{Usage, Usages, of_metrics, of_node};
use super::{Inner, names};
use crate::runtime::{EnvironmentSpec, Resources, RuntimeError, Stats};

/// How long an answer is good for.
const FRESH: Duration = Duration::from_secs(15);
/// A new pod is not in a node's figures yet: it is looked for at this interval, so long.
const AGAIN: Duration = Duration::from_secs(4);
const NEW_POD: Duration = Duration::from_secs(24);
/// How long a node may take to answer, and how much of it is read.
pub(super) const ANSWER: Duration = Duration::from_secs(8);
const BYTES: usize = 16 * 1024 * 1024;
/// Where more pods than this are known to be, all are looked up anew.
const PLACES: usize = 20_000;

/// The newest samples of each node.
#[derive(Default)]
pub(super) struct Samples {
    nodes: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Sample>>>>,
    /// Which node a pod was last found on, by namespace and name.
    places: Mutex<HashMap<(String, String), String>>,
}

#[derive(Default)]
struct Sample {
    taken: Option<(Instant, Result<Arc<Usages>, RuntimeError>)>,
}

/// What it uses now, at most [`FRESH`] old.
pub(super) async fn of(inner: &Inner, spec: &EnvironmentSpec) -> Result<Stats, RuntimeError> {
    let id = (names::namespace(&inner.config, &spec.key), names::pod(&spec.key));
    let looking = async {
        let mut fresh = FRESH;
        loop {
            let node = node_of(inner, &id).await?;
            if let Some(usage) = inner.samples.of_node(inner, &node, fresh).await?.get(&id) {
                return Ok(share(*usage, spec.resources));
            }
            // New, or it has moved.
            inner.samples.places.lock().remove(&id);
            sleep(AGAIN).await;
            fresh = AGAIN;
        }
    };
    timeout(NEW_POD, looking).await.unwrap_or_else(|_| {
        Err(RuntimeError::Unavailable(format!("the cluster has no figures of environment {} yet", spec.key)))
    })
}

/// Puts what is used in proportion to what may be.
fn share(usage: Usage, resources: Resources) -> Stats {
    let part = |used: f64, of: f64| (used / of.max(1.0) * 100.0).clamp(0.0, 100.0);
    Stats {
        cpu_percent: part(usage.cpu_nanos as f64, f64::from(resources.cpu_millis) * 1e6),
        memory_percent: part(usage.memory_bytes as f64, resources.memory_bytes as f64),
        storage_percent: part(usage.volume_bytes as f64, resources.storage_bytes as f64),
        network_rx: usage.network_rx,
        network_tx: usage.network_tx,
    }
}

/// The node that the pod is on. (The watch sees it too; asking costs one request per pod.)
async fn node_of(inner: &Inner, id: &(String, String)) -> Result<String, RuntimeError> {
    if let Some(node) = inner.samples.places.lock().get(id) {
        return Ok(node.clone());
    }
    let doing = format!("Looking for pod {}", id.1);
    let pods: Api<Pod> = Api::namespaced(inner.client.clone(), &id.0);
    let pod = pods.get(&id.1).await.map_err(|error| explain(&doing, &error))?;
    let node = pod.spec.and_then(|spec| spec.node_name);
    let node = node.ok_or_else(|| RuntimeError::Unavailable(format!("{doing}: it is on no node yet")))?;
    let mut places = inner.samples.places.lock();
    if places.len() >= PLACES {
        places.clear();
    }
    places.insert(id.clone(), node.clone());
    Ok(node)
}

impl Samples {
    async fn of_node(&self, inner: &Inner, node: &str, fresh: Duration) -> Result<Arc<Usages>, RuntimeError> {
        let sample = Arc::clone(self.nodes.lock().entry(node.to_owned()).or_default());
        let mut sample = sample.lock().await;
        if let Some((at, result)) = &sample.taken
            && at.elapsed() < fresh
        {
            return result.clone();
        }
        // Failures are kept too: they cost as much as answers.
        let result = take(inner, node).await.map(Arc::new);
        sample.taken = Some((Instant::now(), result.clone()));
        result
    }
}

/// Asks a node; where that is not allowed, the metrics server, which knows CPU and memory.
async fn take(inner: &Inner, node: &str) -> Result<Usages, RuntimeError> {
    let ours = format!("{}-", inner.config.installation);
    let doing = format!("Asking node {node} for figures");
    let path = format!("/api/v1/nodes/{node}/proxy/stats/summary");
    let refused = match fetch(&inner.client, &doing, &path).await {
        Ok(json) => return of_node(&json, &ours).map_err(|_| nonsense(&doing)),
        Err(error @ RuntimeError::Rejected(_)) => error,
        Err(error) => return Err(error),
    };
    let doing = "Asking the metrics server for figures";
    let selector = names::selector(&inner.config).replace('=', "%3D");
    let path = format!("/apis/metrics.k8s.io/v1beta1/pods?labelSelector={selector}");
    match fetch(&inner.client, doing, &path).await {
        Ok(json) => of_metrics(&json, &ours).map_err(|_| nonsense(doing)),
        // It may not be there: then the node is the one to ask.
        Err(_) => Err(refused),
    }
}

fn nonsense(doing: &str) -> RuntimeError {
    RuntimeError::Unavailable(format!("{doing}: the answer makes no sense"))
}

/// A request whose answer is of bounded size and comes in bounded time.
pub(super) async fn fetch(client: &Client, doing: &str, path: &str) -> Result<Vec<u8>, RuntimeError> {
    let asking = async {
        let request = Request::get(path).body(Body::empty());
        let request = request.map_err(|error| RuntimeError::Rejected(format!("{doing}: {error}")))?;
        let response = client.send(request).await.map_err(|error| explain(doing, &error))?;
        let code = response.status();
        let body = Limited::new(response.into_body(), BYTES).collect().await;
        let body = body.map_err(|error| RuntimeError::Unavailable(format!("{doing}: {error}")))?.to_bytes();
        if code.is_success() {
            return Ok(body.to_vec());
        }
        let mut status: Status = serde_json::from_slice(&body).unwrap_or_default();
        status.code = code.as_u16();
        Err(of_status(doing, &status))
    };
    timeout(ANSWER, asking)
        .await
        .unwrap_or_else(|_| Err(RuntimeError::Unavailable(format!("{doing}: it does not answer"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_shares() {
        let resources = Resources { cpu_millis: 2000, memory_bytes: 1000, storage_bytes: 0 };
        let usage = Usage {
            cpu_nanos: 500_000_000,
            memory_bytes: 5000,
            volume_bytes: 3,
            network_rx: 1,
            network_tx: 2,
        };
        let stats = share(usage, resources);
        assert_eq!((stats.cpu_percent, stats.memory_percent), (25.0, 100.0));
        assert_eq!((stats.network_rx, stats.network_tx), (1, 2));
    }
}
