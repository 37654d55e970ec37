//! Making an environment run: everything is applied, in an order in which each object finds what
//! it needs.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::super::error::explain;
use super::super::{Inner, judge, names, objects};
use super::{code, namespaced, release};
use crate::environment::parse_bytes;
use crate::runtime::{EnvironmentSpec, RuntimeError};

/// How often an object is applied again when somebody else changed it at the same moment, or a
/// new quota is not counted yet; and the pause before.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(50);

const DOING: &str = "Starting";

/// Applies all of it. Its pod comes, or the watch tells why not.
pub(super) async fn ensure(inner: &Inner, spec: &EnvironmentSpec) -> Result<(), RuntimeError> {
    let namespace = names::namespace(&inner.config, &spec.key);
    let in_use = inner.namespaces.use_it(&namespace).await;
    let _in_use = if inner.namespaces.is_applied(&namespace, spec.plan) {
        in_use
    } else {
        drop(in_use);
        let alone = inner.namespaces.change_it(&namespace).await;
        if !inner.namespaces.is_applied(&namespace, spec.plan) {
            apply_namespace(inner, spec, &namespace).await?;
            inner.namespaces.applied(&namespace, spec.plan);
        }
        alone.downgrade()
    };
    let applied = apply_environment(inner, spec, &namespace).await;
    if applied.is_err() {
        // It may be that it is not as it is believed to be: looked at again next time.
        inner.namespaces.forget(&namespace);
    }
    applied?;
    if let Some(uid) = inner.seen.failed_pod(&spec.key) {
        // What failed for good does not mend itself; the next pod follows the specification as
        // it is now.
        let pods = namespaced::<Pod>(&inner.client, &namespace);
        release(&pods, &names::pod(&spec.key), &uid).await.map_err(|error| explain(DOING, &error))?;
        inner.seen.discarded(&spec.key, uid);
    }
    inner.seen.expect(&spec.key);
    Ok(())
}

async fn apply_namespace(inner: &Inner, spec: &EnvironmentSpec, name: &str) -> Result<(), RuntimeError> {
    let (config, user) = (&inner.config, spec.key.user_id.as_str());
    let api = Api::<Namespace>::all(inner.client.clone());
    let found = api.get_metadata_opt(name).await.map_err(|error| explain(DOING, &error))?;
    if let Some(found) = found {
        if !names::is_ours(config, found.metadata.labels.as_ref()) {
            return Err(RuntimeError::Rejected(format!(
                "The namespace {name} belongs to somebody else: it lacks the label {}={}. The operator has to \
                 remove it, or to give this installation another name.",
                names::INSTALLATION,
                config.installation
            )));
        }
        if found.metadata.deletion_timestamp.is_some() {
            return Err(cleaning_up());
        }
    }
    let params = PatchParams::apply(names::FIELD_MANAGER).force();
    api.patch(name, &params, &Patch::Apply(objects::namespace(config, user, name)))
        .await
        .map_err(|error| explain(DOING, &error))?;
    let allowance = config.plans.of(spec.plan);
    let quota = objects::resource_quota(config, user, name, allowance);
    let limits = objects::limit_range(config, user, name, allowance);
    let policy = objects::network_policy(config, user, name);
    tokio::try_join!(
        apply(inner, name, &quota, Guard::Namespace),
        apply(inner, name, &limits, Guard::Namespace),
        apply(inner, name, &policy, Guard::Namespace),
    )?;
    Ok(())
}

async fn apply_environment(
    inner: &Inner,
    spec: &EnvironmentSpec,
    namespace: &str,
) -> Result<(), RuntimeError> {
    let config = &inner.config;
    let secret = objects::config_secret(config, spec)?;
    let service = objects::service(config, spec);
    tokio::try_join!(
        apply(inner, namespace, &secret, MAKES_SECRETS),
        apply(inner, namespace, &service, MAKES_SERVICES),
    )?;
    // Counted by the quota, so after what is not: a new quota takes a moment to count.
    apply_claim(inner, spec, namespace).await?;
    let now = jiff::Timestamp::now().as_millisecond();
    apply(inner, namespace, &objects::stateful_set(config, spec, now), Guard::Selector).await
}

/// Applies the volume claim. One that exists keeps its class, is never made smaller, and grows
/// where its class lets it.
async fn apply_claim(inner: &Inner, spec: &EnvironmentSpec, namespace: &str) -> Result<(), RuntimeError> {
    let config = &inner.config;
    let wanted = spec.resources.storage_bytes;
    let of = |size: Quantity, class| objects::claim(config, spec, size, class);
    let claim = of(objects::bytes(wanted), config.storage_class.clone());
    let Err(error) = apply(inner, namespace, &claim, MAKES_CLAIMS).await else { return Ok(()) };
    let api = namespaced::<PersistentVolumeClaim>(&inner.client, namespace);
    let found = api.get_opt(&names::object(&spec.key)).await.map_err(|error| explain(DOING, &error))?;
    let Some(found) = found.and_then(|found| found.spec) else { return Err(error) };
    let has = found.resources.and_then(|resources| resources.requests?.remove("storage"));
    let Some(has) = has else { return Err(error) };
    let grows = parse_bytes("storage", &has.0).is_ok_and(|has| wanted > has);
    if grows {
        let larger = of(objects::bytes(wanted), found.storage_class_name.clone());
        if apply(inner, namespace, &larger, MAKES_CLAIMS).await.is_ok() {
            return Ok(());
        }
        tracing::warn!(environment = %spec.key, from = has.0, to = wanted, "a volume can't be made larger");
    }
    apply(inner, namespace, &of(has, found.storage_class_name), MAKES_CLAIMS).await
}

/// How an object that is somebody else's is told from ours, without a request more.
#[derive(Clone, Copy)]
enum Guard {
    /// What nobody else can have: it is in a namespace of ours, and says what a user may do.
    Namespace,
    /// Its selector has our labels and can't be changed: the cluster refuses it to others.
    Selector,
    /// Nothing that others wrote is changed, and whoever makes such an object writes this field,
    /// which can't be changed later. If that was not us, it came with our label or is not ours.
    Maker(&'static [&'static str]),
}

const MAKES_SECRETS: Guard = Guard::Maker(&["f:type"]);
const MAKES_SERVICES: Guard = Guard::Maker(&["f:spec", "f:clusterIP"]);
const MAKES_CLAIMS: Guard = Guard::Maker(&["f:spec", "f:accessModes"]);

/// Applies one object of a namespace, unless it is there already and somebody else's.
async fn apply<K>(inner: &Inner, namespace: &str, object: &K, guard: Guard) -> Result<(), RuntimeError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Serialize
        + Debug,
{
    let api = namespaced::<K>(&inner.client, namespace);
    let name = object.meta().name.as_deref().unwrap_or_default();
    let mut params = PatchParams::apply(names::FIELD_MANAGER);
    params.force = !matches!(guard, Guard::Maker(_));
    let foreign = || not_ours(&K::kind(&()), name, namespace);
    let mut attempt = 1;
    loop {
        // The answer is the whole object, which is of no use here: its metadata will do.
        let error = match api.patch_metadata(name, &params, &Patch::Apply(object)).await {
            Ok(applied) => {
                let taken = matches!(guard, Guard::Maker(field) if !params.force && is_taken(&applied.metadata, field));
                if !taken {
                    return Ok(());
                }
                withdraw(&api, name).await;
                return Err(foreign());
            }
            Err(error) => error,
        };
        let conflict = !params.force && is_conflict(&error);
        if conflict || matches!(code(&error), Some(422)) {
            let found = api.get_metadata_opt(name).await.map_err(|error| explain(DOING, &error))?;
            if found.is_some_and(|found| !names::is_ours(&inner.config, found.metadata.labels.as_ref())) {
                return Err(foreign());
            }
            if conflict {
                // It is ours, and somebody changed it.
                params.force = true;
                continue;
            }
        }
        if attempt == ATTEMPTS || !is_fleeting(&error) {
            return Err(refused(&error));
        }
        sleep(PAUSE * 2u32.pow(attempt)).await;
        attempt += 1;
    }
}

/// Whether an object that was just applied had been made by somebody who did not give it our label.
fn is_taken(metadata: &ObjectMeta, field: &[&str]) -> bool {
    let label = ["f:metadata", "f:labels", &format!("f:{}", names::INSTALLATION)];
    let mut others = metadata.managed_fields.iter().flatten().filter_map(|entry| {
        let ours = entry.manager.as_deref() == Some(names::FIELD_MANAGER);
        entry.fields_v1.as_ref().filter(|_| !ours).map(|fields| &fields.0)
    });
    let has = |fields: &Value, path: &[&str]| path.iter().try_fold(fields, |at, key| at.get(key)).is_some();
    others.clone().any(|fields| has(fields, field)) && !others.any(|fields| has(fields, &label))
}

/// Takes back what was applied to an object of somebody else.
async fn withdraw<K>(api: &Api<K>, name: &str)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let nothing = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name},
    });
    let params = PatchParams::apply(names::FIELD_MANAGER);
    if api.patch_metadata(name, &params, &Patch::Apply(nothing)).await.is_ok() {
        return;
    }
    // Old clusters take that for a change of what a claim must keep: only labels are ours there.
    let labels: Value =
        [names::INSTALLATION, names::USER, names::ENVIRONMENT, names::TEMPLATE, names::MANAGED_BY]
            .map(|label| (label.to_owned(), Value::Null))
            .into_iter()
            .collect();
    let unlabelled = Patch::Merge(json!({"metadata": {"labels": labels}}));
    if let Err(error) = api.patch_metadata(name, &PatchParams::default(), &unlabelled).await {
        tracing::warn!(name, %error, "an object of somebody else keeps labels of ours");
    }
}

fn not_ours(kind: &str, name: &str, namespace: &str) -> RuntimeError {
    RuntimeError::Rejected(format!(
        "The {kind} {name} in namespace {namespace} belongs to somebody else: the operator has to remove it first."
    ))
}

/// Whether somebody else wrote a field that was to be applied, and wrote something else.
fn is_conflict(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => {
            let causes = status.details.iter().flat_map(|details| &details.causes);
            status.code == 409 && causes.into_iter().any(|cause| cause.reason == "FieldManagerConflict")
        }
        _ => false,
    }
}

/// Whether applying it again in a moment will do: two made it at once, or a quota that was just
/// made is not counted yet.
fn is_fleeting(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => {
            status.code == 409 || (status.code == 403 && status.message.contains("status unknown for quota"))
        }
        _ => false,
    }
}

/// What a person reads when an object is refused.
fn refused(error: &kube::Error) -> RuntimeError {
    if let (Some(403 | 404 | 409), kube::Error::Api(status)) = (code(error), error) {
        let message = &status.message;
        if message.contains("being terminated") || (status.code == 404 && message.contains("namespaces \"")) {
            return cleaning_up();
        }
        if let Some(text) = judge::quota_used_up(message) {
            return RuntimeError::Rejected(text);
        }
        if message.contains("usage per PersistentVolumeClaim") {
            return RuntimeError::Rejected(
                "It asks for a larger volume than the plan allows. Choose less storage, then start it again."
                    .to_owned(),
            );
        }
    }
    explain(DOING, error)
}

fn cleaning_up() -> RuntimeError {
    RuntimeError::Unavailable(
        "The cluster is still cleaning up after the environments before. It starts as soon as that is done."
            .to_owned(),
    )
}
