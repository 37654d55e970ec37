//! Commands that work on the database alone.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use devpocket_actors::persistence::users::{
    self, ChangePassword, CreateUser, MarkVerified, UpdateUser, User,
};
use devpocket_actors::persistence::{Engine, EngineGuard, Persistence, Plan, Role, connect, new_id};
use devpocket_actors::templates;
use rand::seq::{IndexedRandom as _, SliceRandom as _};

use super::serve;
use crate::auth::passwords::Hasher;
use crate::config::Config;
use crate::http::validate;

/// A way to the database without a tree around it.
pub(super) fn persistence(config: &Config) -> anyhow::Result<(Persistence, EngineGuard)> {
    let (engine, workers) = Engine::start(serve::pool(config)?);
    Ok((Persistence::new(engine), workers))
}

pub(super) async fn migrate(config: &Config) -> anyhow::Result<ExitCode> {
    connect::migrate(&serve::pool(config)?).await?;
    println!("the database's schema is up to date");
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn load_templates(config: &Config, directory: Option<&Path>) -> anyhow::Result<ExitCode> {
    let sources = match directory {
        Some(directory) => templates::load_directory(directory)?,
        None => templates::built_in()?,
    };
    let (persistence, _workers) = persistence(config)?;
    let synced = templates::sync(&persistence, sources).await?;
    println!("{} created, {} updated, {} unchanged", synced.created, synced.updated, synced.unchanged);
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn create_admin(
    config: &Config,
    email: String,
    username: String,
    password_stdin: bool,
) -> anyhow::Result<ExitCode> {
    let mut password = String::new();
    if password_stdin {
        std::io::stdin().read_to_string(&mut password).context("reading the password")?;
        password.truncate(password.trim_end_matches(['\r', '\n']).len());
    } else {
        password = random_password();
    }
    for (what, checked) in [
        ("the address", validate::email(&email)),
        ("the user name", validate::username(&username)),
        ("the password", validate::password(&password)),
    ] {
        if let Err(why) = checked {
            bail!("{what} {why}");
        }
    }
    let (persistence, _workers) = persistence(config)?;
    let account = Account { email, username, password, plan: Plan::Pro, role: Role::Admin };
    let user = ensure_account(&persistence, &Hasher::new(config.passwords.bcrypt_cost), &account).await?;
    println!("{} ({}) is an administrator", user.username, user.email);
    if !password_stdin {
        println!("password, shown only now: {}", account.password);
    }
    Ok(ExitCode::SUCCESS)
}

/// An account as it should be. No `Debug`: it holds the password.
pub(super) struct Account {
    pub(super) email: String,
    pub(super) username: String,
    pub(super) password: String,
    pub(super) plan: Plan,
    pub(super) role: Role,
}

/// Makes the account, or makes the one of that user name as it should be: active, verified,
/// with that password, plan and role.
pub(super) async fn ensure_account(
    persistence: &Persistence,
    hasher: &Hasher,
    account: &Account,
) -> anyhow::Result<User> {
    let Some(user) = users::by_username_or_email(persistence.pool(), &account.username).await? else {
        let create = CreateUser {
            id: new_id(),
            email: account.email.clone(),
            username: account.username.clone(),
            full_name: account.username.clone(),
            password: Some(hasher.hash(&account.password).await?),
            avatar_url: None,
            is_verified: true,
            subscription_plan: account.plan,
            role: account.role,
            google_id: None,
        };
        return Ok(persistence.write(create).await?);
    };
    if !hasher.verify(&account.password, user.password.as_ref()).await? {
        let password = hasher.hash(&account.password).await?;
        persistence.write(ChangePassword { user_id: user.id.clone(), password, keep_session: None }).await?;
    }
    persistence.write(MarkVerified { user_id: user.id.clone() }).await?;
    let change = UpdateUser {
        id: user.id,
        subscription_plan: Some(account.plan),
        role: Some(account.role),
        is_active: Some(true),
        ..UpdateUser::default()
    };
    Ok(persistence.write(change).await?)
}

/// A password nobody guesses that satisfies the rules. Its special characters need no quoting
/// in a shell or in JSON.
pub(super) fn random_password() -> String {
    const KINDS: [&[u8]; 4] =
        [b"abcdefghijkmnpqrstuvwxyz", b"ABCDEFGHJKLMNPQRSTUVWXYZ", b"23456789", b"-_.,:+=@"];
    let mut rng = rand::rng();
    let mut pick = |kind: usize| KINDS[kind].choose(&mut rng).copied().unwrap_or(b'-');
    let mut bytes: Vec<u8> = [1, 2, 3].map(&mut pick).into();
    bytes.extend((0..15).map(|n| pick(if n % 3 == 0 { 2 } else { n % 2 })));
    bytes.shuffle(&mut rng);
    // It begins with a letter: no option, and none of the common beginnings after it.
    let first = *KINDS[0].choose(&mut rng).unwrap_or(&b'k');
    let mut password = String::from(char::from(first));
    password.extend(bytes.into_iter().map(char::from));
    password
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_passwords_satisfy_the_rules() {
        for _ in 0..1_000 {
            let password = random_password();
            assert_eq!(validate::password(&password), Ok(()), "{password}");
        }
    }
}
