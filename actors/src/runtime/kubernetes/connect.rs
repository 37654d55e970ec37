//! From a kubeconfig to a client.

use std::path::PathBuf;
use std::time::Duration;

use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
pub use kube::Client;
use kube::Config;
use kube::client::{Body, ConfigExt};
use secrecy::{ExposeSecret, SecretString};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tower::{BoxError, ServiceBuilder};

use super::kubeconfig;
use crate::runtime::RuntimeError;

/// How long reaching the API server may take, TLS included.
const CONNECT: Duration = Duration::from_secs(8);
/// How long the API server may take nothing of what is sent.
const WRITE: Duration = Duration::from_secs(60);
/// A connection on which nothing is said is asked for a sign of life after this, then at this
/// interval: watches and channels may be silent for hours, and a read time-out would cut them.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long what was sent may be without an acknowledgement.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// Unused connections are closed after this, and so many are kept.
const POOL_IDLE: Duration = Duration::from_secs(60);
const POOL_SIZE: usize = 16;

/// How a cluster is reached.
#[derive(Debug, Clone)]
pub enum Access {
    /// By a kubeconfig's text, which must not refer to files: it may have come from a user.
    Kubeconfig {
        /// The file's content; it holds credentials.
        text: SecretString,
        /// Which of its contexts; none: its current one.
        context: Option<String>,
    },
    /// By a kubeconfig file of the server's operator; it may refer to other files.
    /// Its current context is used; paths in it are relative to its folder.
    File(PathBuf),
    /// As the service account of the pod that this process runs in.
    InCluster,
}

/// A kubeconfig with one context of `text` alone: the named one, or its current one.
///
/// # Errors
/// When the kubeconfig can't be used; the text says what is wrong with it.
pub fn single_context(text: &SecretString, context: Option<&str>) -> Result<SecretString, RuntimeError> {
    kubeconfig::single_context(text.expose_secret(), context)
}

/// The names of a kubeconfig's contexts.
///
/// # Errors
/// When it is not a kubeconfig; the text says what is wrong with it.
pub fn contexts(text: &SecretString) -> Result<Vec<String>, RuntimeError> {
    kubeconfig::contexts(text.expose_secret())
}

/// A client for a cluster. Asks nothing of it yet. To be called on the Tokio runtime that the
/// client will be used on.
///
/// # Errors
/// When the kubeconfig can't be used; the text says what is wrong with it.
pub async fn client(access: &Access) -> Result<Client, RuntimeError> {
    let config = match access {
        Access::Kubeconfig { text, context } => {
            kubeconfig::of_text(text.expose_secret(), context.as_deref()).await?
        }
        Access::File(path) => kubeconfig::of_file(path).await?,
        Access::InCluster => Config::incluster().map_err(|error| {
            RuntimeError::Rejected(format!(
                "this server does not run in a pod with a service account ({error}): give a kubeconfig"
            ))
        })?,
    };
    over(&config).map_err(|error| unusable(&error))
}

/// kube's own stack, with three things changed: small writes leave at once (Nagle's algorithm
/// holds back every second key otherwise), dead connections are noticed without a read
/// time-out, and requests are not repeated behind the back of callers who have deadlines.
fn over(config: &Config) -> Result<Client, kube::Error> {
    // rustls panics when it has to choose between two providers that were compiled in.
    if CryptoProvider::get_default().is_none() {
        let _ = ring::default_provider().install_default();
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_write_timeout(Some(WRITE));
    let http: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(POOL_SIZE)
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace.clone()))
}

/// Errors of TLS libraries may quote what they could not read.
fn unusable(error: &kube::Error) -> RuntimeError {
    let what = match error {
        kube::Error::RustlsTls(_) => "its certificates or its key can't be used",
        kube::Error::Auth(_) => "its token or password can't be used",
        kube::Error::InferKubeconfig(_) => "its client certificate or its key can't be read",
        _ => "its certificates or credentials are not valid",
    };
    RuntimeError::Rejected(format!("the kubeconfig can't be used: {what}"))
}
