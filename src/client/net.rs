//! The byte stream to a server.

use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{ClientError, ServerUrl};

/// How long dialling may take.
const DIAL_LIMIT: Duration = Duration::from_secs(10);

/// A stream of bytes in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Any such stream.
pub type BoxedIo = Box<dyn Io>;

static TLS: LazyLock<TlsConnector> = LazyLock::new(|| {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
});

/// Opens a stream to the server, encrypted when its URL says so.
pub(crate) async fn dial(server: &ServerUrl) -> Result<BoxedIo, ClientError> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer");
    let dialled = timeout(DIAL_LIMIT, open(server)).await.unwrap_or_else(|_| Err(late()));
    dialled.map_err(|source| ClientError::Unreachable { server: server.to_string(), source })
}

async fn open(server: &ServerUrl) -> io::Result<BoxedIo> {
    let tcp = TcpStream::connect(server.authority()).await?;
    // A key is one small packet and must not wait for another.
    tcp.set_nodelay(true)?;
    if !server.tls() {
        return Ok(Box::new(tcp));
    }
    let name = ServerName::try_from(server.host().to_owned()).map_err(io::Error::other)?;
    Ok(Box::new(TLS.connect(name, tcp).await?))
}
