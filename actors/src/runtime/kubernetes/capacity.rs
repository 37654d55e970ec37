//! What a cluster's nodes have, and how much of it is used.

use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use tokio::time::timeout;

use super::error::explain;
use super::stats::{ANSWER, fetch};
use super::summary::{node_usage, quantity};
use crate::runtime::{Capacity, Resources, RuntimeError};

const DOING: &str = "Looking at the cluster's nodes";
/// The most nodes that are counted.
const NODES: u32 = 500;
/// The most nodes that are asked what they use, so many at a time. Of a larger cluster that is not
/// told: it would be a lot of asking every half minute.
const ASKED: usize = 32;
const AT_ONCE: usize = 4;

/// Adds up what the nodes have for pods, and what the kubelets of those that are ready say of
/// their use.
pub(super) async fn of_cluster(client: &Client) -> Result<Capacity, RuntimeError> {
    let api: Api<Node> = Api::all(client.clone());
    let params = ListParams::default().limit(NODES);
    let nodes = timeout(ANSWER, api.list(&params)).await;
    let nodes = nodes.map_err(|_| RuntimeError::Unavailable(format!("{DOING}: it does not answer")))?;
    let nodes = nodes.map_err(|error| explain(DOING, &error))?.items;
    let ready: Vec<&Node> = nodes.iter().filter(|node| is_ready(node)).collect();
    let mut total = NOTHING;
    for node in &nodes {
        add(&mut total, allocatable(node));
    }
    Ok(Capacity {
        nodes: u32::try_from(nodes.len()).unwrap_or(u32::MAX),
        ready_nodes: u32::try_from(ready.len()).unwrap_or(u32::MAX),
        total,
        used: used(client, &ready).await,
    })
}

const NOTHING: Resources = Resources { cpu_millis: 0, memory_bytes: 0, storage_bytes: 0 };

fn add(sum: &mut Resources, one: Resources) {
    sum.cpu_millis = sum.cpu_millis.saturating_add(one.cpu_millis);
    sum.memory_bytes = sum.memory_bytes.saturating_add(one.memory_bytes);
    sum.storage_bytes = sum.storage_bytes.saturating_add(one.storage_bytes);
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready =
        conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && node.spec.as_ref().is_none_or(|spec| spec.unschedulable != Some(true))
}

fn allocatable(node: &Node) -> Resources {
    let amounts = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let amount = |name: &str| amounts?.get(name).and_then(|amount| quantity(&amount.0));
    Resources {
        cpu_millis: (amount("cpu").unwrap_or_default() * 1000.0) as u32,
        memory_bytes: amount("memory").unwrap_or_default() as u64,
        storage_bytes: amount("ephemeral-storage").unwrap_or_default() as u64,
    }
}

/// None when any of them does not tell: half a sum would look like a free cluster.
async fn used(client: &Client, nodes: &[&Node]) -> Option<Resources> {
    if nodes.len() > ASKED {
        return None;
    }
    let names: Vec<String> = nodes.iter().map(|node| node.name_any()).collect();
    let asked = stream::iter(names).map(|name| used_of(client.clone(), name));
    let all: Vec<Option<Resources>> = asked.buffer_unordered(AT_ONCE).collect().await;
    let mut sum = NOTHING;
    for one in all {
        add(&mut sum, one?);
    }
    Some(sum)
}

async fn used_of(client: Client, node: String) -> Option<Resources> {
    let json = fetch(&client, DOING, &format!("/api/v1/nodes/{node}/proxy/stats/summary")).await.ok()?;
    node_usage(&json).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nodes_are_read() {
        let node = |ready: &str, unschedulable: bool| -> Node {
            serde_json::from_value(json!({
                "metadata": { "name": "n" },
                "spec": { "unschedulable": unschedulable },
                "status": {
                    "conditions": [{ "type": "Ready", "status": ready }],
                    "allocatable": { "cpu": "3920m", "memory": "8129164Ki", "ephemeral-storage": "47093746742" },
                },
            }))
            .unwrap()
        };
        assert!(
            is_ready(&node("True", false))
                && !is_ready(&node("True", true))
                && !is_ready(&node("Unknown", false))
        );
        assert_eq!(
            allocatable(&node("True", false)),
            Resources { cpu_millis: 3920, memory_bytes: 8_129_164 * 1024, storage_bytes: 47_093_746_742 }
        );
        assert_eq!(allocatable(&Node::default()), NOTHING);
    }
}
