//! Which server, and who the person is to it.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde::Deserialize;

use super::credentials::Credentials;
use crate::client::{Auth, AuthSource, ClientError, Rest, ServerUrl};

/// What `devpocket dev` writes into its data directory once it answers.
#[derive(Deserialize)]
struct ServerFile {
    url: String,
}

/// A name and a password in a file: what `devpocket dev` writes for its demo account.
#[derive(Deserialize)]
struct AccountFile {
    username: Option<String>,
    email: Option<String>,
    password: String,
}

/// Finds the server: the one named, or the one that runs on this data directory.
///
/// # Errors
/// When there is none.
pub fn find_server(named: Option<&str>, data_dir: &Path) -> anyhow::Result<ServerUrl> {
    if let Some(named) = named {
        return Ok(ServerUrl::from_str(named)?);
    }
    let path = data_dir.join("server.json");
    let bytes = fs::read(&path).with_context(|| {
        format!(
            "no server: {} is not there. Start one with `devpocket dev`, or name one by --server URL",
            path.display()
        )
    })?;
    let file: ServerFile =
        serde_json::from_slice(&bytes).with_context(|| format!("{} can't be read", path.display()))?;
    Ok(ServerUrl::from_str(&file.url)?)
}

/// Gets an access token: the kept one, or by signing in.
///
/// # Errors
/// When the server refuses, or nobody is there to ask.
pub async fn sign_in(
    rest: &Rest,
    credentials: &Credentials,
    account: Option<&Path>,
) -> anyhow::Result<String> {
    let server = rest.server().to_string();
    if account.is_none()
        && let Some(token) = credentials.token(rest, None).await?
    {
        match rest.with_token(&token).me().await {
            Ok(_) => return Ok(token),
            Err(error) if error.status() == Some(401) => credentials.forget(&server).await?,
            Err(error) => return Err(error.into()),
        }
    }
    let (name, password) = match account {
        Some(path) => {
            let bytes = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
            let file: AccountFile = serde_json::from_slice(&bytes)
                .with_context(|| format!("{} holds no username and password", path.display()))?;
            let name = file.username.or(file.email);
            (name.with_context(|| format!("{} holds no username", path.display()))?, file.password)
        }
        None if io::stdin().is_terminal() => {
            eprintln!("Signing in to {server}");
            (ask("Name or e-mail: ")?, ask_secret("Password: ")?)
        }
        None => bail!(
            "not signed in to {server}: run `devpocket connect` in a terminal once, or give --account FILE"
        ),
    };
    let tokens = rest.login(&name, &password).await?;
    credentials.keep(&server, &tokens).await?;
    Ok(tokens.access_token)
}

/// Tokens for a terminal connection that lasts longer than one.
#[must_use]
pub fn auth_source(rest: Rest, credentials: Credentials, token: String) -> AuthSource {
    let last = Arc::new(Mutex::new(token));
    Arc::new(move |refused| {
        let (rest, credentials, last) = (rest.clone(), credentials.clone(), Arc::clone(&last));
        Box::pin(async move {
            let used = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let token = credentials.token(&rest, refused.then_some(used.as_str())).await;
            let token = token.map_err(|error| match error.downcast::<ClientError>() {
                Ok(error) => error,
                Err(error) => ClientError::SignIn(format!("{error:#}")),
            })?;
            let gone =
                || ClientError::SignIn("the sign-in has ended: run `devpocket connect` again".to_owned());
            let token = token.ok_or_else(gone)?;
            last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&token);
            Ok(Auth::Bearer(token))
        })
    })
}

/// Asks the person at the terminal for a line.
///
/// # Errors
/// When there is nobody.
pub fn ask(question: &str) -> anyhow::Result<String> {
    eprint!("{question}");
    io::stderr().flush()?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        bail!("nobody answered");
    }
    Ok(line.trim().to_owned())
}

fn ask_secret(question: &str) -> anyhow::Result<String> {
    let before = tcgetattr(rustix::stdio::stdin())?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &silent)?;
    let answer = ask(question);
    tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &before)?;
    eprintln!();
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_the_one_named_or_the_one_that_runs_here() {
        let directory = tempfile::tempdir().unwrap();
        let found = |named| find_server(named, directory.path()).map(|url| url.to_string());
        assert_eq!(found(Some("http://a.example:1")).unwrap(), "http://a.example:1");
        assert!(found(None).unwrap_err().to_string().contains("devpocket dev"));
        fs::write(directory.path().join("server.json"), r#"{"url":"http://127.0.0.1:8000","pid":1}"#)
            .unwrap();
        assert_eq!(found(None).unwrap(), "http://127.0.0.1:8000");
    }

    #[test]
    fn an_account_file_may_name_a_user_or_a_mail_address() {
        for (text, name) in [
            (r#"{"username":"u","email":"e","password":"p"}"#, "u"),
            (r#"{"email":"e","password":"p","url":"x"}"#, "e"),
        ] {
            let account: AccountFile = serde_json::from_str(text).unwrap();
            assert_eq!(account.username.or(account.email).as_deref(), Some(name));
            assert_eq!(account.password, "p");
        }
    }
}
