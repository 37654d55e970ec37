//! The HTTP interface, as far as a terminal client needs it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::model::{Environments, Templates, Ticket};
use super::url::escape;
use super::{ClientError, Environment, NewEnvironment, Refusal, ServerUrl, Template, Tokens, User, net};

/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;

/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// Asks the HTTP interface of one server, each time on a connection of its own.
#[derive(Debug, Clone)]
pub struct Rest {
    server: ServerUrl,
    token: Option<String>,
}

impl Rest {
    /// Asks without a token.
    #[must_use]
    pub const fn new(server: ServerUrl) -> Self {
        Self { server, token: None }
    }

    /// Asks with this access token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { server: self.server.clone(), token: Some(token.to_owned()) }
    }

    /// Which server it asks.
    #[must_use]
    pub const fn server(&self) -> &ServerUrl {
        &self.server
    }

    /// Signs in.
    ///
    /// # Errors
    /// When the server refuses, or can't be reached. So for all that follow.
    pub async fn login(&self, name: &str, password: &str) -> Result<Tokens, ClientError> {
        let body = json!({ "usernameOrEmail": name, "password": password });
        self.ask(Method::POST, "/api/v1/auth/login", Some(body)).await
    }

    /// Buys a new pair of tokens for a refresh token, which is good once.
    ///
    /// # Errors
    /// See [`Rest::login`].
    pub async fn refresh(&self, refresh_token: &str) -> Result<Tokens, ClientError> {
        let body = json!({ "refreshToken": refresh_token });
        self.ask(Method::POST, "/api/v1/auth/refresh", Some(body)).await
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// See [`Rest::login`].
    pub async fn me(&self) -> Result<User, ClientError> {
        self.ask(Method::GET, "/api/v1/auth/me", None).await
    }

    /// The templates to choose from.
    ///
    /// # Errors
    /// See [`Rest::login`].
    pub async fn templates(&self) -> Result<Vec<Template>, ClientError> {
        let list: Templates = self.ask(Method::GET, "/api/v1/templates?limit=100", None).await?;
        Ok(list.templates)
    }

    /// One's own environments.
    ///
    /// # Errors
    /// See [`Rest::login`].
    pub async fn environments(&self) -> Result<Vec<Environment>, ClientError> {
        let list: Environments = self.ask(Method::GET, "/api/v1/environments?limit=100", None).await?;
        Ok(list.environments)
    }

    /// One environment.
    ///
    /// # Errors
    /// See [`Rest::login`].
    pub async fn environment(&self, id: &str) -> Result<Environment, ClientError> {
        self.ask(Method::GET, &format!("/api/v1/environments/{}", escape(id)), None).await
    }

    /// Creates an environment; it is not running yet.
    ///
    /// # Errors
    /// See [`Rest::login`].
    pub async fn create(&self, new: &NewEnvironment) -> Result<Environment, ClientError> {
        let body = json!(new);
        self.ask(Method::POST, "/api/v1/environments", Some(body)).await
    }

    /// Starts, stops or restarts an environment: `action` is the last segment of the path.
    ///
    /// # Errors
    /// See [`Rest::login`].
    pub async fn act(&self, id: &str, action: &str) -> Result<(), ClientError> {
        let path = format!("/api/v1/environments/{}/{action}", escape(id));
        self.ask::<Value>(Method::POST, &path, Some(json!({}))).await.map(drop)
    }

    /// A ticket that opens one WebSocket within 30 s.
    ///
    /// # Errors
    /// See [`Rest::login`].
    pub async fn ticket(&self) -> Result<String, ClientError> {
        let ticket: Ticket = self.ask(Method::POST, "/api/v1/ws/ticket", Some(json!({}))).await?;
        Ok(ticket.ticket)
    }

    /// Asks for `path` and reads the answer as `T`.
    ///
    /// # Errors
    /// See [`Rest::login`].
    pub async fn ask<T>(&self, method: Method, path: &str, body: Option<Value>) -> Result<T, ClientError>
    where
        T: DeserializeOwned,
    {
        let asked = timeout(ANSWER_TIME, self.exchange(method, path, body)).await;
        let body = asked.unwrap_or_else(|_| Err(ClientError::Broken("no answer in 30 s".to_owned())))?;
        let body = if body.is_empty() { Bytes::from_static(b"null") } else { body };
        serde_json::from_slice(&body)
            .map_err(|error| ClientError::Unexpected { path: path.to_owned(), reason: error.to_string() })
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<Value>) -> Result<Bytes, ClientError> {
        let broken = |error: &dyn std::fmt::Display| ClientError::Broken(error.to_string());
        let mut request = Request::builder()
            .method(method)
            .uri(self.server.path(path))
            .header(HOST, self.server.authority())
            .header(ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request.body(Full::new(body)).map_err(|error| broken(&error))?;

        let io = TokioIo::new(net::dial(&self.server).await?);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(io).await.map_err(|error| broken(&error))?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_LIMIT).collect().await.map_err(|error| broken(&error))?;
            // The connection ends with its sender.
            drop(sender);
            Ok::<_, ClientError>((parts, body.to_bytes()))
        };
        let (answer, _) = tokio::join!(exchange, connection);
        let (parts, body) = answer?;
        if parts.status.is_success() {
            return Ok(body);
        }
        let retry_after = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        Err(ClientError::Refused(Refusal::read(parts.status.as_u16(), retry_after, &body)))
    }
}
