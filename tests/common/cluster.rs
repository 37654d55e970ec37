//! The cluster of `KUBECONFIG`, as an operator sees it and as the server is let in.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::ApiResource;
use kube::{Client, Config};
use serde_json::{Value, json};

/// The role that the server is given, as it is shipped.
const RBAC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kubernetes/rbac.yaml");

/// Where that puts the server's service account, and its name.
const ACCOUNT: (&str, &str) = ("devpocket-system", "devpocket");

/// The label of everything of one installation.
const INSTALLATION: &str = "devpocket.dev/installation";

/// The operator's kubeconfig.
fn admin_file() -> PathBuf {
    std::env::var_os("KUBECONFIG")
        .expect("KUBECONFIG must name a cluster: make test-kubernetes KUBECONFIG=…")
        .into()
}

/// A client with the operator's rights.
pub async fn admin() -> Client {
    let kubeconfig = Kubeconfig::read_from(admin_file()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// Writes a kubeconfig with the rights that deploy/kubernetes/rbac.yaml gives, and no others.
pub async fn server_kubeconfig(directory: &Path) -> PathBuf {
    let client = admin().await;
    apply(&client, &std::fs::read_to_string(RBAC).unwrap()).await;
    let accounts: Api<ServiceAccount> = Api::namespaced(client, ACCOUNT.0);
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": { "audiences": [], "expirationSeconds": 7200 },
    });
    let answer: Value =
        accounts.create_subresource("token", ACCOUNT.1, &PostParams::default(), &request).await.unwrap();
    let token = answer["status"]["token"].as_str().unwrap();
    let mut file: Value = serde_json::to_value(Kubeconfig::read_from(admin_file()).unwrap()).unwrap();
    let cluster = file["clusters"][0].take();
    let file = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "server",
        "clusters": [{ "name": "cluster", "cluster": cluster["cluster"] }],
        "contexts": [{ "name": "server", "context": { "cluster": "cluster", "user": "server" } }],
        "users": [{ "name": "server", "user": { "token": token } }],
    });
    let path = directory.join("server.kubeconfig");
    // JSON is YAML.
    std::fs::write(&path, file.to_string()).unwrap();
    path
}

/// Applies the documents of a manifest.
async fn apply(client: &Client, text: &str) {
    for document in text.split("\n---") {
        let Ok(object) = serde_saphyr::from_str::<DynamicObject>(document) else {
            assert!(
                document.lines().all(|line| line.trim().is_empty() || line.starts_with('#')),
                "{document}"
            );
            continue;
        };
        let types = object.types.clone().unwrap();
        let (group, version) = types.api_version.rsplit_once('/').unwrap_or(("", &types.api_version));
        let kind = kube::core::GroupVersionKind::gvk(group, version, &types.kind);
        let resource = ApiResource::from_gvk(&kind);
        let api: Api<DynamicObject> = match &object.metadata.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let name = object.metadata.name.clone().unwrap();
        api.patch(&name, &PatchParams::apply("devpocket-tests").force(), &Patch::Apply(&object))
            .await
            .unwrap();
    }
}

/// A name for what one test makes on the cluster. Dropping it removes all of that.
#[derive(Debug)]
pub struct Installation(pub String);

impl Installation {
    /// One that no other test has.
    pub fn new() -> Self {
        Self(format!("t-{}", &uuid::Uuid::new_v4().simple().to_string()[..10]))
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        let labels = ListParams::default().labels(&format!("{INSTALLATION}={}", self.0));
        // A thread of its own, because the test's runtime is busy ending.
        let removed = std::thread::spawn(move || {
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio.block_on(async {
                let namespaces: Api<Namespace> = Api::all(admin().await);
                // Their contents go with them, in the background.
                for namespace in namespaces.list(&labels).await.unwrap() {
                    let name = namespace.metadata.name.unwrap();
                    namespaces.delete(&name, &DeleteParams::default()).await.unwrap();
                }
            });
        });
        if removed.join().is_err() && !std::thread::panicking() {
            panic!("namespaces of {} are left", self.0);
        }
    }
}

/// The agent's image on the cluster.
pub fn agent_image() -> &'static str {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(|| {
        std::env::var("DEVPOCKET_AGENT_IMAGE").unwrap_or_else(|_| "devpocket-agent:dev".to_owned())
    })
}
