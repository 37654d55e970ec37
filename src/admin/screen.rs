//! One dashboard: what it shows, and what of that its client does not know yet.

use std::collections::HashSet;

use devpocket_actors::observation::{Fold, Only};
use devpocket_actors::supervision::{ActorPath, Journal};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::observer::Look;
use super::patch;
use crate::dialect::views::{Actor, Event, Row, Timestamp};

/// The most actors that may be unfolded at a time.
const MAX_OPEN: usize = 1_000;

/// The most rows of the tree that are shown at a time.
const MAX_ROWS: usize = 200;

/// The longest search, in bytes.
const MAX_SEARCH: usize = 200;

/// The events that a screen begins with.
const FIRST_EVENTS: usize = 200;

/// What a client says that it looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    overview: bool,
    actor: Option<ActorPath>,
    tree: Option<(Fold, Page)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Page {
    from: usize,
    count: usize,
}

#[derive(Deserialize)]
struct WrittenWish {
    #[serde(default)]
    overview: bool,
    actor: Option<String>,
    tree: Option<WrittenTree>,
}

#[derive(Deserialize)]
struct WrittenTree {
    #[serde(default)]
    open: Vec<String>,
    #[serde(default)]
    search: String,
    only: Option<String>,
    #[serde(default)]
    from: usize,
    count: usize,
}

impl Wish {
    /// Reads a client's message. Names of actors that can't be are as good as those of actors
    /// that are gone.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(message: Value) -> Result<Self, String> {
        let written: WrittenWish = serde_json::from_value(message).map_err(|error| error.to_string())?;
        let tree = match written.tree {
            None => None,
            Some(tree) if tree.open.len() > MAX_OPEN => {
                return Err(format!("at most {MAX_OPEN} actors may be open"));
            }
            Some(tree) if tree.search.len() > MAX_SEARCH => {
                return Err(format!("a search may have {MAX_SEARCH} bytes"));
            }
            Some(tree) => {
                let only = tree.only.as_deref().map_or(Ok(Only::All), str::parse);
                let only = only.map_err(|()| "only must be all, failing, waiting or slow".to_owned())?;
                let open: HashSet<ActorPath> =
                    tree.open.iter().filter_map(|name| name.parse().ok()).collect();
                let fold = Fold { open, search: tree.search.trim().to_lowercase(), only };
                Some((fold, Page { from: tree.from, count: tree.count.min(MAX_ROWS) }))
            }
        };
        let actor = written.actor.and_then(|name| name.parse().ok());
        Ok(Self { overview: written.overview, actor, tree })
    }
}

/// See the module's documentation. What its client was sent is bounded by what a wish may be.
#[derive(Debug)]
pub struct Screen {
    wish: Wish,
    sent: Value,
    /// The number of the last event that the client knows.
    heard: u64,
    has_events: bool,
}

impl Default for Screen {
    fn default() -> Self {
        Self { wish: Wish::default(), sent: json!({}), heard: 0, has_events: false }
    }
}

impl Screen {
    /// The client looks at something else.
    pub fn look_at(&mut self, wish: Wish) {
        self.wish = wish;
    }

    /// The message with what the client does not know of a look.
    pub fn difference(&mut self, look: &Look) -> Option<Value> {
        let mut document = self.document(look);
        // The time alone is no news.
        document.insert("at".to_owned(), self.sent["at"].clone());
        document.retain(|_, value| !value.is_null());
        patch::between(&self.sent, &Value::Object(document.clone()))?;
        document.insert("at".to_owned(), Timestamp(look.at).to_string().into());
        let document = Value::Object(document);
        let patch = patch::between(&self.sent, &document)?;
        self.sent = document;
        Some(json!({ "type": "state", "patch": patch }))
    }

    /// The message with the events that the client does not know; the first also if there are
    /// none.
    pub fn news(&mut self, journal: &Journal) -> Option<Value> {
        let limit = if self.has_events { usize::MAX } else { FIRST_EVENTS };
        let events = journal.read(self.heard, None, limit);
        if events.is_empty() && self.has_events {
            return None;
        }
        self.has_events = true;
        self.heard = events.last().map_or(self.heard, |event| event.seq);
        let events: Vec<Event> = events.iter().map(Event::from).collect();
        Some(json!({ "type": "history", "events": events }))
    }

    fn document(&self, look: &Look) -> Map<String, Value> {
        let mut document = Map::new();
        if self.wish.overview {
            document.insert("overview".to_owned(), json!(look.overview));
        }
        if let Some(actor) = self.wish.actor.as_ref()
            && let Some(row) = look.tree.find(actor)
        {
            let path: Vec<String> = look.tree.line(actor).iter().map(ToString::to_string).collect();
            document.insert("actor".to_owned(), json!({ "actor": Actor::from(row), "path": path }));
        }
        if let Some((fold, page)) = &self.wish.tree {
            let shown = look.tree.rows(fold, page.from, page.count);
            let order: Vec<String> = shown.rows.iter().map(|row| row.actor.path.to_string()).collect();
            let rows: Map<String, Value> = shown
                .rows
                .iter()
                .zip(&order)
                .map(|(row, name)| (name.clone(), json!(Row::from(*row))))
                .collect();
            document.insert(
                "tree".to_owned(),
                json!({ "total": shown.total, "from": page.from, "order": order, "rows": rows }),
            );
        }
        document
    }
}
