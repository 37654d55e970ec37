//! What is known of one environment, and who is told.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;
use tokio::time::Instant;

use super::super::judge::{self, Situation, Warning};
use super::incident::{About, Incidence};
use crate::runtime::Observed;

/// How long a pod may take to appear after it was asked for, or after the one before it was
/// gone. Then it is Absent, and whoever wants it to run asks again.
const EXPECTED: Duration = Duration::from_secs(30);

/// A warning from before the last `ensure` still tells why there is no pod when none has come
/// for so long: the cluster tells the same thing again only now and then.
const STILL_TRUE: Duration = Duration::from_secs(5);

/// How long a warning is kept of an environment that nobody asked for yet: after a restart of the
/// server, the reason why it does not run. The cluster tries again at least this often.
const REMEMBERED: Duration = Duration::from_secs(20 * 60);

/// Times of warnings are in whole seconds.
const ROUNDING: Duration = Duration::from_secs(1);

/// Whether there is a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) enum Presence {
    /// None.
    #[default]
    Gone,
    /// Its object is still there, and nothing of it runs any more. Its uid.
    Over(String),
    /// There is one.
    There,
}

/// What is known of one environment.
#[derive(Debug, Default)]
pub(super) struct Entry {
    observed: watch::Sender<Observed>,
    presence: watch::Sender<Presence>,
    pod: Option<Box<Pod>>,
    /// The newest warning about the pod, the StatefulSet, the volume claim.
    about_pod: Option<(String, Warning)>,
    about_set: Option<(Instant, Warning)>,
    about_claim: Option<Warning>,
    /// Since when a pod is expected: it was asked for, or the one before went.
    expected: Option<Instant>,
    /// Since when it was asked to stop.
    stopping: Option<Instant>,
    /// The last pod that ended without being told to, and why.
    ended: Option<(String, String)>,
    /// The pod that was told to end: that it does is no news.
    told_to_end: Option<String>,
    /// The pod that was removed: what is still told of it is none either.
    discarded: Option<String>,
    /// Since when it waits for a machine.
    waits: Option<Instant>,
}

impl Entry {
    pub(super) fn observed(&self) -> watch::Receiver<Observed> {
        self.observed.subscribe()
    }

    pub(super) fn presence(&self) -> watch::Receiver<Presence> {
        self.presence.subscribe()
    }

    /// It was asked to run: a pod will come.
    pub(super) fn expect(&mut self) {
        self.stopping = None;
        self.expected = Some(Instant::now());
        self.waits = self.waits.map(|_| Instant::now());
    }

    /// It was asked to stop: its end is no news.
    pub(super) fn stop(&mut self) {
        self.stopping = Some(Instant::now());
        // Also when it is asked to run again before it is gone.
        self.told_to_end = self.uid().map(str::to_owned);
        self.expected = None;
        self.ended = None;
        self.about_set = None;
    }

    /// The pod that has failed for good, if there is one.
    pub(super) fn failed_pod(&self) -> Option<String> {
        let failed = matches!(*self.observed.borrow(), Observed::Failed(_));
        self.uid().filter(|_| failed).map(str::to_owned)
    }

    /// That pod was removed on purpose.
    pub(super) fn discard(&mut self, uid: String) {
        self.discarded = Some(uid);
    }

    /// Its pod is there, or has changed.
    pub(super) fn applied(&mut self, pod: Pod) {
        if self.pod.is_some() && self.uid() != pod.metadata.uid.as_deref() {
            self.lost();
        }
        if self.stopping.is_some() {
            // It was asked to stop before this pod was seen: through another way to the cluster, or
            // right after a start of the server.
            self.told_to_end.clone_from(&pod.metadata.uid);
        }
        if let Some(why) = judge::ending(&pod) {
            self.ends(pod.metadata.uid.as_deref(), why);
        }
        let waited = self.waits.unwrap_or_else(Instant::now);
        self.waits = judge::waits_for_room(&pod).then_some(waited);
        self.about_set = None;
        self.pod = Some(Box::new(slim(pod)));
    }

    /// Its pod is gone; of `uid`, or whichever it was.
    pub(super) fn deleted(&mut self, uid: Option<&str>) {
        if uid.is_some() && uid != self.uid() {
            // The one after it is there already.
            return;
        }
        self.lost();
        if self.pod.take().is_some() && self.expected.is_some() {
            self.expected = Some(Instant::now());
        }
        self.waits = None;
        self.about_pod = None;
    }

    fn uid(&self) -> Option<&str> {
        self.pod.as_ref()?.metadata.uid.as_deref()
    }

    /// The pod that was known is no more: if nobody told why, it was removed by force, or while
    /// nobody watched.
    fn lost(&mut self) {
        let Some(uid) = self.uid().map(str::to_owned) else { return };
        if self.ended.as_ref().is_none_or(|(known, _)| *known != uid) {
            self.ends(Some(&uid), judge::REMOVED.to_owned());
        }
    }

    /// A pod ends; that is news unless it was told to.
    fn ends(&mut self, uid: Option<&str>, why: String) {
        let Some(uid) = uid else { return };
        let told = [&self.told_to_end, &self.discarded].into_iter().flatten().any(|told| told == uid);
        let ended = (uid.to_owned(), why);
        if self.stopping.is_none() && !told && self.ended.as_ref() != Some(&ended) {
            tracing::warn!(pod = ended.0, why = ended.1, "an environment's pod ends");
            self.ended = Some(ended);
        }
    }

    /// Something went wrong with it.
    pub(super) fn warned(&mut self, incidence: Incidence) {
        let Incidence { about, at, warning, .. } = incidence;
        if at.elapsed() >= REMEMBERED {
            return;
        }
        match about {
            About::Pod(uid) => self.about_pod = Some((uid, warning)),
            About::Claim => self.about_claim = Some(warning),
            About::Set => {
                if self.about_set.as_ref().is_none_or(|(before, _)| at >= *before) {
                    self.about_set = Some((at, warning));
                }
            }
        }
    }

    /// The warning that matters now.
    fn warning(&self) -> Option<&Warning> {
        let Some(pod) = &self.pod else {
            let expected = self.expected?;
            let (at, warning) = self.about_set.as_ref()?;
            let fresh = *at + ROUNDING >= expected || expected.elapsed() >= STILL_TRUE;
            return fresh.then_some(warning);
        };
        if judge::waits_for_room(pod) {
            return self.about_claim.as_ref();
        }
        let (uid, warning) = self.about_pod.as_ref()?;
        (Some(uid) == pod.metadata.uid.as_ref()).then_some(warning)
    }

    /// Judges what is known, and tells those who watch if that is news.
    pub(super) fn judge(&mut self, patience: Duration) {
        if self.pod.is_none()
            && self.warning().is_none()
            && self.expected.is_some_and(|since| since.elapsed() >= EXPECTED)
        {
            self.expected = None;
        }
        let discarded = self.discarded.is_some() && self.uid() == self.discarded.as_deref();
        let observed = judge::judge(&Situation {
            pod: self.pod.as_deref().filter(|_| !discarded),
            warning: self.warning(),
            expected: self.expected.is_some(),
            stopping: self.stopping.is_some(),
            ended: self.ended.as_ref().map(|(_, why)| why.as_str()),
            waited: self.waits.is_some_and(|since| since.elapsed() >= patience),
        });
        let presence = match &self.pod {
            None => Presence::Gone,
            Some(pod) if judge::is_over(pod) => Presence::Over(pod.metadata.uid.clone().unwrap_or_default()),
            Some(_) => Presence::There,
        };
        tell(&self.presence, presence);
        tell(&self.observed, observed);
    }

    /// Tells those who watch again, news or not: whoever has just asked for something believes
    /// in what they asked for until they hear otherwise.
    pub(super) fn tell_again(&self) {
        self.observed.send_modify(|_| {});
    }

    /// Whether time alone can change the judgement.
    pub(super) fn is_unsettled(&self) -> bool {
        self.waits.is_some() || (self.pod.is_none() && self.expected.is_some())
    }

    /// Whether there is nothing to know and nobody to tell.
    pub(super) fn is_idle(&self) -> bool {
        let told = self.observed.receiver_count() + self.presence.receiver_count();
        told == 0
            && self.pod.is_none()
            && [self.expected, self.stopping].iter().flatten().all(|since| since.elapsed() >= EXPECTED)
            && self.about_set.as_ref().is_none_or(|(at, _)| at.elapsed() >= REMEMBERED)
    }

    pub(super) fn has_pod(&self) -> bool {
        self.pod.is_some()
    }
}

fn tell<T: PartialEq>(sender: &watch::Sender<T>, value: T) {
    sender.send_if_modified(|known| {
        let news = *known != value;
        if news {
            *known = value;
        }
        news
    });
}

/// A pod without what nobody asks of it: there are as many in memory as there are
/// environments.
fn slim(mut pod: Pod) -> Pod {
    pod.metadata.managed_fields = None;
    pod.metadata.annotations = None;
    pod.metadata.owner_references = None;
    if let Some(spec) = &mut pod.spec {
        spec.volumes = None;
        spec.tolerations = None;
        spec.init_containers = None;
        for container in &mut spec.containers {
            container.volume_mounts = None;
            container.command = None;
            container.security_context = None;
        }
    }
    pod
}
