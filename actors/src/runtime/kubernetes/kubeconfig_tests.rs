use std::fmt::Write as _;

use super::*;

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
}

/// As much of a certificate as is looked at.
fn certificate_until(end: &str) -> String {
    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut all = vec![tag, 0x81, u8::try_from(content.len()).unwrap()];
        all.extend_from_slice(content);
        all
    }
    let kind = if end.len() == 13 { 0x17 } else { 0x18 };
    let validity = element(0x30, &[element(0x17, b"200101000000Z"), element(kind, end.as_bytes())].concat());
    let fields =
        [element(0xa0, &[2, 1, 2]), element(2, &[1]), element(0x30, &[]), element(0x30, &[]), validity]
            .concat();
    pem(&element(0x30, &element(0x30, &fields)))
}

struct File {
    user: String,
    cluster: String,
}

impl Default for File {
    fn default() -> Self {
        Self { user: "token: s3cret".to_owned(), cluster: "server: https://10.0.0.1:6443".to_owned() }
    }
}

impl File {
    fn user(user: &str) -> Self {
        Self { user: user.to_owned(), ..Self::default() }
    }

    fn cluster(cluster: &str) -> Self {
        Self { cluster: cluster.to_owned(), ..Self::default() }
    }

    fn text(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: home\n\
             contexts:\n- name: home\n  context: {{cluster: c, user: u}}\n- name: lost\n  context: {{cluster: c, user: nobody}}\n\
             - name: nowhere\n  context: {{cluster: none, user: u}}\n\
             clusters:\n- name: c\n  cluster: {{{}}}\n- name: other\n  cluster: {{server: 'https://other'}}\n\
             users:\n- name: u\n  user: {{{}}}\n- name: spare\n  user: {{token: spare-t0ken}}\n",
            self.cluster, self.user
        )
    }
}

#[track_caller]
fn refusal(result: Result<impl Sized, RuntimeError>) -> String {
    match result {
        Err(RuntimeError::Rejected(text)) => {
            for secret in ["s3cret", "c2VjcmV0", "t0ken"] {
                assert!(!text.contains(secret), "{text}");
            }
            text
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was taken"),
    }
}

async fn refused(file: File, context: Option<&str>) -> String {
    refusal(of_text(&file.text(), context).await)
}

#[tokio::test]
async fn a_good_one_is_taken() {
    let config = of_text(&File::default().text(), None).await.unwrap();
    assert_eq!(config.cluster_url.to_string(), "https://10.0.0.1:6443/");
    assert!(config.proxy_url.is_none());
}

#[tokio::test]
async fn contexts_users_and_clusters_are_named() {
    let said = refused(File::default(), Some("work")).await;
    assert!(said.contains("\"work\"") && said.contains("home, lost, nowhere"), "{said}");
    assert!(refused(File::default(), Some("lost")).await.contains("names user \"nobody\""));
    assert!(refused(File::default(), Some("nowhere")).await.contains("names cluster \"none\""));
    let none = File::default().text().replace("current-context: home", "");
    assert!(refusal(of_text(&none, None).await).contains("no current context"));
}

#[tokio::test]
async fn what_is_no_kubeconfig_is_refused_by_place_alone() {
    let said = refusal(of_text("token: s3cret\n  - : [", None).await);
    assert!(said.contains("YAML") && said.contains("line"), "{said}");
    assert!(refusal(of_text("just words s3cret", None).await).contains("kubeconfig"));
    let mut large = String::from("# ");
    while large.len() <= LIMIT {
        let _ = write!(large, "0123456789");
    }
    assert!(refusal(of_text(&large, None).await).contains("256 KiB"));
}

#[tokio::test]
async fn programs_are_never_run() {
    let exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: touch, args: [/tmp/s3cret]}";
    assert!(refused(File::user(exec), None).await.contains("(exec)"));
    assert!(refused(File::user("auth-provider: {name: gcp}"), None).await.contains("(auth-provider)"));
}

#[tokio::test]
async fn files_are_not_read_for_a_text() {
    for user in ["tokenFile: /etc/passwd", "client-certificate: /etc/passwd", "client-key: /etc/passwd"] {
        assert!(refused(File::user(user), None).await.contains("refers to a file"));
    }
    let ca = File::cluster("server: 'https://a', certificate-authority: /etc/passwd");
    assert!(refused(ca, None).await.contains("(certificate-authority)"));
    // The content is there as well, and goes first.
    let both = File::user("token: s3cret, tokenFile: /etc/passwd");
    assert!(of_text(&both.text(), None).await.unwrap().auth_info.token_file.is_none());
}

#[tokio::test]
async fn certificates_are_looked_at() {
    let with = |certificate: &str| {
        File::user(&format!(
            "client-certificate-data: {}, client-key-data: '{}'",
            STANDARD.encode(certificate),
            STANDARD.encode("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----")
        ))
    };
    let said = refused(with(&certificate_until("200102030405Z")), None).await;
    assert!(said.contains("expired on 2020-01-02 03:04 UTC"), "{said}");
    assert!(refused(with(&certificate_until("20210102030405Z")), None).await.contains("expired on 2021"));
    of_text(&with(&certificate_until("21260102030405Z")).text(), None).await.unwrap();
    of_text(&with(&certificate_until("490102030405Z")).text(), None).await.unwrap();
    assert!(refused(with("s3cret"), None).await.contains("no certificate in PEM"));
    assert!(refused(File::user("client-certificate-data: '***'"), None).await.contains("not base64"));
    assert!(refused(File::user("client-key-data: c2VjcmV0"), None).await.contains("no private key"));
    let ca = |data: &str| File::cluster(&format!("server: 'https://a', certificate-authority-data: {data}"));
    assert!(refused(ca("'***'"), None).await.contains("certificate-authority-data is not base64"));
    assert!(refused(ca("c2VjcmV0"), None).await.contains("no certificate in PEM"));
}

#[tokio::test]
async fn addresses_are_looked_at() {
    assert!(refused(File::cluster("server: ''"), None).await.contains("no address"));
    assert!(refused(File::cluster("server: 'http://a'"), None).await.contains("https only"));
    assert!(refused(File::cluster("server: 'ftp://a'"), None).await.contains("no https URL"));
    assert!(
        refused(File::cluster("server: 'https://a', proxy-url: 'http://p'"), None).await.contains("proxy")
    );
    let open = File { user: "{}".to_owned(), cluster: "server: 'http://127.0.0.1:8001'".to_owned() };
    of_text(&open.text().replace("user: {{}}", "user: {}"), None).await.unwrap();
}

#[tokio::test]
async fn one_context_is_kept() {
    let text = single_context(&File::default().text(), Some("home")).unwrap();
    let kept = text.expose_secret();
    assert!(kept.contains("s3cret") && !kept.contains("spare") && !kept.contains("other"), "{kept}");
    let config = of_text(kept, None).await.unwrap();
    assert_eq!(config.cluster_url.to_string(), "https://10.0.0.1:6443/");
    refusal(single_context(&File::default().text(), Some("lost")));
}

#[tokio::test]
async fn a_file_may_refer_to_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "from-a-file").unwrap();
    let path = folder.path().join("config");
    std::fs::write(&path, File::user("tokenFile: token").text()).unwrap();
    let config = of_file(&path).await.unwrap();
    assert_eq!(config.auth_info.token_file.as_deref(), folder.path().join("token").to_str());
    assert!(refusal(of_file(&folder.path().join("missing")).await).contains("can't be read"));
    std::fs::write(&path, File::user("exec: {command: touch}").text()).unwrap();
    assert!(refusal(of_file(&path).await).contains("(exec)"));
}
