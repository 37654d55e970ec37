//! What a kubeconfig says, and in words what is wrong with it.
//!
//! Texts and errors of parsers quote what they parsed, and that is credentials. So nothing of
//! them is told except places and names.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use kube::Config;
use kube::config::{AuthInfo, Cluster, KubeConfigOptions, Kubeconfig, KubeconfigError, LoadDataError};
use secrecy::{ExposeSecret, SecretString};

use super::certificate;
use crate::runtime::RuntimeError;

/// The largest kubeconfig that is looked at.
const LIMIT: usize = 256 * 1024;

/// How many names an error lists.
const LISTED: usize = 10;

/// Reads a text that must hold all it needs: one that came from a user must not make the
/// server read its own files.
pub(super) async fn of_text(text: &str, context: Option<&str>) -> Result<Config, RuntimeError> {
    let mut file = parse(text)?;
    let chosen = check(&mut file, context, true)?;
    configure(file, chosen).await
}

/// The text with all left out that its one context does not need.
pub(super) fn single_context(text: &str, context: Option<&str>) -> Result<SecretString, RuntimeError> {
    let mut file = parse(text)?;
    let chosen = check(&mut file, context, true)?;
    file.contexts.retain(|context| context.name == chosen.context);
    file.clusters.retain(|cluster| cluster.name == chosen.cluster);
    file.auth_infos.retain(|user| user.name == chosen.user);
    file.current_context = Some(chosen.context);
    // JSON is YAML too, and the crate that wrote these types reads it back.
    let text =
        serde_json::to_string(&file).map_err(|_| rejected("the kubeconfig can't be written".to_owned()))?;
    Ok(text.into())
}

/// The names of its contexts.
pub(super) fn contexts(text: &str) -> Result<Vec<String>, RuntimeError> {
    Ok(parse(text)?.contexts.into_iter().map(|context| context.name).collect())
}

fn parse(text: &str) -> Result<Kubeconfig, RuntimeError> {
    if text.len() > LIMIT {
        return Err(too_large());
    }
    Kubeconfig::from_yaml(text).map_err(|error| unreadable(&error))
}

/// Reads a file of the server's operator. It may name other files, relative to its own folder.
pub(super) async fn of_file(path: &Path) -> Result<Config, RuntimeError> {
    let path = path.to_owned();
    let shown = path.display().to_string();
    let reading = tokio::task::spawn_blocking(move || {
        let size = std::fs::metadata(&path).map_err(|error| error.to_string())?.len();
        Ok(if size > LIMIT as u64 { None } else { Some(Kubeconfig::read_from(&path)) })
    });
    let read = reading.await.unwrap_or_else(|error| Err(error.to_string()));
    let mut file = read
        .map_err(|error: String| rejected(format!("the kubeconfig {shown} can't be read: {error}")))?
        .ok_or_else(too_large)?
        .map_err(|error| unreadable(&error))?;
    let chosen = check(&mut file, None, false)?;
    configure(file, chosen).await
}

/// Finds everything that is wrong with it which can be told without the cluster.
fn check(file: &mut Kubeconfig, context: Option<&str>, self_contained: bool) -> Result<Chosen, RuntimeError> {
    let chosen = choose(file, context)?;
    let user = user(file, &chosen)?;
    refuse_programs(user)?;
    if let Some(username) = &user.username
        && user.password.is_none()
        && user.token.is_none()
    {
        return Err(rejected(format!("user {username:?} of the kubeconfig has no password")));
    }
    if self_contained {
        hold_user_files(user)?;
    }
    if let Some(data) = &user.client_certificate_data {
        certificate_in_date(data)?;
    }
    if let Some(data) = &user.client_key_data {
        let pem = decode("client-key-data", data.expose_secret())?;
        if !pem.windows(12).any(|part| part == b"PRIVATE KEY-") {
            return Err(rejected("the kubeconfig's client-key-data holds no private key in PEM".to_owned()));
        }
    }
    let anonymous = is_anonymous(user);
    let cluster = cluster(file, &chosen)?;
    if self_contained {
        hold(
            "certificate-authority",
            &mut cluster.certificate_authority,
            cluster.certificate_authority_data.is_some(),
        )?;
    }
    if let Some(data) = &cluster.certificate_authority_data
        && certificate::in_pem(&decode("certificate-authority-data", data)?).is_none()
    {
        return Err(rejected(
            "the kubeconfig's certificate-authority-data holds no certificate in PEM".to_owned(),
        ));
    }
    if cluster.proxy_url.as_deref().is_some_and(|url| !url.is_empty()) {
        return Err(rejected(
            "the kubeconfig names a proxy (proxy-url): clusters are reached directly only".to_owned(),
        ));
    }
    check_address(cluster.server.as_deref(), anonymous)?;
    Ok(chosen)
}

async fn configure(file: Kubeconfig, chosen: Chosen) -> Result<Config, RuntimeError> {
    let options = KubeConfigOptions { context: Some(chosen.context), ..KubeConfigOptions::default() };
    let mut config =
        Config::from_custom_kubeconfig(file, &options).await.map_err(|error| unusable(&error))?;
    if config.accept_invalid_certs {
        tracing::warn!(
            cluster = chosen.cluster,
            "the cluster's certificate is not checked (insecure-skip-tls-verify): whoever is on the way can read and change all"
        );
    }
    // The server's own HTTPS_PROXY is for the world, not for its clusters.
    config.proxy_url = None;
    Ok(config)
}

/// What a context is made of.
struct Chosen {
    context: String,
    cluster: String,
    user: String,
}

fn choose(file: &Kubeconfig, context: Option<&str>) -> Result<Chosen, RuntimeError> {
    let there = || listed(file.contexts.iter().map(|context| context.name.as_str()));
    let name =
        context.or(file.current_context.as_deref()).filter(|name| !name.is_empty()).ok_or_else(|| {
            rejected(format!(
                "the kubeconfig has no current context: say which of its contexts to use ({})",
                there()
            ))
        })?;
    let found =
        file.contexts.iter().find(|context| context.name == name).ok_or_else(|| {
            rejected(format!("the kubeconfig has no context {name:?}; there are: {}", there()))
        })?;
    let context = found
        .context
        .as_ref()
        .ok_or_else(|| rejected(format!("context {name:?} of the kubeconfig is empty")))?;
    let user = context.user.clone().filter(|user| !user.is_empty());
    let user = user.ok_or_else(|| rejected(format!("context {name:?} of the kubeconfig names no user")))?;
    Ok(Chosen { context: name.to_owned(), cluster: context.cluster.clone(), user })
}

fn user<'a>(file: &'a mut Kubeconfig, chosen: &Chosen) -> Result<&'a mut AuthInfo, RuntimeError> {
    let there = listed(file.auth_infos.iter().map(|user| user.name.as_str()));
    let found = file.auth_infos.iter_mut().find(|user| user.name == chosen.user);
    found.and_then(|user| user.auth_info.as_mut()).ok_or_else(|| {
        rejected(format!(
            "context {:?} of the kubeconfig names user {:?}, which is not in it; there are: {there}",
            chosen.context, chosen.user
        ))
    })
}

fn cluster<'a>(file: &'a mut Kubeconfig, chosen: &Chosen) -> Result<&'a mut Cluster, RuntimeError> {
    let there = listed(file.clusters.iter().map(|cluster| cluster.name.as_str()));
    let found = file.clusters.iter_mut().find(|cluster| cluster.name == chosen.cluster);
    found.and_then(|cluster| cluster.cluster.as_mut()).ok_or_else(|| {
        rejected(format!(
            "context {:?} of the kubeconfig names cluster {:?}, which is not in it; there are: {there}",
            chosen.context, chosen.cluster
        ))
    })
}

/// A plugin is a program that the file's author chooses and the server would run.
fn refuse_programs(user: &AuthInfo) -> Result<(), RuntimeError> {
    let plugin = if user.exec.is_some() {
        "exec"
    } else if user.auth_provider.is_some() {
        "auth-provider"
    } else {
        return Ok(());
    };
    Err(rejected(format!(
        "the kubeconfig logs in through a plugin ({plugin}), which would run a program on this server: \
         make a service account on the cluster (deploy/kubernetes/rbac.yaml) and use its token"
    )))
}

fn hold_user_files(user: &mut AuthInfo) -> Result<(), RuntimeError> {
    hold("client-certificate", &mut user.client_certificate, user.client_certificate_data.is_some())?;
    hold("client-key", &mut user.client_key, user.client_key_data.is_some())?;
    hold("tokenFile", &mut user.token_file, user.token.is_some())
}

/// Refuses the name of a file, unless the file's content is in the text as well.
fn hold(field: &str, path: &mut Option<String>, content: bool) -> Result<(), RuntimeError> {
    if path.take().is_some_and(|path| !path.is_empty()) && !content {
        return Err(rejected(format!(
            "the kubeconfig refers to a file ({field}): it must hold everything itself, \
             as `kubectl config view --raw --flatten --minify` prints it"
        )));
    }
    Ok(())
}

fn is_anonymous(user: &AuthInfo) -> bool {
    user.token.is_none()
        && user.token_file.is_none()
        && user.password.is_none()
        && user.client_certificate.is_none()
        && user.client_certificate_data.is_none()
}

fn check_address(server: Option<&str>, anonymous: bool) -> Result<(), RuntimeError> {
    let server = server.filter(|server| !server.is_empty());
    let server =
        server.ok_or_else(|| rejected("the kubeconfig's cluster has no address (server)".to_owned()))?;
    let uri: Option<http::Uri> = server.parse().ok();
    match uri.as_ref().and_then(http::Uri::scheme_str) {
        Some("https") => Ok(()),
        Some("http") if anonymous => Ok(()),
        Some("http") => Err(rejected(
            "the kubeconfig's cluster has an http address: credentials go through https only".to_owned(),
        )),
        _ => Err(rejected("the address of the kubeconfig's cluster (server) is no https URL".to_owned())),
    }
}

fn certificate_in_date(data: &str) -> Result<(), RuntimeError> {
    let pem = decode("client-certificate-data", data)?;
    let der = certificate::in_pem(&pem).ok_or_else(|| {
        rejected("the kubeconfig's client-certificate-data holds no certificate in PEM".to_owned())
    })?;
    match certificate::expires(&der) {
        Some(end) if end < Utc::now() => Err(rejected(expired(end))),
        _ => Ok(()),
    }
}

fn expired(end: DateTime<Utc>) -> String {
    format!(
        "the kubeconfig's client certificate expired on {}: get a new one",
        end.format("%Y-%m-%d %H:%M UTC")
    )
}

fn decode(field: &str, data: &str) -> Result<Vec<u8>, RuntimeError> {
    STANDARD.decode(data.trim()).map_err(|_| rejected(format!("the kubeconfig's {field} is not base64")))
}

fn too_large() -> RuntimeError {
    rejected(format!("the kubeconfig is larger than {} KiB", LIMIT / 1024))
}

fn unreadable(error: &KubeconfigError) -> RuntimeError {
    match error {
        KubeconfigError::Parse(error) => {
            let place =
                error.location().map(|place| format!(" (line {}, column {})", place.line(), place.column()));
            rejected(format!(
                "the kubeconfig is not one: its YAML can't be read{}",
                place.unwrap_or_default()
            ))
        }
        other => unusable(other),
    }
}

/// Says which part is wrong; of its content only paths.
fn unusable(error: &KubeconfigError) -> RuntimeError {
    let part = |what: &str, error: &LoadDataError| match error {
        LoadDataError::ReadFile(error, path) => {
            format!("the file with {what}, {}, can't be read: {error}", path.display())
        }
        LoadDataError::DecodeBase64(_) => format!("{what} is not base64"),
        LoadDataError::NoBase64DataOrFile => format!("{what} is missing"),
    };
    let what = match error {
        KubeconfigError::LoadCertificateAuthority(error) => part("the certificate authority", error),
        KubeconfigError::LoadClientCertificate(error) => part("the client certificate", error),
        KubeconfigError::LoadClientKey(error) => part("the client certificate's key", error),
        KubeconfigError::ParseCertificates(_) => "the certificate authority is not PEM".to_owned(),
        KubeconfigError::ReadConfig(error, path) => format!("{} can't be read: {error}", path.display()),
        KubeconfigError::KindMismatch | KubeconfigError::ApiVersionMismatch => {
            "its documents don't belong together".to_owned()
        }
        _ => "it is incomplete".to_owned(),
    };
    rejected(format!("the kubeconfig can't be used: {what}"))
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    let more = names.len().saturating_sub(LISTED);
    names.truncate(LISTED);
    match (names.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (_, 0) => names.join(", "),
        (_, more) => format!("{} and {more} more", names.join(", ")),
    }
}

fn rejected(text: String) -> RuntimeError {
    RuntimeError::Rejected(text)
}

#[cfg(test)]
#[path = "kubeconfig_tests.rs"]
mod tests;
