//! Whom a warning of the cluster is about.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event as Incident;
use tokio::time::Instant;

use super::super::judge::Warning;
use super::super::names;

/// The most of a message that is kept.
const LONGEST: usize = 1000;

/// A warning about one of our environments.
#[derive(Debug, Clone)]
pub(super) struct Incidence {
    pub environment: String,
    pub about: About,
    pub at: Instant,
    pub warning: Warning,
}

/// What a warning is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    /// The pod with this uid.
    Pod(String),
    /// The StatefulSet, which can't make its pod.
    Set,
    /// The volume claim.
    Claim,
}

/// What a warning says of an environment of `installation`; warnings carry no labels.
pub(super) fn read(installation: &str, incident: &Incident) -> Option<Incidence> {
    let object = &incident.involved_object;
    names::user_of(installation, object.namespace.as_deref()?)?;
    let about = match object.kind.as_deref()? {
        "Pod" => About::Pod(object.uid.clone()?),
        "StatefulSet" => About::Set,
        "PersistentVolumeClaim" => About::Claim,
        _ => return None,
    };
    let environment = names::environment_of(object.name.as_deref()?)?.to_owned();
    let message = incident.message.as_deref().unwrap_or_default();
    let warning =
        Warning { reason: incident.reason.clone()?, message: message.chars().take(LONGEST).collect() };
    Some(Incidence { environment, about, at: happened(incident), warning })
}

/// When it happened last, on our clock.
fn happened(incident: &Incident) -> Instant {
    let series = incident.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let at = series
        .map(|time| time.0)
        .or(incident.last_timestamp.as_ref().map(|time| time.0))
        .or(incident.event_time.as_ref().map(|time| time.0));
    let age = at.map_or(Duration::ZERO, |at| {
        Duration::try_from(Timestamp::now().duration_since(at)).unwrap_or(Duration::ZERO)
    });
    Instant::now().checked_sub(age).unwrap_or_else(Instant::now)
}
