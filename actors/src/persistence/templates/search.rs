//! Listing templates and finding them.
//!
//! Each word of a search has to be found somewhere. It needs no extension of Postgres: parts of
//! words are found by pattern, other forms of a word (`databases`) by the full text search that
//! is built in, and typing errors by comparing with the words that templates are described by.
//! Templates are some dozens, so nothing of this needs an index.

use sqlx::PgPool;

use super::Template;
use crate::persistence::Page;
use crate::persistence::error::ReadError;
use crate::persistence::words::{TemplateCategory, TemplateStatus};

/// Most words of a search; the rest is ignored.
const MAX_WORDS: usize = 8;
/// Longest word, in characters; the rest is ignored.
const MAX_LENGTH: usize = 64;
/// Shortest word that may hold a typing error: in shorter ones, everything is like everything.
const SHORTEST: usize = 3;
/// Longest word with one error; longer ones may have two.
const ONE_ERROR: usize = 5;
/// Most words that one is taken for.
const MAX_MEANT: usize = 8;
/// Most words of all templates that are compared with.
const VOCABULARY: i64 = 20_000;

/// What is searched for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// In lower case; for each of them, what it may be meant for and how far that is from it.
    words: Vec<Vec<(String, u8)>>,
}

impl Search {
    /// The words of a text. Nothing: none.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let words: Vec<_> = text
            .split_whitespace()
            .take(MAX_WORDS)
            .map(|word| vec![(word.to_lowercase().chars().take(MAX_LENGTH).collect(), 0)])
            .collect();
        (!words.is_empty()).then_some(Self { words })
    }

    /// Also finds what the words may be meant for, if they hold typing errors.
    ///
    /// # Errors
    /// `Unavailable` while the database is away.
    pub async fn tolerant(mut self, pool: &PgPool) -> Result<Self, ReadError> {
        let vocabulary: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT word
             FROM templates t, regexp_split_to_table(
                 lower(t.name || ' ' || t.display_name || ' ' || array_to_string(t.tags, ' ') || ' '
                       || t.description), '[^[:alnum:]+#]+') AS word
             WHERE length(word) BETWEEN $1 AND $2 LIMIT $3",
        )
        .bind(SHORTEST as i32)
        .bind(MAX_LENGTH as i32)
        .bind(VOCABULARY)
        .fetch_all(pool)
        .await?;
        for meant in &mut self.words {
            let Some((word, _)) = meant.first().cloned() else { continue };
            meant.extend(close(&word, &vocabulary));
        }
        Ok(self)
    }
}

/// The words that `word` may be meant for, the closest first.
fn close(word: &str, vocabulary: &[String]) -> Vec<(String, u8)> {
    let letters: Vec<char> = word.chars().collect();
    if letters.len() < SHORTEST {
        return Vec::new();
    }
    let allowed = if letters.len() <= ONE_ERROR { 1 } else { 2 };
    let mut found: Vec<(String, u8)> = vocabulary
        .iter()
        .filter_map(|other| {
            let known: Vec<char> = other.chars().collect();
            // Who types only the beginning errs there as well.
            let beginning = &known[..known.len().min(letters.len())];
            let distance = distance(&letters, &known).min(distance(&letters, beginning).saturating_add(1));
            u8::try_from(distance)
                .ok()
                .filter(|distance| (1..=allowed).contains(distance))
                .map(|d| (other.clone(), d))
        })
        .collect();
    found.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    found.truncate(MAX_MEANT);
    found
}

/// How many letters have to be put in, left out, replaced, or swapped with their neighbour to
/// make one word of the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = [vec![0; b.len() + 1], (0..=b.len()).collect(), vec![0; b.len() + 1]];
    for i in 1..=a.len() {
        let [before, last, row] = &mut rows;
        row[0] = i;
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()]
}

/// Which templates to list.
#[derive(Debug, Clone, Default)]
pub struct TemplateFilter {
    /// Only of that shelf.
    pub category: Option<TemplateCategory>,
    /// Only these statuses; empty: only `ACTIVE`.
    pub statuses: Vec<TemplateStatus>,
    /// What to find in names, tags and descriptions.
    pub search: Option<Search>,
    /// Whether what fits the search best comes first; else, and among equals, the most used.
    pub best_first: bool,
    /// All of these tags.
    pub tags: Vec<String>,
}

/// A search as Postgres takes it: words, patterns, which word of the search each stands for, how
/// far from it each is.
type Columns = (Vec<String>, Vec<String>, Vec<i32>, Vec<i32>);

impl TemplateFilter {
    fn columns(&self) -> Columns {
        let mut columns = Columns::default();
        let words = self.search.iter().flat_map(|search| search.words.iter().enumerate());
        for (place, meant) in words {
            for (word, cost) in meant {
                columns.0.push(word.clone());
                columns.1.push(contains(word));
                columns.2.push(i32::try_from(place).unwrap_or(i32::MAX));
                columns.3.push(i32::from(*cost));
            }
        }
        columns
    }
}

/// The condition shared by list and count. Parameters $1 to $8. A word counts by the best place
/// where it is found; what is only close to a word counts less than the word itself anywhere.
macro_rules! matching {
    ($select:literal, $rest:literal) => {
        concat!(
            $select,
            " FROM templates t
             CROSS JOIN LATERAL (
                 SELECT count(*) AS found, COALESCE(sum(best), 0) AS fit FROM (
                     SELECT max(CASE
                         WHEN lower(t.name) = w.word THEN 32
                         WHEN starts_with(lower(t.name), w.word) THEN 16
                         WHEN w.word = ANY(t.tags) THEN 12
                         WHEN t.name ILIKE w.pattern OR t.display_name ILIKE w.pattern THEN 8
                         WHEN EXISTS (SELECT FROM unnest(t.tags) AS tag WHERE tag ILIKE w.pattern) THEN 6
                         WHEN t.description ILIKE w.pattern THEN 3
                         WHEN to_tsvector('english', t.display_name || ' ' || t.description || ' '
                                          || array_to_string(t.tags, ' '))
                              @@ plainto_tsquery('english', w.word) THEN 2
                     END - 40 * w.cost) AS best
                     FROM unnest($3::text[], $4::text[], $5::int[], $6::int[]) AS w(word, pattern, place, cost)
                     GROUP BY w.place) AS words
                 WHERE best IS NOT NULL) AS s
             WHERE ($1::text IS NULL OR t.category = $1)
               AND t.status = ANY($2::text[])
               AND s.found = $7
               AND t.tags @> $8::text[]",
            $rest
        )
    };
}

/// A search text as a pattern in which the text's own wildcards mean themselves.
fn contains(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// A page of templates, and how many there are in all: the most used first, then the newest
/// change; or what fits best before that.
///
/// # Errors
/// `Unavailable` while the database is away.
pub async fn list(
    pool: &PgPool,
    filter: &TemplateFilter,
    page: Page,
) -> Result<(Vec<Template>, i64), ReadError> {
    let active = [TemplateStatus::Active];
    let statuses = if filter.statuses.is_empty() { &active[..] } else { &filter.statuses };
    let statuses: Vec<&str> = statuses.iter().copied().map(TemplateStatus::as_str).collect();
    let (words, patterns, places, costs) = filter.columns();
    let wanted =
        filter.search.as_ref().map_or(0, |search| i64::try_from(search.words.len()).unwrap_or(i64::MAX));
    let rows = sqlx::query_as(matching!(
        "SELECT t.*",
        " ORDER BY CASE WHEN $9 THEN s.fit ELSE 0 END DESC, t.usage_count DESC, t.updated_at DESC, t.id
          LIMIT $10 OFFSET $11"
    ))
    .bind(filter.category)
    .bind(&statuses)
    .bind(&words)
    .bind(&patterns)
    .bind(&places)
    .bind(&costs)
    .bind(wanted)
    .bind(&filter.tags)
    .bind(filter.best_first)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(pool)
    .await?;
    let total = sqlx::query_scalar(matching!("SELECT count(*)", ""))
        .bind(filter.category)
        .bind(&statuses)
        .bind(&words)
        .bind(&patterns)
        .bind(&places)
        .bind(&costs)
        .bind(wanted)
        .bind(&filter.tags)
        .fetch_one(pool)
        .await?;
    Ok((rows, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(a: &str, b: &str) -> usize {
        distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
    }

    #[test]
    fn distances_count_typing_errors() {
        for (a, b, errors) in [
            ("python", "python", 0),
            ("pyhton", "python", 1),
            ("pyton", "python", 1),
            ("pythoon", "python", 1),
            ("pxthon", "python", 1),
            ("", "abc", 3),
            ("ab", "ba", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!((apart(a, b), apart(b, a)), (errors, errors), "{a} {b}");
        }
    }

    #[test]
    fn words_are_taken_for_close_ones() {
        let vocabulary = ["python", "node", "nodejs", "rust", "postgres"].map(str::to_owned);
        let meant =
            |word: &str| close(word, &vocabulary).into_iter().map(|(word, _)| word).collect::<Vec<_>>();
        assert_eq!(meant("pyhton"), ["python"]);
        assert_eq!(meant("postgers"), ["postgres"]);
        assert_eq!(meant("rist"), ["rust"]);
        assert!(meant("xx").is_empty() && meant("haskell").is_empty() && meant("rust").is_empty());
    }

    #[test]
    fn searches_are_bounded() {
        assert_eq!(Search::of("  "), None);
        let search = Search::of(&"A".repeat(10_000)).unwrap();
        assert_eq!(search.words[0][0].0.len(), MAX_LENGTH);
        assert_eq!(Search::of(&"a ".repeat(1000)).unwrap().words.len(), MAX_WORDS);
        assert_eq!(contains("1%_\\"), "%1\\%\\_\\\\%");
    }
}
