//! What a person reads when an environment can't run.

use devpocket_actors::plans::{Allowance, Plans};
use devpocket_actors::runtime::{EnvironmentSpec, Observed, Placement, Resources, Runtime, RuntimeError};

use crate::place::{IMAGE, Place, spec};
use crate::runtime_suite::{start, wait_for};

const MIB: u64 = 1 << 20;

fn each(cpu_millis: u32, memory_bytes: u64, environments: u32) -> Plans {
    let each = Resources { cpu_millis, memory_bytes, storage_bytes: 1 << 30 };
    let all = Allowance { environments, each };
    Plans { free: all, starter: all, pro: all, enterprise: all }
}

async fn failure(place: &Place, spec: &EnvironmentSpec) -> String {
    let mut seen = place.runtime.watch(&spec.key).await.unwrap();
    match wait_for(&mut seen, |seen| matches!(seen, Observed::Failed(_))).await {
        Observed::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_image_that_is_not_there_is_named() {
    let place = Place::new("an_image_that_is_not_there_is_named").await;
    let bad = EnvironmentSpec { image: "no.such.registry/nothing:1".to_owned(), ..spec("bad") };
    place.runtime.ensure(&bad).await.unwrap();
    let why = failure(&place, &bad).await;
    println!("{why}");
    assert!(why.contains("no.such.registry/nothing:1") && why.contains("can't be fetched"), "{why}");
    // Started again with an image that is there, without a stop in between.
    start(&place.runtime, &EnvironmentSpec { image: IMAGE.to_owned(), ..bad }).await;
}

#[tokio::test]
async fn an_agent_image_that_is_not_there_is_the_operators_matter() {
    let test = "an_agent_image_that_is_not_there_is_the_operators_matter";
    let image = |config: &mut devpocket_actors::runtime::kubernetes::KubernetesConfig| {
        config.agent_image = "no.such.registry/agent:1".to_owned();
    };
    let place = Place::with(test, image).await;
    let spec = spec("agentless");
    place.runtime.ensure(&spec).await.unwrap();
    let why = failure(&place, &spec).await;
    assert!(why.contains("no.such.registry/agent:1") && why.contains("operator"), "{why}");
    place.runtime.stop(&spec.key).await.unwrap();
}

#[tokio::test]
async fn too_little_room_is_a_reason_and_then_a_failure() {
    let plans = each(1_000_000, 1 << 40, 3);
    let test = "too_little_room_is_a_reason_and_then_a_failure";
    let place = Place::with(test, |config| config.plans = plans).await;
    let mut large = spec("large");
    large.resources.cpu_millis = 900_000;
    place.runtime.ensure(&large).await.unwrap();
    let mut seen = place.runtime.watch(&large.key).await.unwrap();
    // Before that, it waits for its volume.
    let lacks =
        |seen: &Observed| matches!(seen, Observed::Starting(Some(why)) if why.contains("enough free CPU"));
    println!("{:?}", wait_for(&mut seen, lacks).await);
    let why = failure(&place, &large).await;
    println!("{why}");
    assert!(why.contains("enough free CPU") && why.contains("Stop or delete"), "{why}");
    // Smaller, and started again.
    large.resources.cpu_millis = 200;
    start(&place.runtime, &large).await;
}

#[tokio::test]
async fn a_kind_of_machine_that_is_not_there_is_a_reason() {
    let place = Place::new("a_kind_of_machine_that_is_not_there_is_a_reason").await;
    let node_selector = [("devpocket.dev/none".to_owned(), "x".to_owned())].into();
    let placement = Placement { node_selector, ..Placement::default() };
    let spec = EnvironmentSpec { placement, ..spec("selective") };
    place.runtime.ensure(&spec).await.unwrap();
    let why = failure(&place, &spec).await;
    assert!(why.contains("of the kind"), "{why}");
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_a_failure() {
    let plans = each(300, 128 * MIB, 2);
    let test = "a_quota_that_is_used_up_is_a_failure";
    let place = Place::with(test, |config| config.plans = plans).await;
    let (mut one, mut two) = (spec("one"), spec("two"));
    one.resources = Resources { cpu_millis: 300, memory_bytes: 128 * MIB, storage_bytes: MIB };
    two.resources = one.resources;
    start(&place.runtime, &one).await;
    start(&place.runtime, &two).await;
    // Volumes are counted at once.
    let three = EnvironmentSpec { resources: one.resources, ..spec("three") };
    let refused = place.runtime.ensure(&three).await;
    println!("{refused:?}");
    assert!(
        matches!(&refused, Err(RuntimeError::Rejected(why)) if why.contains("number of environments")),
        "{refused:?}"
    );

    // More than one environment may have.
    place.runtime.stop(&two.key).await.unwrap();
    let greedy = Resources { memory_bytes: 256 * MIB, ..two.resources };
    let greedy = EnvironmentSpec { resources: greedy, ..two.clone() };
    place.runtime.ensure(&greedy).await.unwrap();
    let why = failure(&place, &greedy).await;
    println!("{why}");
    assert!(why.contains("more than the plan allows"), "{why}");
    start(&place.runtime, &two).await;
}

#[tokio::test]
async fn memory_of_others_is_a_reason() {
    let test = "memory_of_others_is_a_reason";
    let place = Place::with(test, |config| config.plans = each(400, 128 * MIB, 2)).await;
    // A pod of somebody who may make one in this namespace.
    let (one, two) = (spec("one"), spec("two"));
    let all = Resources { cpu_millis: 400, memory_bytes: 128 * MIB, storage_bytes: MIB };
    let (one, two) = (EnvironmentSpec { resources: all, ..one }, EnvironmentSpec { resources: all, ..two });
    start(&place.runtime, &one).await;
    let blocker =
        serde_json::from_value(serde_json::json!({"metadata": {"name": "blocker"}, "spec": {"containers": [{
        "name": "c", "image": IMAGE, "command": ["sleep", "1000"],
        "resources": {"limits": {"cpu": "10m", "memory": "32Mi"}}}]}}))
        .unwrap();
    let pods = place.api::<k8s_openapi::api::core::v1::Pod>(&one.key);
    pods.create(&kube::api::PostParams::default(), &blocker).await.unwrap();
    place.runtime.ensure(&two).await.unwrap();
    let why = failure(&place, &two).await;
    println!("{why}");
    assert!(why.contains("CPU and memory is used up"), "{why}");
    // It is free again, and the next start does not wait for the cluster to try by itself.
    pods.delete("blocker", &kube::api::DeleteParams::default().grace_period(0)).await.unwrap();
    let began = std::time::Instant::now();
    start(&place.runtime, &two).await;
    println!("started {:?} after there was room", began.elapsed());
}
