//! `devpocket doctor`: what serving needs, a line each.

use std::fmt::Display;
use std::process::ExitCode;

use devpocket_actors::mailer::MailTransport;
use devpocket_actors::persistence::{connect, mails, rotation};
use devpocket_actors::runtime::kubernetes::access;
use devpocket_actors::runtime::local::sandbox;
use sqlx::PgPool;

use super::{Configured, cluster, keys, runtime, serve};
use crate::config::Config;

/// Descriptors the process needs besides its connections.
const OTHER_DESCRIPTORS: u64 = 256;

/// What to look at.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Look at this cluster instead: each permission and feature that environments need there
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// How to reach the database.
    #[command(flatten)]
    configured: Configured,
}

struct Report {
    failures: usize,
    /// Of the column that says what was looked at.
    width: usize,
}

impl Report {
    fn exit_code(&self) -> ExitCode {
        if self.failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn line(&mut self, word: &str, what: &str, text: impl Display) {
        let width = self.width;
        println!("{word:<5} {what:<width$} {text}");
    }

    fn check<T: Display, E: Display>(&mut self, what: &str, result: Result<T, E>) {
        match result {
            Ok(text) => self.line("ok", what, text),
            Err(why) => {
                self.failures += 1;
                self.line("FAIL", what, why);
            }
        }
    }

    /// Something that only some need.
    fn note<T: Display, E: Display>(&mut self, what: &str, result: Result<T, E>) {
        match result {
            Ok(text) => self.line("ok", what, text),
            Err(why) => self.line("note", what, why),
        }
    }
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut report = Report { failures: 0, width: 14 };
    if let Some(name) = &args.cluster {
        let config = args.configured.read()?;
        let client = cluster::client_of(&config, name).await?;
        let findings = access::report(&client, &config.kubernetes.environments).await;
        report.width = findings.iter().map(|finding| finding.subject.len()).max().unwrap_or(0);
        for finding in findings {
            if finding.needed {
                report.check(&finding.subject, finding.result);
            } else {
                report.note(&finding.subject, finding.result);
            }
        }
        return Ok(report.exit_code());
    }
    match args.configured.source().map_err(|error| error.to_string()) {
        Err(error) => report.check("configuration", Err::<&str, _>(error)),
        Ok(source) => match Config::read(&source) {
            Ok(config) => {
                report.check("configuration", Ok::<_, &str>("every variable can be used"));
                configured_checks(&mut report, &config).await;
            }
            Err(problems) => {
                for problem in problems.0 {
                    report.check("configuration", Err::<&str, _>(problem));
                }
            }
        },
    }
    let agent = runtime::agent();
    report.note("agent", agent.map(|path| path.display().to_string()));
    report.note("sandbox", sandbox::probe().await.map(|_| "bubblewrap works"));
    Ok(report.exit_code())
}

async fn configured_checks(report: &mut Report, config: &Config) {
    match serve::pool(config) {
        Err(error) => report.check("database", Err::<&str, _>(error)),
        Ok(pool) if connect::is_ready(&pool).await => {
            report.check("database", Ok::<_, &str>("answers"));
            report.check("migrations", migrations(&pool).await);
            report.note("templates", templates(&pool).await);
            report.note("dead mails", dead_mails(&pool).await);
            report.check("sealed", sealed(&pool, config).await);
        }
        Ok(_) => {
            report.check("database", Err::<&str, _>("does not answer; check DATABASE_URL and the server"))
        }
    }
    report.check("mail", mail(config));
    if let Some(caution) = config.mail.caution() {
        report.note("mail password", Err::<&str, _>(caution));
    }
    report.check("limits", limits(config));
}

async fn migrations(pool: &PgPool) -> Result<String, String> {
    let newest: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
        .fetch_one(pool)
        .await
        .map_err(|_| "never migrated; run devpocket migrate".to_owned())?;
    let ours = connect::MIGRATIONS.iter().map(|migration| migration.version).max();
    if newest >= ours {
        Ok(format!("at version {}", newest.unwrap_or(0)))
    } else {
        Err(format!(
            "at version {}, this build has {}; run devpocket migrate",
            newest.unwrap_or(0),
            ours.unwrap_or(0)
        ))
    }
}

async fn templates(pool: &PgPool) -> Result<String, &'static str> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM templates WHERE status <> 'DEPRECATED'")
        .fetch_one(pool)
        .await
        .unwrap_or(0);
    if count > 0 { Ok(format!("{count} to choose from")) } else { Err("none; run devpocket templates load") }
}

async fn sealed(pool: &PgPool, config: &Config) -> Result<String, String> {
    let vault = config.vault();
    let surveys = rotation::survey(pool, &vault).await.map_err(|error| error.to_string())?;
    keys::summary(&surveys, &vault)
}

async fn dead_mails(pool: &PgPool) -> Result<&'static str, String> {
    let count = mails::dead(pool).await.map_err(|error| error.to_string())?.len();
    if count == 0 { Ok("none") } else { Err(format!("{count} were not sent; see devpocket mail dead")) }
}

fn mail(config: &Config) -> Result<&'static str, String> {
    config.mail.check().map_err(|error| error.to_string())?;
    match config.mail.transport {
        MailTransport::Smtp(_) => Ok("goes to the server of SMTP_URL"),
        MailTransport::Outbox(_) => Ok("goes to files in MAIL_OUTBOX_DIR"),
        MailTransport::Nowhere => Err("goes nowhere: set SMTP_URL, or nobody can verify an address".into()),
    }
}

fn limits(config: &Config) -> Result<String, String> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let wanted =
        u64::try_from(config.web.max_connections).unwrap_or(u64::MAX).saturating_add(OTHER_DESCRIPTORS);
    match limit {
        Some(limit) if limit < wanted => Err(format!(
            "{limit} open files allowed, MAX_CONNECTIONS needs {wanted}: raise `ulimit -n` or lower it"
        )),
        _ => Ok(format!("open files suffice for {} connections", config.web.max_connections)),
    }
}
