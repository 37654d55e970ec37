//! Accounts. Addresses and user names are lower case here; the old server told `Ann` from `ann`.

use std::collections::HashSet;

use serde_json::Value;

use super::rows::{Row, Table, last_id, text};
use super::{Import, ImportError, report::Count};

const USERS: Table = Table {
    name: "users",
    columns: "id, email, username, full_name, password, avatar_url, is_active, is_verified, email_verified_at, \
              subscription_plan, google_id, failed_login_attempts, account_locked_until, last_login_at, \
              created_at, updated_at",
};

/// Accounts whose address another, older account has in another case.
const DOUBLES: &str = "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY lower(email)
                                        ORDER BY created_at, id) AS place FROM users) t WHERE place > 1";

impl Import<'_> {
    pub(super) async fn users(&mut self) -> Result<(), ImportError> {
        let doubles: Vec<String> =
            sqlx::query_scalar(DOUBLES).fetch_all(&mut *self.source).await.map_err(ImportError::source)?;
        let doubles: HashSet<String> = doubles.into_iter().collect();
        let (mut count, mut after) = (Count::default(), String::new());
        loop {
            let mut rows = USERS.page(&mut *self.source, &after).await?;
            let Some(last) = last_id(&rows) else { break };
            after = last;
            count.read += rows.len() as u64;
            let ids: Vec<String> = rows.iter().map(|row| text(row, "id").to_owned()).collect();
            let present = USERS.present(&mut *self.target, &ids).await?;
            count.present += present.len() as u64;
            rows.retain(|row| !present.iter().any(|id| id == text(row, "id")));
            for mut row in rows {
                let (id, email) = (text(&row, "id").to_owned(), text(&row, "email").to_lowercase());
                if doubles.contains(&id) || self.is_taken("email", &email).await? {
                    self.report.problem(format!(
                        "user {id}: another account has the address {email}. This one, with all that is its, \
                         was left out: change or delete one of the two, and import again"
                    ));
                    self.left_out.insert(id);
                    count.left_out += 1;
                    continue;
                }
                let old = text(&row, "username").to_owned();
                let username = self.free_username(&old.to_lowercase()).await?;
                if !username.eq_ignore_ascii_case(&old) {
                    self.report
                        .note(format!("user {id} ({email}): {old} is taken, so it is {username} here"));
                }
                row.insert("email".into(), Value::String(email));
                row.insert("username".into(), Value::String(username));
                let google = text(&row, "google_id");
                if !google.is_empty() && self.is_taken("google_id", google).await? {
                    self.report.note(format!("user {id}: its Google account is another one's here"));
                    row.insert("google_id".into(), Value::Null);
                }
                count.added += USERS.add(&mut *self.target, vec![row], "true").await?.len() as u64;
            }
        }
        self.report.count("users", count);
        Ok(())
    }

    /// The next rows of a table of what is people's, without what is of those who were left out.
    /// `None`: there are no more.
    pub(super) async fn page_of_users(
        &mut self,
        table: &Table,
        after: &mut String,
        count: &mut Count,
    ) -> Result<Option<Vec<Row>>, ImportError> {
        let mut rows = table.page(&mut *self.source, after).await?;
        let Some(last) = last_id(&rows) else { return Ok(None) };
        *after = last;
        count.read += rows.len() as u64;
        let all = rows.len();
        rows.retain(|row| !self.left_out.contains(text(row, "user_id")));
        count.left_out += (all - rows.len()) as u64;
        Ok(Some(rows))
    }

    async fn is_taken(&mut self, column: &'static str, value: &str) -> Result<bool, ImportError> {
        let query = match column {
            "email" => "SELECT EXISTS (SELECT FROM users WHERE email = $1)",
            "google_id" => "SELECT EXISTS (SELECT FROM users WHERE google_id = $1)",
            _ => "SELECT EXISTS (SELECT FROM users WHERE username = $1)",
        };
        sqlx::query_scalar(query).bind(value).fetch_one(&mut *self.target).await.map_err(ImportError::target)
    }

    /// The name, or the first of `name-2`, `name-3`, … that nobody has.
    async fn free_username(&mut self, name: &str) -> Result<String, ImportError> {
        let mut free = name.to_owned();
        for number in 2_u32.. {
            if !self.is_taken("username", &free).await? {
                break;
            }
            free = format!("{name}-{number}");
        }
        Ok(free)
    }
}
