//! The way out for one mail: an SMTP server, files in a directory, or nowhere.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;
use url::Url;

use super::{Mail, SEND_LIMIT};
use crate::persistence::new_id;

/// How mail leaves.
#[derive(Debug, Clone)]
pub enum MailTransport {
    /// To this server: `smtps://user:password@host`, or `smtp://…?tls=required`.
    Smtp(SecretString),
    /// Into this directory, one `.eml` file each.
    Outbox(PathBuf),
    /// Not at all; each dropped mail is one warning in the log.
    Nowhere,
}

/// Who sends, and how.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// The sender, as `a@b` or `Name <a@b>`.
    pub from: String,
    /// The way out.
    pub transport: MailTransport,
    /// Certificates (PEM) that an SMTP server is trusted by, besides the public ones.
    pub ca_file: Option<PathBuf>,
}

impl MailSettings {
    /// Whether they can work, as far as that can be told without sending: a sender that is no address,
    /// an SMTP URL or certificates that cannot be read. The text does not repeat the URL, as it holds
    /// a password.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), SettingsError> {
        Sender::new(self).map(|_| ())
    }

    /// What works but should not be so: a password that goes over the network for everybody to read.
    #[must_use]
    pub fn caution(&self) -> Option<&'static str> {
        let MailTransport::Smtp(url) = &self.transport else { return None };
        let url = Url::parse(url.expose_secret()).ok()?;
        let signs_in = !url.username().is_empty() || url.password().is_some();
        let encrypts = url.scheme() == "smtps"
            || url.query_pairs().any(|(key, value)| key == "tls" && value == "required");
        (signs_in && !encrypts).then_some(
            "SMTP_URL has a user and a password but does not insist on TLS, so that both can be read on the \
             way: use smtps://, or ?tls=required for STARTTLS",
        )
    }
}

/// Settings that cannot work. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The sender is no address.
    #[error("the sender is not a mail address")]
    From,
    /// The SMTP URL cannot be read.
    #[error(
        "the SMTP URL cannot be read; expected smtps://user:password@host[:port], or \
         smtp://user:password@host[:port]?tls=required for STARTTLS"
    )]
    Url,
    /// The certificates cannot be read.
    #[error("SMTP_CA_FILE cannot be used: {0}")]
    Certificates(String),
}

/// What became of an attempt. The texts hold no address and nothing of the mail.
pub(super) enum Outcome {
    Sent,
    Later(String),
    Never(String),
}

pub(super) struct Sender {
    from: Mailbox,
    way: Way,
}

enum Way {
    Smtp(Box<AsyncSmtpTransport<Tokio1Executor>>),
    Outbox(PathBuf),
    Nowhere,
}

impl Sender {
    pub(super) fn new(settings: &MailSettings) -> Result<Self, SettingsError> {
        let from = settings.from.parse().map_err(|_| SettingsError::From)?;
        let way = match &settings.transport {
            MailTransport::Smtp(url) => {
                let mut builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret())
                    .map_err(|_| SettingsError::Url)?;
                if let Some(file) = &settings.ca_file {
                    builder = builder.tls(trusting(url, file)?);
                }
                Way::Smtp(Box::new(builder.build()))
            }
            MailTransport::Outbox(directory) => Way::Outbox(directory.clone()),
            MailTransport::Nowhere => Way::Nowhere,
        };
        Ok(Self { from, way })
    }

    /// One attempt, which ends within [`SEND_LIMIT`] and does not panic.
    pub(super) async fn try_send(&self, mail: &Mail) -> Outcome {
        let sending = AssertUnwindSafe(self.send(mail)).catch_unwind();
        match timeout(SEND_LIMIT, sending).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Outcome::Later("sending it failed in an unforeseen way".into()),
            Err(_) => Outcome::Later("the mail server took too long".into()),
        }
    }

    async fn send(&self, mail: &Mail) -> Outcome {
        let Some(message) = self.message(mail) else {
            return Outcome::Never("its address cannot be read".into());
        };
        match &self.way {
            Way::Smtp(transport) => match transport.send(message).await {
                Ok(_) => Outcome::Sent,
                Err(error) => failure(&error),
            },
            Way::Outbox(directory) => match write(directory, &message.formatted()).await {
                Ok(()) => Outcome::Sent,
                Err(error) => Outcome::Later(format!("writing the outbox: {error}")),
            },
            Way::Nowhere => Outcome::Never("no way to send mail is configured (SMTP_URL)".into()),
        }
    }

    fn message(&self, mail: &Mail) -> Option<Message> {
        let builder = Message::builder()
            .from(self.from.clone())
            .to(mail.to.parse().ok()?)
            .subject(mail.subject.clone());
        let text = mail.text.clone();
        match mail.html.clone() {
            Some(html) => builder.multipart(MultiPart::alternative_plain_html(text, html)).ok(),
            None => builder.singlepart(SinglePart::plain(text)).ok(),
        }
    }
}

/// What an error means. The server's own words may quote the address: its code must do.
fn failure(error: &lettre::transport::smtp::Error) -> Outcome {
    let code = error.status().map(|code| code.to_string()).unwrap_or_default();
    if matches!(code.as_str(), "530" | "534" | "535" | "538") {
        // Ours to mend, and no fault of the mail.
        return Outcome::Later(format!("the mail server does not let us in ({code}): check SMTP_URL"));
    }
    if error.is_permanent() {
        return Outcome::Never(format!("the mail server refused it ({code})"));
    }
    if error.is_transient() {
        return Outcome::Later(format!("the mail server said to wait ({code})"));
    }
    let reason = if error.is_timeout() {
        "the mail server did not answer"
    } else if error.is_tls() {
        "no secure connection to the mail server: check SMTP_URL and SMTP_CA_FILE"
    } else {
        "the mail server cannot be reached, or is not trusted: check SMTP_URL and SMTP_CA_FILE"
    };
    Outcome::Later(reason.into())
}

/// TLS as the URL asks for it, with more certificates to trust.
fn trusting(url: &SecretString, file: &Path) -> Result<Tls, SettingsError> {
    let why = |error: String| SettingsError::Certificates(format!("{}: {error}", file.display()));
    let pem = std::fs::read(file).map_err(|error| why(error.to_string()))?;
    if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        return Err(why("it holds no certificate in PEM form".into()));
    }
    let certificates = Certificate::from_pem(&pem).map_err(|error| why(error.to_string()))?;
    let url = Url::parse(url.expose_secret()).map_err(|_| SettingsError::Url)?;
    let host = url.host_str().ok_or(SettingsError::Url)?.to_owned();
    let parameters = TlsParameters::builder(host).add_root_certificate(certificates).build();
    let parameters = parameters.map_err(|error| why(error.to_string()))?;
    let asked = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
    Ok(match (url.scheme(), asked.as_deref()) {
        ("smtps", _) => Tls::Wrapper(parameters),
        (_, Some("required")) => Tls::Required(parameters),
        (_, Some(_)) => Tls::Opportunistic(parameters),
        (_, None) => return Err(why("it is of no use with an SMTP_URL without TLS".into())),
    })
}

/// Under a name that sorts by time; visible only when it is complete.
async fn write(directory: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use tokio::io::AsyncWriteExt as _;
    tokio::fs::create_dir_all(directory).await?;
    let name = format!("{}-{}", chrono::Utc::now().format("%Y%m%dT%H%M%S%3f"), &new_id()[..8]);
    let unfinished = directory.join(format!(".{name}"));
    let mut file =
        tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).await?;
    file.write_all(bytes).await?;
    file.flush().await?;
    tokio::fs::rename(&unfinished, directory.join(format!("{name}.eml"))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_outbox_holds_whole_mails_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let outbox = directory.path().join("outbox");
        let settings = MailSettings {
            from: "DevPocket <noreply@devpocket.app>".into(),
            transport: MailTransport::Outbox(outbox.clone()),
            ca_file: None,
        };
        let mail = Mail {
            to: "ann@example.org".into(),
            subject: "Hello".into(),
            text: "123456".into(),
            html: Some("<b>123456</b>".into()),
            kind: "test".into(),
        };
        assert!(matches!(Sender::new(&settings).unwrap().send(&mail).await, Outcome::Sent));
        let file = std::fs::read_dir(&outbox).unwrap().next().unwrap().unwrap();
        assert!(file.file_name().to_string_lossy().ends_with(".eml"));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(file.path()).unwrap().contains("123456"));
    }

    #[test]
    fn a_password_in_the_clear_is_cautioned_against() {
        let caution = |url: &str| {
            let transport = MailTransport::Smtp(SecretString::from(url));
            MailSettings { from: "noreply@devpocket.app".into(), transport, ca_file: None }.caution()
        };
        for open in
            ["smtp://me:hunter2@mail", "smtp://me:hunter2@mail:25?tls=opportunistic", "smtp://:hunter2@mail"]
        {
            let caution = caution(open).expect(open);
            assert!(caution.contains("SMTP_URL") && !caution.contains("hunter2"), "{caution}");
        }
        for good in
            ["smtps://me:hunter2@mail", "smtp://me:hunter2@mail?tls=required", "smtp://mail", "nonsense"]
        {
            assert_eq!(caution(good), None, "{good}");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused_without_their_secret() {
        let settings = MailSettings {
            from: "noreply@devpocket.app".into(),
            transport: MailTransport::Smtp(SecretString::from("nonsense hunter2")),
            ca_file: None,
        };
        let error = Sender::new(&settings).err().unwrap();
        assert!(!error.to_string().contains("hunter2"));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
