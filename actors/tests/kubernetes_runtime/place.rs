//! An installation of its own on a real cluster, for one test.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use devpocket_actors::plans::Plans;
use devpocket_actors::runtime::kubernetes::{KubernetesConfig, KubernetesRuntime};
use devpocket_actors::runtime::{EnvironmentKey, EnvironmentSpec, Resources, Runtime};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource};
use tokio::task::JoinHandle;
use tower::util::MapRequestLayer;

use crate::runtime_suite;

/// The agent's image, where `DEVPOCKET_AGENT_IMAGE` names no other.
const AGENT_IMAGE: &str = "devpocket-agent:dev";

/// An image that the cluster has.
pub const IMAGE: &str = "devbox:1";

/// An installation, and everything that there is of it. What it made is removed with it, also
/// when a test fails.
pub struct Place {
    pub runtime: KubernetesRuntime,
    pub client: Client,
    pub config: KubernetesConfig,
    /// How many requests the runtime has made.
    pub requests: Arc<AtomicUsize>,
    follows: Option<Following>,
}

impl Place {
    /// A place on the cluster of `KUBECONFIG`.
    pub async fn new(test: &str) -> Self {
        Self::with(test, |_| {}).await
    }

    /// The same, with another configuration.
    pub async fn with(test: &str, change: impl FnOnce(&mut KubernetesConfig)) -> Self {
        let named = std::env::var_os("KUBECONFIG").is_some();
        assert!(named, "{test}: KUBECONFIG must name a cluster: make test-kubernetes KUBECONFIG=…");
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let random = uuid::Uuid::new_v4().simple().to_string();
        let mut config = KubernetesConfig {
            installation: format!("t{}", &random[..10]),
            agent_image: std::env::var("DEVPOCKET_AGENT_IMAGE").unwrap_or_else(|_| AGENT_IMAGE.to_owned()),
            storage_class: None,
            plans: Plans::default(),
            scheduling_patience: Duration::from_secs(3),
        };
        change(&mut config);
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = counted(&requests).await;
        let runtime = KubernetesRuntime::new(counted, config.clone());
        let follows = Some(follow(&runtime));
        Self { runtime, client: client().await, config, requests, follows }
    }

    /// The same installation for another server.
    pub async fn another_server(&self) -> KubernetesRuntime {
        KubernetesRuntime::new(client().await, self.config.clone())
    }

    /// Cuts the watch off, and begins it anew after `pause`.
    pub async fn interrupt(&mut self, pause: Duration) {
        self.follows = None;
        tokio::time::sleep(pause).await;
        self.follows = Some(follow(&self.runtime));
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn namespace(&self, key: &EnvironmentKey) -> String {
        format!("{}-{}", self.config.installation, key.user_id)
    }

    pub fn api<K>(&self, key: &EnvironmentKey) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace(key))
    }

    /// The environment's object of some kind.
    pub async fn get<K>(&self, key: &EnvironmentKey) -> Option<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
    {
        self.api::<K>(key).get_opt(&format!("env-{}", key.id)).await.unwrap()
    }

    pub async fn pod(&self, key: &EnvironmentKey) -> Option<Pod> {
        self.api::<Pod>(key).get_opt(&format!("env-{}-0", key.id)).await.unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.follows = None;
        let selector = format!("devpocket.dev/installation={}", self.config.installation);
        // A thread of its own, because the test's runtime is busy ending.
        let ended = std::thread::spawn(move || {
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio.block_on(async {
                let namespaces = Api::<Namespace>::all(client().await);
                let ours = namespaces.list_metadata(&ListParams::default().labels(&selector)).await.unwrap();
                for namespace in ours.items {
                    let name = namespace.metadata.name.unwrap();
                    let _ = namespaces.delete(&name, &DeleteParams::background()).await;
                }
            });
        });
        if ended.join().is_err() && !std::thread::panicking() {
            panic!("namespaces of {} are left", self.config.installation);
        }
    }
}

/// A small environment of the suite's user.
pub fn spec(name: &str) -> EnvironmentSpec {
    EnvironmentSpec {
        image: IMAGE.to_owned(),
        resources: Resources { cpu_millis: 200, memory_bytes: 64 << 20, storage_bytes: 1 << 30 },
        ..runtime_suite::spec(name)
    }
}

/// The watch of a runtime; it ends when this is dropped.
pub struct Following(JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Keeps a runtime's watch going.
pub fn follow(runtime: &KubernetesRuntime) -> Following {
    let runtime = runtime.clone();
    Following(tokio::spawn(async move {
        let error = runtime.follow().await;
        panic!("the watch ended: {error}");
    }))
}

/// How the cluster is reached.
pub async fn kubeconfig() -> Config {
    let file = Kubeconfig::read().expect("KUBECONFIG can be read");
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("it can be used")
}

/// A client that nothing is counted of.
pub async fn client() -> Client {
    Client::try_from(kubeconfig().await).unwrap()
}

async fn counted(requests: &Arc<AtomicUsize>) -> Client {
    let requests = Arc::clone(requests);
    let layer = MapRequestLayer::new(move |request: http::Request<kube::client::Body>| {
        requests.fetch_add(1, Ordering::Relaxed);
        request
    });
    ClientBuilder::try_from(kubeconfig().await).unwrap().with_layer(&layer).build()
}
