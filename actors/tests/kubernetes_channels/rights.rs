//! Who is let in, and what they lack.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use devpocket_actors::runtime::kubernetes::KubernetesRuntime;
use devpocket_actors::runtime::kubernetes::access::{self, Finding};
use devpocket_actors::runtime::kubernetes::connect::{self, Access};
use devpocket_actors::runtime::{Runtime, RuntimeError};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Client;
use kube::api::{Api, DeleteParams};
use serde_json::Value;

use crate::cluster_account::{apply, kubeconfig_with, token};
use crate::place::{Place, installation};

/// A certificate authority that signed nothing here.
const STRANGER: &str = "-----BEGIN CERTIFICATE-----
MIIBgDCCASWgAwIBAgIUVrQf5d//S01a0fbXxYRIx9wc0VQwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJdGVzdC1jYS0xMCAXDTI2MDMwNDEzMDk1MFoYDzIxMjYwMjA4
MTMwOTUwWjAUMRIwEAYDVQQDDAl0ZXN0LWNhLTEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARg57mWJPDsAIEQAgXqMOOfjMQP+PE9HqcZobycO8z94r/uRuV0wKx/
0SvMsKFtnreut0bjgFtmZaWY+6d87Is9o1MwUTAdBgNVHQ4EFgQUjtGuhkM7LtHB
gMPCJIxMwbY69OQwHwYDVR0jBBgwFoAUjtGuhkM7LtHBgMPCJIxMwbY69OQwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAj/WzNVJDg/cBtLqQVM77
tkB+QyIXLG3Vi9Xj1YfW9QECIQDDFW8yFtgLeCg2Zhr4xQNq3/24r/01kI2rjFPO
xBkDMw==
-----END CERTIFICATE-----
";

/// A client of the operator's cluster with that token; `change` is done to the cluster's entry.
async fn client_with(token: &str, change: impl FnOnce(&mut Value)) -> Result<Client, RuntimeError> {
    let text = connect::single_context(&kubeconfig_with(token, change).into(), None)?;
    connect::client(&Access::Kubeconfig { text, context: None }).await
}

/// What the cluster says to that.
async fn check_with(token: &str, change: impl FnOnce(&mut Value)) -> Result<(), RuntimeError> {
    KubernetesRuntime::new(client_with(token, change).await?, installation("t1")).check().await
}

#[tokio::test]
async fn the_report_names_what_a_role_lacks() {
    let place = Place::new().await;
    let config = installation("t1");
    let lacking = |findings: &[Finding]| -> Vec<String> {
        let wrong = findings.iter().filter(|finding| finding.needed && finding.result.is_err());
        wrong.map(|finding| finding.subject.clone()).collect()
    };
    assert_eq!(lacking(&access::report(&place.client, &config).await), Vec::<String>::new());

    // The role as it is shipped, with names of this test's own.
    let id = &place.namespace;
    let role =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kubernetes/rbac.yaml"))
            .unwrap();
    let role = role.replace("devpocket-system", id).replace("name: devpocket", &format!("name: {id}"));
    apply(&place.client, &role).await;
    let client = client_with(&token(&place.client, id, id).await, |_| {}).await.unwrap();
    let findings = access::report(&client, &config).await;
    let (roles, bindings): (Api<ClusterRole>, Api<ClusterRoleBinding>) =
        (Api::all(place.client.clone()), Api::all(place.client.clone()));
    roles.delete(id, &DeleteParams::default()).await.unwrap();
    bindings.delete(id, &DeleteParams::default()).await.unwrap();
    for finding in &findings {
        println!("{} needed={}: {:?}", finding.subject, finding.needed, finding.result);
    }
    assert_eq!(lacking(&findings), Vec::<String>::new());

    // An account without any role.
    let client = client_with(&token(&place.client, id, "default").await, |_| {}).await.unwrap();
    let lacks = lacking(&access::report(&client, &config).await);
    println!("without a role: {lacks:?}");
    assert!(lacks.iter().any(|subject| subject.contains("namespaces")), "{lacks:?}");
    assert!(lacks.iter().any(|subject| subject.contains("pods/exec")), "{lacks:?}");
}

#[tokio::test]
async fn the_health_check_tells_a_stranger() {
    let place = Place::new().await;
    place.runtime.check().await.unwrap();
    let error = check_with("nonsense", |cluster| cluster["server"] = "https://127.0.0.1:1".into()).await;
    assert!(
        matches!(&error, Err(RuntimeError::Unavailable(text)) if text.contains("nothing listens")),
        "{error:?}"
    );
}

#[tokio::test]
async fn wrong_authorities_and_tokens_are_told() {
    let stranger = |cluster: &mut Value| {
        cluster["certificate-authority-data"] = STANDARD.encode(STRANGER).into();
    };
    let error = check_with("nonsense", stranger).await;
    println!("{error:?}");
    assert!(matches!(&error, Err(RuntimeError::Rejected(text)) if text.contains("authority")), "{error:?}");
    let error = check_with("nonsense", |_| {}).await;
    println!("{error:?}");
    assert!(matches!(&error, Err(RuntimeError::Rejected(text)) if text.contains("credentials")), "{error:?}");
    assert!(!format!("{error:?}").contains("nonsense"));
}
