//! The two accounts of a development server. Their passwords are kept in files, so they work
//! over restarts, also when the database was lost.

use devpocket_actors::persistence::{Plan, Role};
use serde::{Deserialize, Serialize};

use super::files::DataDir;
use crate::Running;
use crate::cli::admin::{Account, ensure_account, random_password};

/// What an account is like.
pub(super) struct Kind {
    /// Its file in the data directory.
    pub(super) file: &'static str,
    username: &'static str,
    plan: Plan,
    role: Role,
}

/// For trying things out.
pub(super) const DEMO: Kind =
    Kind { file: "demo-account.json", username: "demo", plan: Plan::Pro, role: Role::User };

/// For the dashboard.
pub(super) const ADMIN: Kind =
    Kind { file: "admin-account.json", username: "operator", plan: Plan::Enterprise, role: Role::Admin };

/// How to sign in.
#[derive(Serialize, Deserialize)]
pub(super) struct Credentials {
    pub(super) email: String,
    pub(super) username: String,
    pub(super) password: String,
}

/// Makes the account as its file says, and the file when it is not there.
pub(super) async fn ensure(data: &DataDir, running: &Running, kind: &Kind) -> anyhow::Result<Credentials> {
    let credentials = match data.read::<Credentials>(kind.file)? {
        Some(credentials) => credentials,
        None => {
            let credentials = Credentials {
                email: format!("{}@devpocket.test", kind.username),
                username: kind.username.to_owned(),
                password: random_password(),
            };
            data.write(kind.file, &credentials)?;
            credentials
        }
    };
    let account = Account {
        email: credentials.email.clone(),
        username: credentials.username.clone(),
        password: credentials.password.clone(),
        plan: kind.plan,
        role: kind.role,
    };
    ensure_account(running.system().persistence(), running.app().auth().passwords(), &account).await?;
    Ok(credentials)
}
