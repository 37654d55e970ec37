//! Accounts that are entered through Google.

use sqlx::{PgConnection, PgTransaction};

use super::engine::Write;
use super::error::WriteError;
use super::ids::new_id;
use super::tokens::revoke_user;
use super::users::{CreateUser, User};
use super::words::{Plan, Role};

/// Longest user name made of an address: with a number behind it, it keeps to the rule of 30.
const NAME_CHARS: usize = 24;

/// Numbers tried behind a name that is taken.
const NUMBERS: i32 = 999;

/// Somebody, as Google vouches for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoogleIdentity {
    /// What Google calls them, for ever.
    pub id: String,
    /// Their address, in lower case. `None`: Google has not verified it.
    pub email: Option<String>,
    /// Their name.
    pub name: Option<String>,
    /// A picture of them: an `https` URL.
    pub picture: Option<String>,
}

/// Finds the account of that Google account; else that of the address, which is linked; else makes
/// one.
#[derive(Debug, Clone)]
pub struct EnterByGoogle {
    /// Who.
    pub identity: GoogleIdentity,
}

/// How somebody came in.
#[derive(Debug, Clone)]
pub enum Entered {
    /// By an account that was linked before.
    Known(User),
    /// By the account of their address, which is linked now.
    Linked(User),
    /// By a new account.
    Created(User),
    /// Not: there is no such account, and the address is not verified.
    Unverified,
    /// Not: the account of their address is linked with another Google account.
    Taken,
}

impl Write for EnterByGoogle {
    type Output = Entered;

    async fn apply(self, tx: &mut PgTransaction<'_>) -> Result<Entered, WriteError> {
        let identity = self.identity;
        let known: Option<User> = sqlx::query_as("SELECT * FROM users WHERE google_id = $1")
            .bind(&identity.id)
            .fetch_optional(&mut **tx)
            .await?;
        if let Some(user) = known {
            return Ok(Entered::Known(user));
        }
        let Some(email) = identity.email.clone() else { return Ok(Entered::Unverified) };
        let named: Option<User> = sqlx::query_as("SELECT * FROM users WHERE email = $1 FOR NO KEY UPDATE")
            .bind(&email)
            .fetch_optional(&mut **tx)
            .await?;
        match named {
            // Made by another request since it was looked for.
            Some(user) if user.google_id.as_ref() == Some(&identity.id) => Ok(Entered::Known(user)),
            Some(user) if user.google_id.is_some() => Ok(Entered::Taken),
            // A suspended account stays as it is.
            Some(user) if !user.is_active => Ok(Entered::Known(user)),
            Some(user) => Ok(Entered::Linked(link(tx, user, &identity).await?)),
            None => {
                let user = CreateUser {
                    id: new_id(),
                    username: free_name(tx, &name_of(&email)).await?,
                    full_name: identity.name.unwrap_or_else(|| name_of(&email)),
                    email,
                    password: None,
                    avatar_url: identity.picture,
                    is_verified: true,
                    subscription_plan: Plan::Free,
                    role: Role::User,
                    google_id: Some(identity.id),
                };
                Ok(Entered::Created(user.apply(tx).await?))
            }
        }
    }
}

/// Links an account. One whose address was never proved may have been made by somebody else, who
/// waits for its owner to come: nothing of theirs is good any more.
async fn link(tx: &mut PgConnection, user: User, identity: &GoogleIdentity) -> Result<User, WriteError> {
    let linked: User = sqlx::query_as(
        "UPDATE users
         SET google_id = $2, is_verified = true, email_verified_at = COALESCE(email_verified_at, now()),
             password = CASE WHEN is_verified THEN password END,
             full_name = CASE WHEN is_verified THEN full_name ELSE COALESCE($3, full_name) END,
             avatar_url = CASE WHEN is_verified THEN COALESCE(avatar_url, $4) ELSE $4 END,
             updated_at = now()
         WHERE id = $1 RETURNING *",
    )
    .bind(&user.id)
    .bind(&identity.id)
    .bind(&identity.name)
    .bind(&identity.picture)
    .fetch_one(&mut *tx)
    .await?;
    if !user.is_verified {
        revoke_user(tx, &user.id, None).await?;
        sqlx::query(
            "UPDATE email_verification_tokens SET used_at = now() WHERE user_id = $1 AND used_at IS NULL",
        )
        .bind(&user.id)
        .execute(tx)
        .await?;
    }
    Ok(linked)
}

/// A user name made of an address: what is before the @, with what a name may hold.
fn name_of(email: &str) -> String {
    let local = email.split('@').next().unwrap_or_default().to_lowercase();
    let fit = |c: char| match c {
        'a'..='z' | '0'..='9' | '-' | '_' => Some(c),
        '.' | '+' => Some('_'),
        _ => None,
    };
    let name: String = local.chars().filter_map(fit).take(NAME_CHARS).collect();
    if name.len() < 3 { format!("{name}user") } else { name }
}

/// The name, or the first of `name1`, `name2` … that nobody has.
async fn free_name(tx: &mut PgConnection, name: &str) -> Result<String, WriteError> {
    let free: Option<String> = sqlx::query_scalar(
        "SELECT n.name FROM (SELECT $1 || CASE WHEN i > 0 THEN i::text ELSE '' END AS name, i
                             FROM generate_series(0, $2) AS i) n
         WHERE NOT EXISTS (SELECT FROM users u WHERE u.username = n.name) ORDER BY n.i LIMIT 1",
    )
    .bind(name)
    .bind(NUMBERS)
    .fetch_optional(tx)
    .await?;
    Ok(free.unwrap_or_else(new_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_the_rules() {
        for (email, name) in [
            ("ann@example.org", "ann"),
            ("Ann.B+c@example.org", "ann_b_c"),
            ("a@example.org", "auser"),
            ("åé@example.org", "user"),
            ("a-very-long-name-that-goes-on@x.org", "a-very-long-name-that-go"),
        ] {
            assert_eq!(name_of(email), name);
        }
    }
}
