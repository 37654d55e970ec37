//! The supervision tree in the order in which it is shown.

use std::collections::{HashMap, HashSet};

use crate::supervision::{ActorPath, ActorSnapshot};

/// All actors, each before those below it.
#[derive(Debug, Default)]
pub struct Tree {
    nodes: Vec<Node>,
    places: HashMap<ActorPath, usize>,
}

#[derive(Debug)]
struct Node {
    actor: ActorSnapshot,
    depth: usize,
    children: usize,
    /// The place behind the last one below it.
    end: usize,
    below: Below,
}

/// What there is below an actor, on all levels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Below {
    /// Actors.
    pub actors: usize,
    /// Their restarts.
    pub restarts: u64,
    /// Those that do not do their work.
    pub failing: usize,
    /// Clients.
    pub attachments: usize,
}

/// Which actors are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Only {
    /// All.
    #[default]
    All,
    /// Those that do not do their work.
    Failing,
    /// Those that have messages waiting.
    Waiting,
    /// Terminal sessions with a client that leaves its window full.
    Slow,
}

/// How the tree is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fold {
    /// Whose children are shown.
    pub open: HashSet<ActorPath>,
    /// A part of a name, a label, a state or a failure, in lower case; with one, those that match
    /// are shown flat.
    pub search: String,
    /// Likewise with anything but all.
    pub only: Only,
}

/// One actor as it is shown.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The actor.
    pub actor: &'a ActorSnapshot,
    /// Its distance from the top; 0 in a flat list.
    pub depth: usize,
    /// How many it supervises.
    pub children: usize,
    /// Whether these follow.
    pub open: bool,
    /// What there is below it.
    pub below: Below,
}

/// Part of what is shown.
#[derive(Debug)]
pub struct Rows<'a> {
    /// How many rows there are in all.
    pub total: usize,
    /// Those from the place that was asked for.
    pub rows: Vec<Row<'a>>,
}

impl Only {
    fn takes(self, actor: &ActorSnapshot) -> bool {
        match self {
            Self::All => true,
            Self::Failing => actor.is_failing(),
            Self::Waiting => actor.mailbox > 0 || actor.mailbox_age.is_some(),
            Self::Slow => actor.gauges.is_some_and(|gauges| gauges.is_slow),
        }
    }
}

impl std::str::FromStr for Only {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "all" => Ok(Self::All),
            "failing" => Ok(Self::Failing),
            "waiting" => Ok(Self::Waiting),
            "slow" => Ok(Self::Slow),
            _ => Err(()),
        }
    }
}

impl Fold {
    fn is_flat(&self) -> bool {
        !self.search.is_empty() || self.only != Only::All
    }

    fn takes(&self, actor: &ActorSnapshot) -> bool {
        let holds = |text: &str| text.to_lowercase().contains(&self.search);
        self.only.takes(actor)
            && (self.search.is_empty()
                || actor.path.to_string().contains(&self.search)
                || actor.label.as_deref().is_some_and(holds)
                || actor.state.contains(&self.search)
                || actor.last_failure.as_ref().is_some_and(|failure| holds(&failure.reason)))
    }
}

impl Tree {
    /// Puts a snapshot in order: siblings by kind, then by label, then by id. An actor whose
    /// parent is not in the snapshot, because it was taken meanwhile, stands at the top.
    #[must_use]
    pub fn of(actors: Vec<ActorSnapshot>) -> Self {
        let known: HashSet<ActorPath> = actors.iter().map(|actor| actor.path.clone()).collect();
        let mut families: HashMap<Option<ActorPath>, Vec<ActorSnapshot>> = HashMap::new();
        for actor in actors {
            let parent = actor.parent.clone().filter(|parent| known.contains(parent));
            families.entry(parent).or_default().push(actor);
        }
        for family in families.values_mut() {
            // Last first, as they are taken from the end.
            family.sort_by(|a, b| {
                let key =
                    |actor: &ActorSnapshot| (actor.path.kind(), actor.label.clone(), actor.path.clone());
                key(b).cmp(&key(a))
            });
        }
        let mut tree = Self::default();
        // Those whose family is being put down, with their place.
        let mut above: Vec<(Option<usize>, Vec<ActorSnapshot>)> =
            vec![(None, families.remove(&None).unwrap_or_default())];
        while let Some((parent, waiting)) = above.last_mut() {
            let parent = *parent;
            let Some(actor) = waiting.pop() else {
                above.pop();
                if let Some(place) = parent {
                    tree.close(place, above.last().and_then(|(parent, _)| *parent));
                }
                continue;
            };
            let family = families.remove(&Some(actor.path.clone())).unwrap_or_default();
            let place = tree.nodes.len();
            tree.places.insert(actor.path.clone(), place);
            let (depth, children) = (above.len() - 1, family.len());
            tree.nodes.push(Node { actor, depth, children, end: place + 1, below: Below::default() });
            above.push((Some(place), family));
        }
        tree
    }

    /// All below the actor at `place` are put down: counts them, and it itself for its parent.
    fn close(&mut self, place: usize, parent: Option<usize>) {
        let end = self.nodes.len();
        let node = &mut self.nodes[place];
        node.end = end;
        let sums = Below {
            actors: node.below.actors + 1,
            restarts: node.below.restarts + node.actor.restarts,
            failing: node.below.failing + usize::from(node.actor.is_failing()),
            attachments: node.below.attachments + node.actor.gauges.map_or(0, |gauges| gauges.attachments),
        };
        if let Some(parent) = parent {
            let below = &mut self.nodes[parent].below;
            below.actors += sums.actors;
            below.restarts += sums.restarts;
            below.failing += sums.failing;
            below.attachments += sums.attachments;
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All, in order.
    pub fn actors(&self) -> impl Iterator<Item = &ActorSnapshot> {
        self.nodes.iter().map(|node| &node.actor)
    }

    /// One actor, with what is below it; folded.
    #[must_use]
    pub fn find(&self, path: &ActorPath) -> Option<Row<'_>> {
        self.places.get(path).map(|place| self.row(*place, false, false))
    }

    /// An actor and those above it, from the top.
    #[must_use]
    pub fn line(&self, path: &ActorPath) -> Vec<ActorPath> {
        let mut line = Vec::new();
        let mut next = self.places.get(path).map(|place| &self.nodes[*place].actor);
        while let Some(actor) = next {
            line.push(actor.path.clone());
            let parent = actor.parent.as_ref().and_then(|parent| self.places.get(parent));
            next = parent.map(|place| &self.nodes[*place].actor);
        }
        line.reverse();
        line
    }

    /// What is shown from row `from` on, at most `count` rows.
    #[must_use]
    pub fn rows(&self, fold: &Fold, from: usize, count: usize) -> Rows<'_> {
        let flat = fold.is_flat();
        let (mut total, mut rows, mut place) = (0, Vec::new(), 0);
        while let Some(node) = self.nodes.get(place) {
            let open = !flat && node.children > 0 && fold.open.contains(&node.actor.path);
            if !flat || fold.takes(&node.actor) {
                if total >= from && rows.len() < count {
                    rows.push(self.row(place, open, flat));
                }
                total += 1;
            }
            place = if open || flat { place + 1 } else { node.end };
        }
        Rows { total, rows }
    }

    fn row(&self, place: usize, open: bool, flat: bool) -> Row<'_> {
        let node = &self.nodes[place];
        let depth = if flat { 0 } else { node.depth };
        Row { actor: &node.actor, depth, children: node.children, open, below: node.below }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervision::{Gauges, LastFailure};

    fn actor(name: &str, parent: Option<&str>) -> ActorSnapshot {
        ActorSnapshot {
            path: name.parse().unwrap(),
            parent: parent.map(|parent| parent.parse().unwrap()),
            label: None,
            state: "running",
            started: None,
            restarts: 0,
            last_failure: None,
            handled: 0,
            mailbox: 0,
            mailbox_age: None,
            busy: None,
            gauges: None,
        }
    }

    fn family() -> Vec<ActorSnapshot> {
        let gauges = Gauges { attachments: 2, is_slow: true, ..Gauges::default() };
        let failure = LastFailure { at: chrono::Utc::now(), reason: "Out of Luck".to_owned() };
        vec![
            ActorSnapshot { gauges: Some(gauges), restarts: 3, ..actor("terminal:t", Some("environment:a")) },
            ActorSnapshot { label: Some("b".into()), ..actor("environment:a", Some("user:u")) },
            ActorSnapshot { label: Some("a".into()), ..actor("environment:z", Some("user:u")) },
            ActorSnapshot { state: "failed", last_failure: Some(failure), ..actor("user:v", Some("users")) },
            actor("user:u", Some("users")),
            ActorSnapshot { mailbox: 1, ..actor("mailer", Some("root")) },
            actor("users", Some("root")),
            actor("root", None),
        ]
    }

    fn shown(tree: &Tree, fold: &Fold, from: usize, count: usize) -> (usize, Vec<String>) {
        let rows = tree.rows(fold, from, count);
        let text = |row: &Row<'_>| format!("{}{}", " ".repeat(row.depth), row.actor.path);
        (rows.total, rows.rows.iter().map(text).collect())
    }

    fn open(names: &[&str]) -> Fold {
        Fold { open: names.iter().map(|name| name.parse().unwrap()).collect(), ..Fold::default() }
    }

    #[test]
    fn folded_ones_tell_what_is_below_them_and_open_ones_show_it() {
        let tree = Tree::of(family());
        assert_eq!(tree.len(), 8);
        assert_eq!(shown(&tree, &Fold::default(), 0, 10), (1, vec!["root".to_owned()]));
        let root = tree.rows(&Fold::default(), 0, 1).rows[0];
        assert_eq!((root.children, root.open), (2, false));
        assert_eq!(root.below, Below { actors: 7, restarts: 3, failing: 1, attachments: 2 });
        // What lies below a folded one is not shown, even if it is open itself.
        let fold = open(&["root", "user:u"]);
        assert_eq!(shown(&tree, &fold, 0, 10).1, ["root", " mailer", " users"]);
        let fold = open(&["root", "users", "user:u", "environment:a"]);
        let all = [
            "root",
            " mailer",
            " users",
            "  user:u",
            "   environment:z",
            "   environment:a",
            "    terminal:t",
            "  user:v",
        ];
        assert_eq!(shown(&tree, &fold, 0, 10).1, all);
        assert_eq!(shown(&tree, &fold, 3, 2), (8, vec![all[3].to_owned(), all[4].to_owned()]));
        assert_eq!(shown(&tree, &fold, 8, 2), (8, vec![]));
    }

    #[test]
    fn those_that_are_looked_for_are_shown_flat() {
        let tree = Tree::of(family());
        let search =
            |search: &str| shown(&tree, &Fold { search: search.to_owned(), ..open(&["root"]) }, 0, 10).1;
        assert_eq!(search("environment"), ["environment:z", "environment:a"]);
        assert_eq!(search("of luck"), ["user:v"]);
        assert_eq!(search("failed"), ["user:v"]);
        let only = |only: Only| shown(&tree, &Fold { only, ..Fold::default() }, 0, 10).1;
        assert_eq!(only(Only::Failing), ["user:v"]);
        assert_eq!(only(Only::Waiting), ["mailer"]);
        assert_eq!(only(Only::Slow), ["terminal:t"]);
    }

    #[test]
    fn the_line_to_an_actor_begins_at_the_top_and_an_orphan_stands_there_itself() {
        let mut actors = family();
        actors.push(actor("terminal:orphan", Some("environment:gone")));
        let tree = Tree::of(actors);
        let line = |name: &str| {
            tree.line(&name.parse().unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("terminal:t"), "root users user:u environment:a terminal:t");
        assert_eq!(line("terminal:orphan"), "terminal:orphan");
        assert_eq!(line("terminal:nobody"), "");
        assert_eq!(shown(&tree, &Fold::default(), 0, 9).1, ["root", "terminal:orphan"]);
    }

    #[test]
    fn every_actor_is_shown_once_when_all_are_open() {
        let users = 100;
        let mut actors = vec![actor("root", None), actor("users", Some("root"))];
        for user in 0..users {
            actors.push(actor(&format!("user:u{user}"), Some("users")));
            for number in 0..9 {
                actors.push(actor(&format!("environment:e{user}-{number}"), Some(&format!("user:u{user}"))));
                actors.push(actor(
                    &format!("terminal:t{user}-{number}"),
                    Some(&format!("environment:e{user}-{number}")),
                ));
            }
        }
        let all: HashSet<ActorPath> = actors.iter().map(|actor| actor.path.clone()).collect();
        let tree = Tree::of(actors);
        let fold = Fold { open: all.clone(), ..Fold::default() };
        let rows = tree.rows(&fold, 0, usize::MAX);
        let shown: HashSet<_> = rows.rows.iter().map(|row| row.actor.path.clone()).collect();
        assert_eq!((rows.total, shown), (all.len(), all));
        assert!(rows.rows.windows(2).all(|pair| pair[1].depth <= pair[0].depth + 1));
    }
}
