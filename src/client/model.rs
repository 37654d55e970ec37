//! What the HTTP interface answers, as far as a terminal client needs it.

use serde::{Deserialize, Serialize};

/// A pair of tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// Goes with each request.
    pub access_token: String,
    /// Buys a new pair, once.
    pub refresh_token: String,
    /// For how many seconds the access token is good.
    pub expires_in: u64,
}

/// The person that a token belongs to.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    /// Its id.
    pub id: String,
    /// Its name.
    pub username: String,
    /// Its mail address.
    pub email: String,
}

/// What environments are made from.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
}

/// An environment.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Its id.
    pub id: String,
    /// Its name, unique among its owner's.
    pub name: String,
    /// Its status, in capitals.
    pub status: String,
    /// The display name of its template, where the answer has it.
    #[serde(default)]
    pub template_name: Option<String>,
    /// What a person can do about an ERROR.
    #[serde(default)]
    pub status_reason: Option<String>,
}

/// What to create an environment from.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewEnvironment {
    /// Its name.
    pub name: String,
    /// A template's id or name.
    pub template_id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Environments {
    pub(super) environments: Vec<Environment>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Templates {
    pub(super) templates: Vec<Template>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Ticket {
    pub(super) ticket: String,
}
