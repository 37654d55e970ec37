//! What a person reads when a cluster says no.

use std::error::Error as StdError;
use std::io;

use kube::core::Status;
use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

use crate::runtime::RuntimeError;

/// The longest text of a cluster that is passed on.
const QUOTED: usize = 400;

/// What went wrong while `doing` something, and what to do about it. Nothing of the request is
/// in it: requests carry credentials and variables.
pub(super) fn explain(doing: &str, error: &kube::Error) -> RuntimeError {
    match error {
        kube::Error::Api(status) => of_status(doing, status),
        kube::Error::Auth(_) => RuntimeError::Rejected(format!(
            "{doing}: the credentials in the kubeconfig can't be used: get a new kubeconfig"
        )),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
            RuntimeError::Unavailable(format!("{doing}: the cluster's answer makes no sense"))
        }
        kube::Error::RustlsTls(_) => {
            RuntimeError::Rejected(format!("{doing}: the certificates in the kubeconfig can't be used"))
        }
        other => of_connection(doing, other),
    }
}

/// What an answer other than success means.
pub(super) fn of_status(doing: &str, status: &Status) -> RuntimeError {
    let said = quote(&status.message);
    let rejected = |what: String| RuntimeError::Rejected(format!("{doing}: {what}"));
    let unavailable = |what: String| RuntimeError::Unavailable(format!("{doing}: {what}"));
    match status.code {
        401 => rejected(
            "the cluster refuses the credentials: they are wrong or have expired. Get a new kubeconfig"
                .to_owned(),
        ),
        // These two come as 403, and no role helps against them.
        403 if said.contains("exceeded quota") => rejected(format!(
            "the quota of the plan is used up: stop or delete another environment first ({said})"
        )),
        403 if status.reason == "Forbidden" && said.contains("is being terminated") => {
            unavailable(format!("it is still being deleted ({said})"))
        }
        403 if is_permission(&said) => rejected(format!(
            "the cluster does not allow it: {said}. The role in deploy/kubernetes/rbac.yaml does"
        )),
        403 => rejected(format!("the cluster does not allow it: {said}")),
        // What is missing may come, or is made anew by the caller's next step.
        404 => unavailable(format!("not found: {said}")),
        405 | 406 | 415 => {
            rejected(format!("the cluster does not know this request, it may be too old: {said}"))
        }
        400 | 413 | 422 => rejected(format!("the cluster finds it invalid: {said}")),
        409 => unavailable(format!("somebody else changed it at the same time: {said}")),
        429 => unavailable("the cluster has too much to do".to_owned()),
        500.. => unavailable(format!("the cluster has a problem: {said}")),
        code => unavailable(format!("the cluster answered {code}: {said}")),
    }
}

/// The words of the API server's authorizer, which tell user, verb and resource.
fn is_permission(said: &str) -> bool {
    said.contains(" cannot ") && said.contains(" resource ")
        || said.contains(" cannot ") && said.contains(" path ")
}

fn of_connection(doing: &str, error: &(dyn StdError + 'static)) -> RuntimeError {
    let mut deepest = String::new();
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return of_tls(doing, tls);
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if let Some(what) = of_kind(error.kind()) {
                return RuntimeError::Unavailable(format!("{doing}: {what}"));
            }
            deepest = error.to_string();
            // What an io::Error wraps is not its source but what it holds.
            if let Some(inner) = error.get_ref() {
                current = Some(inner);
                continue;
            }
        } else {
            deepest = error.to_string();
        }
        current = error.source();
    }
    let what = if deepest.contains("failed to lookup address") {
        format!("the cluster's name can't be looked up: {}", quote(&deepest))
    } else {
        format!("the cluster can't be reached: {}", quote(&deepest))
    };
    RuntimeError::Unavailable(format!("{doing}: {what}"))
}

fn of_kind(kind: io::ErrorKind) -> Option<&'static str> {
    Some(match kind {
        io::ErrorKind::ConnectionRefused => "nothing listens at the cluster's address",
        io::ErrorKind::TimedOut => "the cluster does not answer",
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            "the cluster cut the connection"
        }
        io::ErrorKind::UnexpectedEof => "the cluster closed the connection",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "no way leads to the cluster's address"
        }
        _ => return None,
    })
}

fn of_tls(doing: &str, error: &rustls::Error) -> RuntimeError {
    let what = match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "the cluster's certificate is of an authority that the kubeconfig does not name: \
                 get a new kubeconfig, or make sure that nobody is in between"
                    .to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the cluster's certificate has expired: it must be renewed on the cluster".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the cluster's certificate is not valid yet: check the clocks".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the cluster's certificate is not for the address in the kubeconfig: \
                 use another address or set tls-server-name"
                    .to_owned()
            }
            other => format!("the cluster's certificate is not accepted: {other}"),
        },
        rustls::Error::AlertReceived(
            AlertDescription::CertificateExpired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateUnknown,
        ) => "the cluster refuses the kubeconfig's client certificate: get a new kubeconfig".to_owned(),
        rustls::Error::InvalidMessage(_) => {
            return RuntimeError::Unavailable(format!(
                "{doing}: what answers at the cluster's address does not speak TLS"
            ));
        }
        other => {
            return RuntimeError::Unavailable(format!(
                "{doing}: no secure connection to the cluster: {other}"
            ));
        }
    };
    RuntimeError::Rejected(format!("{doing}: {what}"))
}

/// A cluster's words in one line, the first ones of them.
pub(super) fn quote(said: &str) -> String {
    let line = in_one_line(said);
    match line.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// A program's words in one line, the last ones of them.
pub(super) fn quote_end(said: &str) -> String {
    let line = in_one_line(said);
    match line.char_indices().nth_back(QUOTED) {
        Some((begin, _)) => format!("…{}", &line[begin..]),
        None => line,
    }
}

fn in_one_line(said: &str) -> String {
    let words: Vec<&str> = said.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, reason: &str, message: &str) -> kube::Error {
        let status = Status { code, reason: reason.into(), message: message.into(), ..Status::default() };
        kube::Error::Api(Box::new(status))
    }

    fn wrapped(error: impl StdError + Send + Sync + 'static) -> kube::Error {
        kube::Error::Service(Box::new(io::Error::other(error)))
    }

    #[track_caller]
    fn is_rejected(error: &kube::Error, part: &str) {
        let explained = explain("making a volume", error);
        assert!(matches!(&explained, RuntimeError::Rejected(text) if text.contains(part)), "{explained:?}");
    }

    #[track_caller]
    fn is_unavailable(error: &kube::Error, part: &str) {
        let explained = explain("making a volume", error);
        assert!(
            matches!(&explained, RuntimeError::Unavailable(text) if text.contains(part)),
            "{explained:?}"
        );
    }

    #[test]
    fn what_waiting_does_not_help_is_rejected() {
        is_rejected(&status(401, "Unauthorized", "Unauthorized"), "expired");
        let text = "pods is forbidden: User \"a\" cannot list resource \"pods\" in API group \"\" at the cluster scope";
        is_rejected(&status(403, "Forbidden", text), "cannot list resource \"pods\"");
        is_rejected(&status(403, "Forbidden", text), "deploy/kubernetes/rbac.yaml");
        let text =
            "pods \"x\" is forbidden: exceeded quota: plan, requested: pods=1, used: pods=1, limited: pods=1";
        is_rejected(&status(403, "Forbidden", text), "quota of the plan");
        is_rejected(&status(422, "Invalid", "spec.replicas: Invalid value"), "invalid");
        is_rejected(
            &wrapped(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)),
            "authority",
        );
        is_rejected(&wrapped(rustls::Error::InvalidCertificate(CertificateError::Expired)), "renewed");
        is_rejected(
            &wrapped(rustls::Error::AlertReceived(AlertDescription::CertificateExpired)),
            "client certificate",
        );
    }

    #[test]
    fn what_may_pass_is_unavailable() {
        is_unavailable(&status(404, "NotFound", "pods \"x\" not found"), "not found");
        is_unavailable(&status(409, "Conflict", "the object has been modified"), "same time");
        let text = "pods \"x\" is forbidden: unable to create new content in namespace n because it is being terminated";
        is_unavailable(&status(403, "Forbidden", text), "being deleted");
        is_unavailable(&status(429, "TooManyRequests", ""), "too much");
        is_unavailable(&status(503, "ServiceUnavailable", "etcd"), "problem: etcd");
        is_unavailable(
            &kube::Error::Service(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
            "nothing listens",
        );
        is_unavailable(
            &kube::Error::Service(io::Error::from(io::ErrorKind::TimedOut).into()),
            "does not answer",
        );
        let lookup = io::Error::other("failed to lookup address information: Name or service not known");
        is_unavailable(&kube::Error::Service(lookup.into()), "looked up");
    }

    #[test]
    fn long_texts_are_cut_to_one_line() {
        let quoted = quote(&"two\nwords ".repeat(500));
        assert!(quoted.len() < QUOTED + 10 && !quoted.contains('\n'), "{quoted}");
        assert_eq!(quote_end(&format!("{} the end", "é".repeat(4000))).chars().count(), QUOTED + 2);
        assert_eq!(quote_end("the\nend"), "the end");
    }
}
