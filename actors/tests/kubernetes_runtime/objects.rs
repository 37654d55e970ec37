//! What is in the cluster after a start, a stop, a deletion.

use std::time::{Duration, Instant};

use devpocket_actors::persistence::Plan;
use devpocket_actors::runtime::{
    EnvironmentKey, EnvironmentSpec, Observed, Placement, Resources, Runtime, RuntimeError,
};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    LimitRange, Namespace, PersistentVolumeClaim, Pod, ResourceQuota, Secret, Service,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::place::{IMAGE, Place, spec};
use crate::runtime_suite::{PATIENCE, start, wait_for};

fn as_json(object: &impl serde::Serialize) -> Value {
    serde_json::to_value(object).unwrap()
}

#[tokio::test]
async fn everything_is_applied_as_it_should_be() {
    let place = Place::new("everything_is_applied_as_it_should_be").await;
    let spec = spec("My App");
    place.runtime.ensure(&spec).await.unwrap();
    let key = &spec.key;
    let installation = place.config.installation.as_str();
    let labels = json!({
        "app.kubernetes.io/managed-by": "devpocket",
        "devpocket.dev/installation": installation,
        "devpocket.dev/user": key.user_id,
        "devpocket.dev/environment": key.id,
        "devpocket.dev/template": "test",
    });

    let namespace = Api::<Namespace>::all(place.client.clone()).get(&place.namespace(key)).await.unwrap();
    assert_eq!(namespace.labels()["devpocket.dev/installation"], installation);
    assert_eq!(namespace.labels()["devpocket.dev/user"], key.user_id);
    assert_eq!(namespace.labels()["pod-security.kubernetes.io/enforce"], "baseline");
    assert_eq!(namespace.labels()["pod-security.kubernetes.io/warn"], "restricted");

    let quota = place.api::<ResourceQuota>(key).get("devpocket").await.unwrap();
    let hard = as_json(&quota)["spec"]["hard"].clone();
    assert_eq!((&hard["pods"], &hard["persistentvolumeclaims"]), (&json!("12"), &json!("10")));
    assert_eq!((&hard["limits.cpu"], &hard["limits.memory"]), (&json!("40"), &json!("80Gi")));
    assert_eq!((&hard["requests.cpu"], &hard["requests.storage"]), (&json!("4"), &json!("1000Gi")));

    let range = as_json(&place.api::<LimitRange>(key).get("devpocket").await.unwrap());
    let container = &range["spec"]["limits"][0];
    assert_eq!(container["max"], json!({"cpu": "4", "memory": "8Gi"}));
    assert_eq!(range["spec"]["limits"][1]["max"], json!({"storage": "100Gi"}));

    let policy = as_json(&place.api::<NetworkPolicy>(key).get("devpocket").await.unwrap())["spec"].clone();
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!((&policy["podSelector"], &policy["ingress"]), (&json!({}), &Value::Null));
    let world = &policy["egress"][0]["to"];
    for closed in ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"] {
        assert!(world[0]["ipBlock"]["except"].as_array().unwrap().contains(&json!(closed)), "{closed}");
    }
    assert_eq!(world[1]["ipBlock"]["except"], json!(["fc00::/7", "fe80::/10"]));
    assert_eq!(policy["egress"][1]["ports"][0]["port"], json!(53));

    let secret = place.get::<Secret>(key).await.unwrap();
    assert_eq!(as_json(&secret)["metadata"]["labels"], labels);
    let agent: Value = serde_json::from_slice(&secret.data.unwrap()["agent.json"].0).unwrap();
    assert_eq!(agent["variables"]["FLAVOUR"], "plain vanilla");
    assert_eq!((&agent["home"], &agent["user"]["uid"]), (&json!("/home/dev"), &json!(0)));

    let claim = as_json(&place.get::<PersistentVolumeClaim>(key).await.unwrap());
    assert_eq!(
        (&claim["metadata"]["labels"], &claim["spec"]["resources"]["requests"]["storage"]),
        (&labels, &json!("1Gi"))
    );
    let service = as_json(&place.get::<Service>(key).await.unwrap());
    assert_eq!(
        (&service["metadata"]["labels"], &service["spec"]["ports"][0]["port"]),
        (&labels, &json!(8080))
    );

    let set = as_json(&place.get::<StatefulSet>(key).await.unwrap());
    assert_eq!(set["metadata"]["labels"], labels);
    assert_eq!(set["spec"]["template"]["metadata"]["labels"], labels);
    assert_eq!(
        (&set["spec"]["replicas"], &set["spec"]["updateStrategy"]["type"]),
        (&json!(1), &json!("OnDelete"))
    );
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(
        (&pod["automountServiceAccountToken"], &pod["enableServiceLinks"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    for container in [&pod["initContainers"][0], &pod["containers"][0]] {
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["privileged"], false);
        assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
        assert_eq!(container["imagePullPolicy"], "IfNotPresent");
    }
    let container = &pod["containers"][0];
    assert_eq!((&container["name"], &container["image"]), (&json!("environment"), &json!(IMAGE)));
    assert_eq!(
        (&container["resources"]["limits"]["cpu"], &container["resources"]["limits"]["memory"]),
        (&json!("200m"), &json!("64Mi"))
    );
    assert_eq!(
        (&container["resources"]["requests"]["cpu"], &container["resources"]["requests"]["memory"]),
        (&json!("20m"), &json!("32Mi"))
    );
    let added = container["securityContext"]["capabilities"]["add"].as_array().unwrap();
    assert!(
        added.contains(&json!("CHOWN"))
            && !added.contains(&json!("NET_RAW"))
            && !added.contains(&json!("SYS_ADMIN"))
    );
    assert_eq!(
        pod["volumes"].as_array().unwrap().iter().filter(|volume| !volume["hostPath"].is_null()).count(),
        0
    );
}

#[tokio::test]
async fn an_environment_may_run_as_an_ordinary_user() {
    let place = Place::new("an_environment_may_run_as_an_ordinary_user").await;
    let placement =
        Placement { run_as_root: false, runtime_class: Some("runc".to_owned()), ..Placement::default() };
    let spec = EnvironmentSpec { placement, ..spec("user") };
    start(&place.runtime, &spec).await;
    let pod = as_json(&place.pod(&spec.key).await.unwrap())["spec"].clone();
    let security = &pod["securityContext"];
    assert_eq!(
        (&security["runAsUser"], &security["runAsGroup"], &security["fsGroup"]),
        (&json!(1000), &json!(1000), &json!(1000))
    );
    assert_eq!((&security["runAsNonRoot"], &pod["runtimeClassName"]), (&json!(true), &json!("runc")));
    assert_eq!(pod["containers"][0]["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
}

#[tokio::test]
async fn a_start_costs_few_requests() {
    let place = Place::new("a_start_costs_few_requests").await;
    let (first, second) = (spec("first"), spec("second"));
    drop(place.runtime.watch(&first.key).await.unwrap());
    let watching = place.requests();
    let began = Instant::now();
    start(&place.runtime, &first).await;
    let (took, requests) = (began.elapsed(), place.requests() - watching);
    println!("the user's first environment: {requests} requests, Running after {took:?}");
    assert!(requests < 12, "{requests} requests");
    let before = place.requests();
    let began = Instant::now();
    start(&place.runtime, &second).await;
    let (took, requests) = (began.elapsed(), place.requests() - before);
    println!("their second: {requests} requests, Running after {took:?}");
    assert!(requests <= 5, "{requests} requests");
}

#[tokio::test]
async fn the_volume_is_kept_over_a_stop() {
    let place = Place::new("the_volume_is_kept_over_a_stop").await;
    let spec = spec("keep");
    let mut seen = place.runtime.watch(&spec.key).await.unwrap();
    assert_eq!(*seen.borrow_and_update(), Observed::Absent);
    place.runtime.ensure(&spec).await.unwrap();
    wait_for(&mut seen, |seen| matches!(seen, Observed::Starting(_))).await;
    let first = start(&place.runtime, &spec).await;
    let volume = place.get::<PersistentVolumeClaim>(&spec.key).await.unwrap();

    let began = Instant::now();
    place.runtime.stop(&spec.key).await.unwrap();
    println!("stopped after {:?}", began.elapsed());
    wait_for(&mut seen, |seen| *seen == Observed::Absent).await;
    place.runtime.stop(&spec.key).await.expect("stopping what is stopped is fine");
    assert_eq!(place.runtime.inventory().await.unwrap().join(" "), spec.key.id);

    // Neither smaller nor of another class, and a size that can't be had is no obstacle.
    let began = Instant::now();
    for storage_bytes in [512 << 20, 5 << 30] {
        let resources = Resources { storage_bytes, ..spec.resources };
        place.runtime.ensure(&EnvironmentSpec { resources, ..spec.clone() }).await.unwrap();
    }
    let second = start(&place.runtime, &spec).await;
    println!("running again after {:?}", began.elapsed());
    assert_ne!(first, second);
    let Observed::Running { after, .. } = seen.borrow().clone() else { panic!("it runs") };
    assert_eq!(after, None, "that was asked for");
    let later = place.get::<PersistentVolumeClaim>(&spec.key).await.unwrap();
    assert_eq!(later.uid(), volume.uid());
    assert_eq!(as_json(&later)["spec"]["resources"]["requests"]["storage"], "1Gi");
}

#[tokio::test]
async fn a_changed_specification_counts_from_the_next_start() {
    let place = Place::new("a_changed_specification_counts_from_the_next_start").await;
    let small = spec("grows");
    let instance = start(&place.runtime, &small).await;
    let resources = Resources { memory_bytes: 128 << 20, ..small.resources };
    let large = EnvironmentSpec { resources, ..small.clone() };
    assert_eq!(start(&place.runtime, &large).await, instance, "nothing that runs is ended");
    place.runtime.stop(&small.key).await.unwrap();
    assert_ne!(start(&place.runtime, &large).await, instance);
    let pod = as_json(&place.pod(&small.key).await.unwrap());
    assert_eq!(pod["spec"]["containers"][0]["resources"]["limits"]["memory"], "128Mi");
}

#[tokio::test]
async fn deletion_spares_everybody_else() {
    let place = Place::new("deletion_spares_everybody_else").await;
    let (one, neighbour) = (spec("one"), spec("neighbour"));
    let of_u2 = |spec: EnvironmentSpec| EnvironmentSpec {
        key: EnvironmentKey { user_id: "u2".to_owned(), ..spec.key.clone() },
        ..spec
    };
    let stranger = of_u2(spec("stranger"));
    for spec in [&one, &neighbour, &stranger] {
        place.runtime.ensure(spec).await.unwrap();
    }
    let instance = start(&place.runtime, &neighbour).await;
    start(&place.runtime, &one).await;
    let began = Instant::now();
    place.runtime.delete(&one.key).await.unwrap();
    println!("deleted after {:?}", began.elapsed());
    place.runtime.delete(&one.key).await.expect("deleting what is gone is fine");
    let key = &one.key;
    assert!(place.get::<StatefulSet>(key).await.is_none() && place.get::<Secret>(key).await.is_none());
    assert!(
        place.get::<Service>(key).await.is_none() && place.get::<PersistentVolumeClaim>(key).await.is_none()
    );
    assert_eq!(*place.runtime.watch(key).await.unwrap().borrow(), Observed::Absent);
    assert_eq!(start(&place.runtime, &neighbour).await, instance);
    assert!(place.get::<StatefulSet>(&stranger.key).await.is_some());
    let mut left = [neighbour.key.id.clone(), stranger.key.id.clone()];
    left.sort();
    assert_eq!(place.runtime.inventory().await.unwrap(), left);

    // With the user's last environment goes the namespace, and comes back with the next one.
    place.runtime.delete(&neighbour.key).await.unwrap();
    let namespaces = Api::<Namespace>::all(place.client.clone());
    let gone = namespaces.get_opt(&place.namespace(key)).await.unwrap();
    assert!(gone.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()));
    let began = Instant::now();
    let mut pauses = 0;
    while let Err(error) = place.runtime.ensure(&one).await {
        assert!(matches!(&error, RuntimeError::Unavailable(text) if text.contains("cleaning up")), "{error}");
        assert!(began.elapsed() < PATIENCE);
        pauses += 1;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("made again after {:?} and {pauses} refusals", began.elapsed());
    start(&place.runtime, &one).await;
    assert!(place.get::<StatefulSet>(&stranger.key).await.is_some());
}

#[tokio::test]
async fn a_foreign_namespace_is_not_touched() {
    let place = Place::new("a_foreign_namespace_is_not_touched").await;
    let spec = spec("theirs");
    let namespaces = Api::<Namespace>::all(place.client.clone());
    let name = place.namespace(&spec.key);
    let theirs = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    namespaces.create(&PostParams::default(), &theirs).await.unwrap();
    let refused = place.runtime.ensure(&spec).await;
    // Something of the same name, made by somebody else.
    let pod = json!({"metadata": {"name": format!("env-{}-0", spec.key.id)}, "spec": {"containers": [{
        "name": "c", "image": IMAGE, "command": ["sleep", "1000"]}]}});
    let pods = place.api::<Pod>(&spec.key);
    let mut made = Err(());
    for _ in 0..50 {
        // The namespace's service account takes a moment.
        made = pods
            .create(&PostParams::default(), &serde_json::from_value(pod.clone()).unwrap())
            .await
            .map_err(drop);
        if made.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    made.unwrap();
    let deleted = place.runtime.delete(&spec.key).await;
    let labels = namespaces.get(&name).await.unwrap();
    let left = pods.list(&ListParams::default()).await.unwrap().items.len();
    namespaces.delete(&name, &DeleteParams::background()).await.unwrap();
    assert!(matches!(&refused, Err(RuntimeError::Rejected(text)) if text.contains(&name)), "{refused:?}");
    assert!(matches!(&deleted, Err(RuntimeError::Rejected(_))), "{deleted:?}");
    assert!(labels.labels().keys().all(|label| !label.contains("devpocket")), "{labels:?}");
    assert_eq!(left, 1);
}

#[tokio::test]
async fn a_plan_that_changes_changes_the_quota() {
    let place = Place::new("a_plan_that_changes_changes_the_quota").await;
    let spec = spec("promoted");
    place.runtime.ensure(&EnvironmentSpec { plan: Plan::Starter, ..spec.clone() }).await.unwrap();
    let pods = async || {
        let quota = place.api::<ResourceQuota>(&spec.key).get("devpocket").await.unwrap();
        as_json(&quota)["spec"]["hard"]["pods"].clone()
    };
    assert_eq!(pods().await, "5");
    place.runtime.ensure(&spec).await.unwrap();
    assert_eq!(pods().await, "12");
}

/// Objects of somebody else by the names of ours, in one of our namespaces.
#[tokio::test]
async fn objects_of_others_are_not_taken_over() {
    let place = Place::new("objects_of_others_are_not_taken_over").await;
    let neighbour = spec("neighbour");
    place.runtime.ensure(&neighbour).await.unwrap();
    let pod = json!({"metadata": {"labels": {"app": "theirs"}}, "spec": {"containers": [{"name": "c", "image": IMAGE}]}});
    let claim =
        |size: &str| json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}});
    // Also such as do not contradict ours.
    let theirs = [
        ("Secret", json!({"data": {"theirs": "eA=="}})),
        ("Secret", json!({"data": {"agent.json": "eA=="}})),
        ("Service", json!({"spec": {"selector": {"app": "theirs"}, "ports": [{"port": 1}]}})),
        ("Service", json!({"spec": {"clusterIP": "None", "selector": {"app": "theirs"}}})),
        ("PersistentVolumeClaim", json!({"spec": claim("1Gi")})),
        ("PersistentVolumeClaim", json!({"spec": claim("2Gi")})),
        (
            "StatefulSet",
            json!({"spec": {"replicas": 0, "serviceName": "x", "template": pod,
            "selector": {"matchLabels": {"app": "theirs"}}}}),
        ),
    ];
    for (kind, body) in theirs {
        let spec = spec("theirs");
        let group = if kind == "StatefulSet" { "apps" } else { "" };
        let resource = kube::api::ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk(group, "v1", kind));
        let mut object =
            kube::api::DynamicObject::new(&format!("env-{}", spec.key.id), &resource).data(body.clone());
        object.metadata.labels = Some([("app".to_owned(), "theirs".to_owned())].into());
        let api: Api<kube::api::DynamicObject> =
            Api::namespaced_with(place.client.clone(), &place.namespace(&spec.key), &resource);
        let before = api.create(&PostParams::default(), &object).await.unwrap();
        let refused = place.runtime.ensure(&spec).await;
        assert!(
            matches!(&refused, Err(RuntimeError::Rejected(text)) if text.contains(kind) && text.contains("somebody else")),
            "{body}: {refused:?}"
        );
        let after = api.get(&before.name_any()).await.unwrap();
        assert_eq!((after.uid(), after.labels()), (before.uid(), before.labels()), "{body}");
        assert_eq!(after.data.get("data"), before.data.get("data"));
        for key in ["selector", "ports", "replicas", "resources"] {
            assert_eq!(after.data["spec"][key], before.data["spec"][key], "{body}");
        }
        assert!(matches!(place.runtime.delete(&spec.key).await, Err(RuntimeError::Rejected(_))), "{body}");
        assert!(api.get(&before.name_any()).await.unwrap().metadata.deletion_timestamp.is_none(), "{body}");
    }
}

/// What an operator changed of ours is put right again.
#[tokio::test]
async fn what_others_changed_of_ours_is_put_right() {
    let place = Place::new("what_others_changed_of_ours_is_put_right").await;
    let spec = spec("edited");
    place.runtime.ensure(&spec).await.unwrap();
    let name = format!("env-{}", spec.key.id);
    let edit = json!({"data": {"agent.json": "eA=="}});
    let secrets = place.api::<Secret>(&spec.key);
    secrets.patch(&name, &kube::api::PatchParams::default(), &kube::api::Patch::Merge(edit)).await.unwrap();
    let edit = json!({"spec": {"sessionAffinity": "ClientIP"}});
    let services = place.api::<Service>(&spec.key);
    services.patch(&name, &kube::api::PatchParams::default(), &kube::api::Patch::Merge(edit)).await.unwrap();
    start(&place.runtime, &spec).await;
    let secret = place.get::<Secret>(&spec.key).await.unwrap();
    assert!(secret.data.unwrap()["agent.json"].0.len() > 10);
}
