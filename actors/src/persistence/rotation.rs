//! Changing the key: what earlier keys have sealed, and what was never sealed, is sealed anew.
//!
//! Safe beside running servers: a value is replaced only if it is still the one that was read, and
//! servers that have both keys read either. What was done stays done, so it may be cut short and
//! begun again.

use std::fmt;

use secrecy::ExposeSecret as _;
use sqlx::{FromRow, PgPool, PgTransaction};

use super::engine::Write;
use super::error::{ReadError, WriteError};
use super::secrets::Hidden;
use super::vault::{Vault, VaultError};
use super::{Persistence, mails, variables};

/// Values that are sealed anew in one transaction.
const BATCH: i64 = 100;

/// Something that is kept sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// `clusters.kubeconfig`
    Kubeconfigs,
    /// `environments.environment_variables`
    Variables,
    /// `outgoing_mails.content`
    Mails,
}

impl Kept {
    /// All there is.
    pub const ALL: [Self; 3] = [Self::Kubeconfigs, Self::Variables, Self::Mails];

    fn place(self, id: &str) -> String {
        match self {
            Self::Kubeconfigs => crate::cluster::stored::place(id),
            Self::Variables => variables::place(id),
            Self::Mails => mails::place(id),
        }
    }

    const fn statements(self) -> &'static Statements {
        match self {
            Self::Kubeconfigs => &KUBECONFIGS,
            Self::Variables => &VARIABLES,
            Self::Mails => &MAILS,
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kubeconfigs => "clusters.kubeconfig",
            Self::Variables => "environments.environment_variables",
            Self::Mails => "outgoing_mails.content",
        })
    }
}

struct Statements {
    /// How many values under each key.
    survey: &'static str,
    /// Values that are not under key $1, after row $2; only plain ones if $3.
    batch: &'static str,
    /// Row $1's value from $2 to $3.
    swap: &'static str,
}

/// `$text` is the column as text, `$filled` says that there is something in it, `$new` is $3 as the
/// column wants it.
macro_rules! statements {
    ($table:literal, $column:literal, $text:literal, $filled:literal, $new:literal) => {
        Statements {
            survey: concat!(
                "SELECT CASE WHEN ",
                $text,
                " LIKE 'v1.%' THEN split_part(",
                $text,
                ", '.', 2) END AS key_id,
                        count(*) AS values
                 FROM ",
                $table,
                " WHERE ",
                $filled,
                " GROUP BY 1 ORDER BY 1"
            ),
            batch: concat!(
                "SELECT id, ",
                $text,
                " AS value FROM ",
                $table,
                "
                 WHERE ",
                $filled,
                " AND id > $2 AND ",
                $text,
                " NOT LIKE 'v1.' || $1 || '.%'
                   AND (NOT $3 OR ",
                $text,
                " NOT LIKE 'v1.%')
                 ORDER BY id LIMIT $4"
            ),
            swap: concat!(
                "UPDATE ",
                $table,
                " SET ",
                $column,
                " = ",
                $new,
                " WHERE id = $1 AND ",
                $text,
                " = $2"
            ),
        }
    };
}

const KUBECONFIGS: Statements =
    statements!("clusters", "kubeconfig", "kubeconfig", "kubeconfig <> ''", "$3::text");
const MAILS: Statements = statements!("outgoing_mails", "content", "content", "content <> ''", "$3::text");
const VARIABLES: Statements = statements!(
    "environments",
    "environment_variables",
    "(environment_variables #>> '{}')",
    "environment_variables <> '{}'",
    "to_jsonb($3::text)"
);

/// How many values of a kind are sealed how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Which kind.
    pub kept: Kept,
    /// Under the current key.
    pub current: i64,
    /// Under an earlier one.
    pub earlier: i64,
    /// Not sealed.
    pub plain: i64,
    /// Under keys that the vault does not have: their ids, and how many.
    pub unknown: Vec<(String, i64)>,
}

#[derive(FromRow)]
struct UnderKey {
    key_id: Option<String>,
    values: i64,
}

/// Looks how everything is sealed. Opens nothing.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn survey(pool: &PgPool, vault: &Vault) -> Result<Vec<Survey>, ReadError> {
    let mut surveys = Vec::new();
    for kept in Kept::ALL {
        let mut survey = Survey { kept, current: 0, earlier: 0, plain: 0, unknown: Vec::new() };
        let rows: Vec<UnderKey> = sqlx::query_as(kept.statements().survey).fetch_all(pool).await?;
        for UnderKey { key_id, values } in rows {
            match key_id {
                None => survey.plain += values,
                Some(id) if id == vault.key_id() => survey.current += values,
                Some(id) if vault.has_key(&id) => survey.earlier += values,
                Some(id) => survey.unknown.push((id, values)),
            }
        }
        surveys.push(survey);
    }
    Ok(surveys)
}

/// What came of sealing anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Values that are under the current key now.
    pub sealed: u64,
    /// Values that somebody else changed meanwhile.
    pub changed: u64,
    /// Values that can't be opened, and so were left as they are.
    pub unreadable: u64,
    /// The first of their rows, and why.
    pub examples: Vec<(String, VaultError)>,
}

/// Rows named as examples.
const EXAMPLES: usize = 10;

/// Seals everything of a kind that is not under the current key, in batches of [`BATCH`].
///
/// # Errors
/// While the database is away; what was done until then stays done.
pub async fn reseal(persistence: &Persistence, vault: &Vault, kept: Kept) -> Result<Resealed, WriteError> {
    all_batches(persistence, vault, kept, false).await
}

/// Seals the variables that an earlier version of the server left plain.
///
/// # Errors
/// As [`reseal`].
pub async fn seal_plain(persistence: &Persistence, vault: &Vault) -> Result<Resealed, WriteError> {
    all_batches(persistence, vault, Kept::Variables, true).await
}

/// What a starting server does: seals what an earlier version left plain, and says which keys it
/// lacks.
pub(crate) async fn at_start(persistence: &Persistence, vault: &Vault) {
    match seal_plain(persistence, vault).await {
        Ok(Resealed { sealed: environments, unreadable, .. }) => {
            if environments > 0 {
                tracing::info!(environments, "variables that were plain are sealed now");
            }
            if unreadable > 0 {
                tracing::error!(unreadable, "variables are damaged; devpocket keys rotate names them");
            }
        }
        Err(error) => tracing::warn!(%error, "variables that are plain are not sealed yet"),
    }
    for Survey { kept, unknown, .. } in survey(persistence.pool(), vault).await.unwrap_or_default() {
        for (key, values) in unknown {
            tracing::error!(%kept, key, values, "sealed with a key that is not given: set SECRET_KEY_PREVIOUS");
        }
    }
}

async fn all_batches(
    persistence: &Persistence,
    vault: &Vault,
    kept: Kept,
    only_plain: bool,
) -> Result<Resealed, WriteError> {
    let mut total = Resealed::default();
    let mut after = String::new();
    loop {
        let batch = Batch { kept, vault: vault.clone(), only_plain, after };
        let Some((done, last)) = persistence.write(batch).await? else { return Ok(total) };
        total.sealed += done.sealed;
        total.changed += done.changed;
        total.unreadable += done.unreadable;
        total.examples.extend(done.examples);
        total.examples.truncate(EXAMPLES);
        after = last;
    }
}

/// The next values after a row. `None`: there are none.
struct Batch {
    kept: Kept,
    vault: Vault,
    only_plain: bool,
    after: String,
}

#[derive(FromRow)]
struct Value {
    id: String,
    value: Hidden,
}

impl Write for Batch {
    type Output = Option<(Resealed, String)>;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Self::Output, WriteError> {
        let &Statements { batch, swap, .. } = self.kept.statements();
        let rows: Vec<Value> = sqlx::query_as(batch)
            .bind(self.vault.key_id())
            .bind(self.after)
            .bind(self.only_plain)
            .bind(BATCH)
            .fetch_all(&mut **tx)
            .await?;
        let Some(last) = rows.last().map(|row| row.id.clone()) else { return Ok(None) };
        let mut done = Resealed::default();
        for Value { id, value } in rows {
            match sealed_anew(&self.vault, self.kept, &id, &value) {
                Ok(sealed) => {
                    let swapped =
                        sqlx::query(swap).bind(&id).bind(value).bind(sealed).execute(&mut **tx).await?;
                    done.sealed += swapped.rows_affected();
                    done.changed += 1 - swapped.rows_affected().min(1);
                }
                Err(why) => {
                    done.unreadable += 1;
                    done.examples.push((id, why));
                }
            }
        }
        Ok(Some((done, last)))
    }
}

fn sealed_anew(vault: &Vault, kept: Kept, id: &str, value: &Hidden) -> Result<Hidden, VaultError> {
    let place = kept.place(id);
    // Plain variables are a JSON object. A kubeconfig that is not sealed came from nowhere we know.
    if kept == Kept::Variables && value.expose().starts_with('{') {
        return vault.seal(&place, value.expose().as_bytes());
    }
    vault.seal(&place, vault.open(&place, value)?.expose_secret().as_bytes())
}
