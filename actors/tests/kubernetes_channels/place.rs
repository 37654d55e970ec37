//! A pod that looks like an environment's, with whatever stands in for the agent.

use std::time::Duration;

use devpocket_actors::runtime::EnvironmentKey;
use devpocket_actors::runtime::kubernetes::connect::{self, Access};
use devpocket_actors::runtime::kubernetes::{KubernetesConfig, KubernetesRuntime};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams, WatchEvent, WatchParams};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::cluster_account::kubeconfig;

/// Long enough for a busy cluster.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What is in the pod's `/devpocket/bin`.
pub enum Agent<'a> {
    /// Nothing.
    Missing,
    /// A script by its name.
    Script(&'a str),
    /// The real one, brought as an environment's pod has it brought.
    Real,
}

/// A namespace of an installation of its own.
pub struct Place {
    pub client: Client,
    pub runtime: KubernetesRuntime,
    pub namespace: String,
}

/// The configuration of an installation of that name.
pub fn installation(name: &str) -> KubernetesConfig {
    KubernetesConfig { installation: name.to_owned(), ..KubernetesConfig::default() }
}

impl Drop for Place {
    fn drop(&mut self) {
        let name = self.namespace.clone();
        // A thread of its own, because the test's runtime is busy ending.
        let removed = std::thread::spawn(move || {
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio.block_on(async {
                let namespaces: Api<Namespace> = Api::all(operator().await);
                namespaces.delete(&name, &DeleteParams::default()).await.unwrap();
            });
        });
        if removed.join().is_err() && !std::thread::panicking() {
            panic!("namespace {} is left", self.namespace);
        }
    }
}

/// A client with the operator's rights.
async fn operator() -> Client {
    connect::client(&Access::File(kubeconfig())).await.unwrap()
}

impl Place {
    pub async fn new() -> Self {
        let client = operator().await;
        let id: String = format!("t{}", uuid::Uuid::new_v4().simple()).chars().take(12).collect();
        let namespace = format!("{id}-u1");
        let object = serde_json::from_value(json!({"metadata": {"name": namespace}})).unwrap();
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &object).await.unwrap();
        let runtime = KubernetesRuntime::new(client.clone(), installation(&id));
        Self { client, runtime, namespace }
    }

    /// A pod whose agent is a script.
    pub async fn with_script(script: &str) -> Self {
        let place = Self::new().await;
        place.running(&Agent::Script(script), json!(["sleep", "3600"])).await;
        place
    }

    pub fn key(&self) -> EnvironmentKey {
        EnvironmentKey { id: "e1".to_owned(), user_id: "u1".to_owned() }
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Makes the pod; `rest` is put beside what its specification says.
    pub async fn pod(&self, agent: &Agent<'_>, command: Value, rest: Value) {
        let mut bin = json!({"name": "bin", "emptyDir": {}});
        let mut init = json!([]);
        match agent {
            Agent::Missing => {}
            Agent::Script(script) => {
                let script = json!({"metadata": {"name": "agent"}, "data": {
                    "devpocket-agent": format!("#!/bin/bash\n{script}\n"),
                }});
                let scripts: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
                let script = serde_json::from_value(script).unwrap();
                scripts.create(&PostParams::default(), &script).await.unwrap();
                bin = json!({"name": "bin", "configMap": {"name": "agent", "defaultMode": 0o755}});
            }
            Agent::Real => {
                let image = std::env::var("DEVPOCKET_AGENT_IMAGE");
                init = json!([{
                    "name": "agent",
                    "image": image.unwrap_or_else(|_| KubernetesConfig::default().agent_image),
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/devpocket-agent", "install-to", "/devpocket/bin"],
                    "volumeMounts": [{"name": "bin", "mountPath": "/devpocket/bin"}],
                }]);
            }
        }
        let mut pod = json!({
            "metadata": {"name": "env-e1-0"},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": false,
                "restartPolicy": "Always",
                "initContainers": init,
                "containers": [{
                    "name": "environment", "image": "devbox:1", "command": command,
                    "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "10m", "memory": "16Mi"}},
                    "volumeMounts": [
                        {"name": "bin", "mountPath": "/devpocket/bin"},
                        {"name": "run", "mountPath": "/devpocket/run"},
                    ],
                }],
                "volumes": [bin, {"name": "run", "emptyDir": {}}],
            },
        });
        for (field, value) in rest.as_object().cloned().unwrap_or_default() {
            pod["spec"][field] = value;
        }
        let pod: Pod = serde_json::from_value(pod).unwrap();
        timeout(PATIENCE, async {
            // The namespace's service account may take a moment, and no event tells of it.
            while let Err(error) = self.pods().create(&PostParams::default(), &pod).await {
                assert!(error.to_string().contains("serviceaccount"), "{error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await
        .unwrap();
    }

    /// Makes the pod and waits until its container runs.
    pub async fn running(&self, agent: &Agent<'_>, command: Value) {
        self.pod(agent, command, json!({})).await;
        self.wait_for(|pod| {
            let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
            containers.is_some_and(|all| all.iter().all(|container| container.ready))
        })
        .await;
    }

    /// Waits until the pod is as wanted.
    pub async fn wait_for(&self, wanted: impl Fn(&Pod) -> bool) {
        use futures_util::TryStreamExt;

        let watching = async {
            // From the beginning: what it is now comes first.
            let events = self.pods().watch(&WatchParams::default(), "0").await.unwrap();
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.try_next().await.unwrap() {
                if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) = event
                    && wanted(&pod)
                {
                    return;
                }
            }
            panic!("the watch ended");
        };
        timeout(PATIENCE, watching).await.expect("the pod gets there");
    }
}
