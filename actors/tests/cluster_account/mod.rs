//! Letting a server into a cluster for a test: roles as they are shipped, tokens, kubeconfigs.

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde_json::{Value, json};

/// The operator's kubeconfig.
pub fn kubeconfig() -> std::path::PathBuf {
    std::env::var_os("KUBECONFIG")
        .expect("KUBECONFIG must name a cluster: make test-kubernetes KUBECONFIG=…")
        .into()
}

/// Applies the documents of a manifest.
pub async fn apply(client: &Client, text: &str) {
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
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &types.kind));
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

/// A token of a service account, for two hours.
pub async fn token(client: &Client, namespace: &str, account: &str) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": { "audiences": [], "expirationSeconds": 7200 },
    });
    let answer: Value =
        accounts.create_subresource("token", account, &PostParams::default(), &request).await.unwrap();
    answer["status"]["token"].as_str().unwrap().to_owned()
}

/// A kubeconfig for the operator's cluster with that token; `change` is done to its cluster.
pub fn kubeconfig_with(token: &str, change: impl FnOnce(&mut Value)) -> String {
    let text = std::fs::read_to_string(kubeconfig()).unwrap();
    let file: Value = serde_saphyr::from_str(&text).unwrap();
    let mut cluster = file["clusters"][0]["cluster"].clone();
    change(&mut cluster);
    // JSON is YAML.
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "server",
        "clusters": [{ "name": "cluster", "cluster": cluster }],
        "contexts": [{ "name": "server", "context": { "cluster": "cluster", "user": "server" } }],
        "users": [{ "name": "server", "user": { "token": token } }],
    })
    .to_string()
}
