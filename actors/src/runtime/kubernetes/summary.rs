//! The figures of pods, as nodes and the metrics server give them.

use std::collections::HashMap;

use serde::Deserialize;

use crate::runtime::Resources;

/// What a pod uses.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    /// Billionths of a core.
    pub(super) cpu_nanos: u64,
    pub(super) memory_bytes: u64,
    pub(super) volume_bytes: u64,
    pub(super) network_rx: u64,
    pub(super) network_tx: u64,
}

/// Figures by namespace and pod.
pub(super) type Usages = HashMap<(String, String), Usage>;

/// Reads a kubelet's summary. Only pods of namespaces that begin so are kept.
pub(super) fn of_node(json: &[u8], namespaces: &str) -> Result<Usages, serde_json::Error> {
    let summary: Summary = serde_json::from_slice(json)?;
    let ours = summary.pods.into_iter().filter(|pod| pod.pod_ref.namespace.starts_with(namespaces));
    Ok(ours.map(|pod| ((pod.pod_ref.namespace.clone(), pod.pod_ref.name.clone()), pod.usage())).collect())
}

/// What all of a node uses, from its kubelet's summary.
pub(super) fn node_usage(json: &[u8]) -> Result<Resources, serde_json::Error> {
    let NodeSummary { node } = serde_json::from_slice(json)?;
    Ok(Resources {
        cpu_millis: u32::try_from(node.cpu.usage_nano_cores / 1_000_000).unwrap_or(u32::MAX),
        memory_bytes: node.memory.working_set_bytes,
        storage_bytes: node.fs.used_bytes,
    })
}

#[derive(Deserialize)]
struct NodeSummary {
    node: NodeStats,
}

#[derive(Deserialize)]
struct NodeStats {
    cpu: NodeCpu,
    memory: NodeMemory,
    fs: NodeDisk,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeCpu {
    usage_nano_cores: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeMemory {
    working_set_bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeDisk {
    used_bytes: u64,
}

/// Reads a list of the metrics API.
pub(super) fn of_metrics(json: &[u8], namespaces: &str) -> Result<Usages, serde_json::Error> {
    let list: MetricsList = serde_json::from_slice(json)?;
    let ours = list.items.into_iter().filter(|pod| pod.metadata.namespace.starts_with(namespaces));
    Ok(ours
        .map(|pod| {
            let mut usage = Usage::default();
            for container in &pod.containers {
                usage.cpu_nanos += quantity(&container.usage.cpu).map_or(0, |cores| (cores * 1e9) as u64);
                usage.memory_bytes += quantity(&container.usage.memory).map_or(0, |bytes| bytes as u64);
            }
            ((pod.metadata.namespace, pod.metadata.name), usage)
        })
        .collect())
}

/// A number with one of Kubernetes' suffixes.
pub(super) fn quantity(text: &str) -> Option<f64> {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        _ => return None,
    };
    number.parse::<f64>().ok().filter(|number| *number >= 0.0).map(|number| number * factor)
}

#[derive(Deserialize)]
struct Summary {
    #[serde(default)]
    pods: Vec<PodStats>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStats {
    pod_ref: Reference,
    #[serde(default)]
    containers: Vec<ContainerStats>,
    network: Option<Network>,
    #[serde(default, rename = "volume")]
    volumes: Vec<Volume>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    namespace: String,
}

#[derive(Deserialize)]
struct ContainerStats {
    cpu: Option<Cpu>,
    memory: Option<Memory>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cpu {
    usage_nano_cores: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    working_set_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Network {
    rx_bytes: Option<u64>,
    tx_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    used_bytes: Option<u64>,
    pvc_ref: Option<Reference>,
}

impl PodStats {
    fn usage(&self) -> Usage {
        let cpu = self.containers.iter().filter_map(|container| container.cpu.as_ref()?.usage_nano_cores);
        let memory =
            self.containers.iter().filter_map(|container| container.memory.as_ref()?.working_set_bytes);
        let volumes = self.volumes.iter().filter(|volume| volume.pvc_ref.is_some());
        Usage {
            cpu_nanos: cpu.sum(),
            memory_bytes: memory.sum(),
            volume_bytes: volumes.filter_map(|volume| volume.used_bytes).sum(),
            network_rx: self.network.as_ref().and_then(|network| network.rx_bytes).unwrap_or(0),
            network_tx: self.network.as_ref().and_then(|network| network.tx_bytes).unwrap_or(0),
        }
    }
}

#[derive(Deserialize)]
struct MetricsList {
    #[serde(default)]
    items: Vec<PodMetrics>,
}

#[derive(Deserialize)]
struct PodMetrics {
    metadata: Reference,
    #[serde(default)]
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    usage: MetricsUsage,
}

#[derive(Deserialize)]
struct MetricsUsage {
    #[serde(default)]
    cpu: String,
    #[serde(default)]
    memory: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_read_for_our_pods() {
        let json = br#"{"node":{"nodeName":"n"},"pods":[
            {"podRef":{"name":"env-a-0","namespace":"dp-u1","uid":"1"},
             "containers":[{"name":"environment","cpu":{"usageNanoCores":250000000},"memory":{"workingSetBytes":1048576}}],
             "network":{"name":"eth0","rxBytes":10,"txBytes":20},
             "volume":[{"name":"home","usedBytes":4096,"pvcRef":{"name":"env-a","namespace":"dp-u1"}},
                       {"name":"run","usedBytes":77}]},
            {"podRef":{"name":"env-b-0","namespace":"dp-u1","uid":"2"}},
            {"podRef":{"name":"other","namespace":"kube-system","uid":"3"}}]}"#;
        let usages = of_node(json, "dp-").unwrap();
        assert_eq!(usages.len(), 2);
        let usage = usages[&("dp-u1".to_owned(), "env-a-0".to_owned())];
        let wanted = Usage {
            cpu_nanos: 250_000_000,
            memory_bytes: 1_048_576,
            volume_bytes: 4096,
            network_rx: 10,
            network_tx: 20,
        };
        assert_eq!(usage, wanted);
        assert_eq!(usages[&("dp-u1".to_owned(), "env-b-0".to_owned())], Usage::default());
    }

    #[test]
    fn metrics_are_read_with_their_units() {
        let json = br#"{"kind":"PodMetricsList","items":[{"metadata":{"name":"env-a-0","namespace":"dp-u1"},
            "containers":[{"name":"environment","usage":{"cpu":"250m","memory":"2Mi"}},{"name":"x","usage":{"cpu":"5000n","memory":"1k"}}]}]}"#;
        let usages = of_metrics(json, "dp-").unwrap();
        let usage = usages[&("dp-u1".to_owned(), "env-a-0".to_owned())];
        assert_eq!((usage.cpu_nanos, usage.memory_bytes), (250_005_000, 2_098_152));
        assert_eq!(quantity("-1"), None);
        assert_eq!(quantity("1Q"), None);
    }
}
