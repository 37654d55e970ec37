//! A server that is killed between any two steps of making or removing an environment: the next
//! one finishes what it finds.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use devpocket_actors::runtime::kubernetes::KubernetesRuntime;
use devpocket_actors::runtime::{EnvironmentKey, EnvironmentSpec, Runtime, RuntimeError};
use futures_util::{StreamExt, stream};
use http::{Method, Request};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::client::{Body, ClientBuilder};
use kube::{Api, ResourceExt};
use serde_json::Value;
use tokio::sync::Notify;
use tower::{Layer, Service};

use crate::place::{Following, Place, follow, kubeconfig, spec};
use crate::runtime_suite::{PATIENCE, start};

/// More than making or removing an environment takes.
const MOST_REQUESTS: usize = 9;
/// Cuts at a time: the cluster is small.
const AT_ONCE: usize = 4;

/// All kinds of which an environment has objects, its own and those that follow from them.
const KINDS: [(&str, &str, &str); 8] = [
    ("", "v1", "Pod"),
    ("", "v1", "Secret"),
    ("", "v1", "Service"),
    ("", "v1", "Endpoints"),
    ("", "v1", "PersistentVolumeClaim"),
    ("apps", "v1", "StatefulSet"),
    ("apps", "v1", "ControllerRevision"),
    ("discovery.k8s.io", "v1beta1", "EndpointSlice"),
];
/// All kinds of which a user's namespace has one.
const KINDS_OF_NAMESPACES: [(&str, &str, &str); 3] =
    [("", "v1", "ResourceQuota"), ("", "v1", "LimitRange"), ("networking.k8s.io", "v1", "NetworkPolicy")];

/// Where a client stops getting answers.
struct Cut {
    /// Requests that change something and are still let through.
    left: AtomicUsize,
    reached: Notify,
}

#[derive(Clone)]
struct CutLayer(Arc<Cut>);

#[derive(Clone)]
struct CutService<S>(S, Arc<Cut>);

impl<S> Layer<S> for CutLayer {
    type Service = CutService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CutService(inner, Arc::clone(&self.0))
    }
}

impl<S> Service<Request<Body>> for CutService<S>
where
    S: Service<Request<Body>>,
    S::Response: 'static,
    S::Error: 'static,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let changes = request.method() != Method::GET;
        let less = |left: usize| left.checked_sub(1);
        if changes && self.1.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_err() {
            self.1.reached.notify_one();
            return Box::pin(std::future::pending());
        }
        Box::pin(self.0.call(request))
    }
}

/// A server whose requests are cut off.
struct CutServer {
    runtime: KubernetesRuntime,
    cut: Arc<Cut>,
    _follows: Following,
}

impl CutServer {
    async fn new(place: &Place, requests: usize) -> Self {
        let cut = Arc::new(Cut { left: AtomicUsize::new(requests), reached: Notify::new() });
        let client = ClientBuilder::try_from(kubeconfig().await).unwrap();
        let client = client.with_layer(&CutLayer(Arc::clone(&cut))).build();
        let runtime = KubernetesRuntime::new(client, place.config.clone());
        let follows = follow(&runtime);
        Self { runtime, cut, _follows: follows }
    }

    /// Takes a step until it is cut; returns whether it was.
    async fn until_cut(&self, step: impl Future<Output = Result<(), RuntimeError>>) -> bool {
        tokio::select! {
            result = step => {
                result.unwrap();
                false
            }
            () = self.cut.reached.notified() => true,
        }
    }
}

/// Repeats a step as an environment's actor does, until the cluster has cleaned up.
async fn finish<F: Future<Output = Result<(), RuntimeError>>>(step: impl Fn() -> F) {
    let began = Instant::now();
    while let Err(error) = step().await {
        let RuntimeError::Unavailable(_) = error else { panic!("{error}") };
        assert!(began.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

async fn list(
    place: &Place,
    key: &EnvironmentKey,
    (group, version, kind): (&str, &str, &str),
    labels: &str,
) -> Vec<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    // "Endpoints" is its own plural.
    let resource = if kind == "Endpoints" {
        ApiResource { plural: "endpoints".to_owned(), ..resource }
    } else {
        resource
    };
    let api: Api<DynamicObject> =
        Api::namespaced_with(place.client.clone(), &place.namespace(key), &resource);
    match api.list(&ListParams::default().labels(labels)).await {
        Ok(found) => found.items,
        // Later clusters have slices of another version.
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(error) => panic!("{error}"),
    }
}

fn of_environment(key: &EnvironmentKey) -> String {
    format!("devpocket.dev/environment={}", key.id)
}

/// What an environment consists of, without what differs between two of them.
async fn made(place: &Place, key: &EnvironmentKey) -> BTreeMap<String, Value> {
    let plain = |value: Value| -> Value {
        let text = value.to_string().replace(&place.namespace(key), "NAMESPACE").replace(&key.id, "ID");
        let text = text.replace(&format!("\"{}\"", key.user_id), "\"USER\"");
        serde_json::from_str(&text).unwrap()
    };
    let mut made = BTreeMap::new();
    for kind in &KINDS[..6] {
        for object in list(place, key, *kind, &of_environment(key)).await {
            let mut spec = object.data.get("spec").cloned().unwrap_or_default();
            if let Some(spec) = spec.as_object_mut() {
                spec.remove("volumeName");
            }
            if kind.2 == "Pod" {
                spec = Value::Null;
            }
            let labels = serde_json::to_value(object.labels()).unwrap();
            let labels = if matches!(kind.2, "Pod" | "Endpoints") { Value::Null } else { labels };
            let name = object.name_any().replace(&key.id, "ID");
            made.insert(format!("{} {name}", kind.2), plain(serde_json::json!([labels, spec])));
        }
    }
    for kind in KINDS_OF_NAMESPACES {
        for object in list(place, key, kind, &format!("devpocket.dev/user={}", key.user_id)).await {
            made.insert(format!("{} {}", kind.2, object.name_any()), plain(object.data["spec"].clone()));
        }
    }
    made
}

/// Waits until nothing at all is left of an environment.
async fn nothing_left(place: &Place, key: &EnvironmentKey) {
    let began = Instant::now();
    loop {
        let mut left = Vec::new();
        for kind in KINDS {
            let found = list(place, key, kind, &of_environment(key)).await;
            left.extend(found.iter().map(|object| format!("{} {}", kind.2, object.name_any())));
        }
        if left.is_empty() {
            return;
        }
        // What follows from our objects goes after them: the cluster's own garbage collection.
        let ours = ["StatefulSet", "PersistentVolumeClaim", "Secret", "Service "];
        assert!(!left.iter().any(|left| ours.iter().any(|ours| left.starts_with(ours))), "{left:?}");
        assert!(began.elapsed() < PATIENCE, "{left:?}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// An environment of a user of this number.
fn of_user(number: usize, name: &str) -> EnvironmentSpec {
    let spec = spec(name);
    let key = EnvironmentKey { user_id: format!("u{number}"), ..spec.key.clone() };
    EnvironmentSpec { key, ..spec }
}

/// Which steps were cut short.
#[derive(Debug)]
struct Cuts {
    first_create: bool,
    next_create: bool,
    stop: bool,
    delete: bool,
    last_delete: bool,
}

/// Two environments made and removed by servers that die after so many requests.
async fn cut_after(
    place: &Place,
    requests: usize,
    wanted: Option<&BTreeMap<String, Value>>,
) -> (Cuts, BTreeMap<String, Value>) {
    let (one, two) = (of_user(requests, "one"), of_user(requests, "two"));
    let create = async |spec: &EnvironmentSpec| {
        let dying = CutServer::new(place, requests).await;
        let cut = dying.until_cut(dying.runtime.ensure(spec)).await;
        drop(dying);
        let next = CutServer::new(place, usize::MAX).await;
        start(&next.runtime, spec).await;
        cut
    };
    let first_create = create(&one).await;
    let next_create = create(&two).await;
    let of_one = made(place, &one.key).await;
    for made in [&of_one, &made(place, &two.key).await] {
        assert_eq!(made, wanted.unwrap_or(&of_one), "cut after {requests} requests");
    }

    let dying = CutServer::new(place, requests).await;
    let stop = dying.until_cut(dying.runtime.stop(&two.key)).await;
    drop(dying);
    let next = CutServer::new(place, usize::MAX).await;
    finish(|| next.runtime.stop(&two.key)).await;
    assert!(place.pod(&two.key).await.is_none_or(|pod| pod.metadata.deletion_timestamp.is_some()));

    let delete = async |key: &EnvironmentKey| {
        let dying = CutServer::new(place, requests).await;
        let cut = dying.until_cut(dying.runtime.delete(key)).await;
        drop(dying);
        let next = CutServer::new(place, usize::MAX).await;
        finish(|| next.runtime.delete(key)).await;
        cut
    };
    let cut_delete = delete(&one.key).await;
    nothing_left(place, &one.key).await;
    start(&next.runtime, &two).await;
    let last_delete = delete(&two.key).await;
    nothing_left(place, &two.key).await;
    let namespaces = Api::<Namespace>::all(place.client.clone());
    let namespace = namespaces.get_opt(&place.namespace(&two.key)).await.unwrap();
    assert!(namespace.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()), "{requests}");
    (Cuts { first_create, next_create, stop, delete: cut_delete, last_delete }, of_one)
}

#[tokio::test]
async fn a_server_that_dies_between_two_requests_is_continued() {
    let place = Place::new("a_server_that_dies_between_two_requests_is_continued").await;
    let began = Instant::now();
    let (uncut, wanted) = cut_after(&place, 1000, None).await;
    assert!(!uncut.first_create && !uncut.last_delete, "{uncut:?}");
    println!("not cut: {:?} in {:?}", wanted.keys(), began.elapsed());
    let (place_ref, wanted) = (&place, &wanted);
    let cuts: Vec<_> = stream::iter(0..=MOST_REQUESTS)
        .map(|requests| async move { cut_after(place_ref, requests, Some(wanted)).await.0 })
        .buffered(AT_ONCE)
        .collect()
        .await;
    for (requests, cuts) in cuts.iter().enumerate() {
        println!("after {requests} requests: {cuts:?}");
    }
    println!("{} cuts in {:?}", cuts.len(), began.elapsed());
    let (first, last) = (&cuts[0], &cuts[MOST_REQUESTS]);
    assert!(first.first_create && first.next_create && first.stop && first.delete && first.last_delete);
    assert!(!last.first_create && !last.next_create && !last.stop && !last.delete && !last.last_delete);
}
