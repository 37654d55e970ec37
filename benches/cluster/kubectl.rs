//! The peer: kubectl, with a pod that is the same but for its name.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use crate::common::cluster::admin;
use crate::common::pty::Pty;

pub struct Kubectl {
    namespace: String,
    /// The environment's own pod.
    pod: String,
    /// What a pod and its claim are made of.
    pod_spec: Value,
    claim_spec: Value,
}

impl Kubectl {
    pub async fn like(environment: &str) -> Self {
        let labels = ListParams::default().labels(&format!("devpocket.dev/environment={environment}"));
        let client = admin().await;
        let pod = Api::<Pod>::all(client.clone()).list(&labels).await.unwrap().items.remove(0);
        let claims = Api::<PersistentVolumeClaim>::all(client).list(&labels).await.unwrap().items.remove(0);
        let mut pod_spec = serde_json::to_value(pod.spec.unwrap()).unwrap();
        for left_to_the_cluster in ["nodeName", "hostname", "subdomain"] {
            pod_spec.as_object_mut().unwrap().remove(left_to_the_cluster);
        }
        let mut claim_spec = serde_json::to_value(claims.spec.unwrap()).unwrap();
        claim_spec.as_object_mut().unwrap().remove("volumeName");
        let namespace = pod.metadata.namespace.unwrap();
        Self { namespace, pod: pod.metadata.name.unwrap(), pod_spec, claim_spec }
    }

    /// Applies a pod of a new name with a claim of its own, and waits for the prompt of a shell in it.
    pub async fn create_to_prompt(&self, round: usize) -> Duration {
        let name = format!("peer-{round}");
        let mut pod_spec = self.pod_spec.clone();
        for volume in pod_spec["volumes"].as_array_mut().unwrap() {
            if let Some(claim) = volume.get_mut("persistentVolumeClaim") {
                claim["claimName"] = json!(name);
            }
        }
        let metadata = json!({ "name": name, "namespace": self.namespace });
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": [
            { "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": self.claim_spec },
            { "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec },
        ]});
        let started = Instant::now();
        let mut apply = Command::new("kubectl")
            .args(["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        apply.stdin.take().unwrap().write_all(list.to_string().as_bytes()).unwrap();
        assert!(apply.wait().unwrap().success());
        self.run(&["wait", "--for=condition=Ready", "--timeout=60s", &format!("pod/{name}")]);
        let shell = Pty::spawn(&self.exec(&name, "exec bash"));
        shell.until(b"# ").await;
        let took = started.elapsed();
        drop(shell);
        self.run(&["delete", "--wait=false", "pod", &name]);
        took
    }

    /// How long each key's echo took, in microseconds.
    pub async fn echo(&self, program: &str, keys: usize, pause: Duration) -> Vec<f64> {
        // Raw on this side too: else the terminal between here and kubectl echoes.
        let pty = Pty::spawn(&format!("stty raw -echo; {}", self.exec(&self.pod, program)));
        pty.until(b"READY").await;
        let mut took = Vec::new();
        let mut buffer = [0; 1024];
        for _ in 0..keys {
            tokio::time::sleep(pause).await;
            let pressed = Instant::now();
            pty.write(b"k").await;
            assert!(pty.read(&mut buffer).await > 0);
            took.push(pressed.elapsed().as_secs_f64() * 1e6);
        }
        took
    }

    fn exec(&self, pod: &str, command: &str) -> String {
        let command = command.replace('\'', "'\\''");
        format!("exec kubectl exec -it -n {} {pod} -c environment -- sh -c '{command}'", self.namespace)
    }

    fn run(&self, arguments: &[&str]) {
        let status = Command::new("kubectl")
            .args(["-n", &self.namespace])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "kubectl {arguments:?}");
    }
}
