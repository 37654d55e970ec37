//! The audit record as a file.

use std::str::FromStr;

use devpocket_actors::persistence::audit::StoredAudit;
use serde::Serialize as _;

use crate::dialect::views::AuditRecord;
use crate::dialect::{Dialect, View as _, spelling};

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A table: RFC 4180.
    Csv,
    /// A JSON object a line.
    Ndjson,
}

impl FromStr for Format {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "csv" => Ok(Self::Csv),
            "ndjson" => Ok(Self::Ndjson),
            _ => Err(()),
        }
    }
}

/// The columns of a table, in canonical spelling.
const COLUMNS: [&str; 9] =
    ["id", "at", "action", "actorId", "actorName", "targetType", "targetId", "ip", "details"];

impl Format {
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// A browser keeps it as a file.
    pub(super) const fn disposition(self) -> &'static str {
        match self {
            Self::Csv => "attachment; filename=\"audit.csv\"",
            Self::Ndjson => "attachment; filename=\"audit.ndjson\"",
        }
    }

    /// What a file begins with.
    pub(super) fn head(self, dialect: Dialect) -> String {
        match (self, dialect) {
            (Self::Csv, Dialect::Camel) => row(COLUMNS),
            (Self::Csv, Dialect::Snake) => row(COLUMNS.map(spelling::snake)),
            (Self::Ndjson, _) => String::new(),
        }
    }

    /// The lines of a file.
    pub(super) fn lines(self, dialect: Dialect, lines: Vec<StoredAudit>) -> String {
        lines.into_iter().map(|line| self.line(dialect, line)).collect()
    }

    fn line(self, dialect: Dialect, line: StoredAudit) -> String {
        match self {
            Self::Csv => row([
                line.id,
                crate::dialect::views::Timestamp(line.timestamp).to_string(),
                line.action,
                line.actor_id.unwrap_or_default(),
                line.actor_name.unwrap_or_default(),
                line.target_type.unwrap_or_default(),
                line.target_id.unwrap_or_default(),
                line.ip.unwrap_or_default(),
                // Where lists are separated by semicolons, programs cut a line at these, also
                // within quotes, and what follows one begins a cell. JSON can do without them: they
                // are in its texts alone.
                line.detail.map(|detail| detail.to_string().replace(';', "\\u003b")).unwrap_or_default(),
            ]),
            Self::Ndjson => {
                let record = AuditRecord::from(line);
                let value = match dialect {
                    Dialect::Camel => record.serialize(serde_json::value::Serializer).unwrap_or_default(),
                    Dialect::Snake => record.snake(),
                };
                format!("{value}\n")
            }
        }
    }
}

/// A row of a table.
fn row<T: AsRef<str>, const N: usize>(cells: [T; N]) -> String {
    let mut row = String::new();
    for (at, text) in cells.iter().enumerate() {
        if at > 0 {
            row.push(',');
        }
        cell(&mut row, text.as_ref());
    }
    row.push_str("\r\n");
    row
}

/// A cell: a text to every program that opens the file, never a formula.
fn cell(row: &mut String, text: &str) {
    const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let is_odd = text.starts_with(['\t', '\r', '\n']) || text.trim_start().starts_with(FORMULA);
    if !is_odd && !text.contains([',', ';', '"', '\r', '\n', '\t', ' ']) {
        return row.push_str(text);
    }
    row.push('"');
    if is_odd {
        row.push('\'');
    }
    row.push_str(&text.replace('"', "\"\""));
    row.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_texts_and_never_formulas() {
        for (text, written) in [
            ("", ""),
            ("admin.user.role", "admin.user.role"),
            ("2001:db8::1", "2001:db8::1"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"\r\n", "\"say \"\"hi\"\"\r\n\""),
            ("=1+1", "\"'=1+1\""),
            ("-ann", "\"'-ann\""),
            ("+49", "\"'+49\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("  =1", "\"'  =1\""),
            ("\t=1", "\"'\t=1\""),
            ("\rx", "\"'\rx\""),
            ("＝1", "\"'＝1\""),
        ] {
            let mut row = String::new();
            cell(&mut row, text);
            assert_eq!(row, written, "{text:?}");
        }
        assert_eq!(row(["a", "=", ""]), "a,\"'=\",\r\n");
    }
}
