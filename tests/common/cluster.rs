//! The cluster of `KUBECONFIG`, as an operator sees it and as the server is let in.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

#[path = "../../actors/tests/cluster_account/mod.rs"]
mod account;

/// The role that the server is given, as it is shipped.
const RBAC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kubernetes/rbac.yaml");

/// Where that puts the server's service account, and its name.
const ACCOUNT: (&str, &str) = ("devpocket-system", "devpocket");

/// The label of everything of one installation.
const INSTALLATION: &str = "devpocket.dev/installation";

/// A client with the operator's rights.
pub async fn admin() -> Client {
    let kubeconfig = Kubeconfig::read_from(account::kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// Writes a kubeconfig with the rights that deploy/kubernetes/rbac.yaml gives, and no others.
pub async fn server_kubeconfig(directory: &Path) -> PathBuf {
    let client = admin().await;
    account::apply(&client, &std::fs::read_to_string(RBAC).unwrap()).await;
    let token = account::token(&client, ACCOUNT.0, ACCOUNT.1).await;
    let path = directory.join("server.kubeconfig");
    std::fs::write(&path, account::kubeconfig_with(&token, |_| {})).unwrap();
    path
}

/// Writes what a pod of the server's service account finds in itself; returns the host and the port
/// of the API server.
pub async fn service_account(directory: &Path) -> (String, String) {
    let client = admin().await;
    account::apply(&client, &std::fs::read_to_string(RBAC).unwrap()).await;
    let token = account::token(&client, ACCOUNT.0, ACCOUNT.1).await;
    let file = Kubeconfig::read_from(account::kubeconfig()).unwrap();
    // Reads the certificate too, wherever it is.
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    let authorities: String = config.root_cert.iter().flatten().map(|der| pem(der)).collect();
    std::fs::create_dir(directory).unwrap();
    for (name, text) in [("token", token.as_str()), ("ca.crt", &authorities), ("namespace", ACCOUNT.0)] {
        std::fs::write(directory.join(name), text).unwrap();
    }
    let url = &config.cluster_url;
    (url.host().unwrap().to_owned(), url.port_u16().unwrap_or(443).to_string())
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
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
