//! Looks at the whole server.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use devpocket_actors::System;
use devpocket_actors::observation::{Census, Meter, Process, Rates, Tree};
use devpocket_actors::persistence::EngineStats;
use devpocket_actors::persistence::clusters::ClusterWithLoad;
use devpocket_actors::persistence::overview::{Counts, counts};
use devpocket_actors::supervision::{ActorPath, Kind, TaskGuard};
use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::dialect::views::{
    ActorFigures, ClusterFigures, DatabaseFigures, EnvironmentFigures, MailFigures, Overview, Point,
    ProcessFigures, SessionFigures, Timestamp,
};
use crate::ws::Sockets;

/// Rates and what the process costs are measured over at least this.
const MEASURED: Duration = Duration::from_secs(1);

/// What is counted in the database is asked for at most this often.
const COUNTED: Duration = Duration::from_secs(5);

/// How long the database may take to answer that; else what is known stays.
const COUNT_LIMIT: Duration = Duration::from_secs(2);

/// The pause between two points of the charts.
const POINT_EVERY: Duration = Duration::from_secs(10);

/// How many points are held: an hour of them.
const POINTS: usize = 360;

/// The server at one moment.
#[derive(Debug)]
pub struct Look {
    /// When.
    pub at: DateTime<Utc>,
    /// All actors.
    pub tree: Tree,
    /// All figures.
    pub overview: Overview,
}

/// The last hour, oldest first.
#[derive(Debug)]
pub struct Hour {
    /// The pause between two points.
    pub every: Duration,
    /// At most [`POINTS`].
    pub points: Vec<Point>,
}

/// Looks at the server for all who want to see it. Ends with its last owner.
#[derive(Debug)]
pub struct Observer {
    shared: Arc<Shared>,
    _points: TaskGuard,
}

struct Shared {
    system: System,
    sockets: Sockets,
    started: DateTime<Utc>,
    /// Who looks holds it; the others wait and get the same.
    looking: Turn<Looking>,
    hour: Mutex<VecDeque<Point>>,
    newest: watch::Sender<Option<Point>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("started", &self.started).finish_non_exhaustive()
    }
}

/// What is remembered from one look to the next.
#[derive(Default)]
struct Looking {
    last: Option<(Instant, Arc<Look>)>,
    measured: Measured,
    counted: Option<Instant>,
    counts: Counts,
}

/// What is measured over a time.
#[derive(Default)]
struct Measured {
    since: Option<Instant>,
    meter: Meter,
    rates: Rates,
    process: Process,
    cpu_percent: f64,
}

impl Measured {
    /// Measures again, if that was long enough ago.
    fn renew(&mut self, tree: &Tree) {
        let passed = self.since.map_or(Duration::MAX, |since| since.elapsed());
        if passed < MEASURED {
            return;
        }
        let before = std::mem::replace(&mut self.process, Process::now());
        let first = self.since.replace(Instant::now()).is_none();
        let rates = self.meter.read(tree.actors(), passed);
        // The first look has nothing to compare with.
        if !first {
            self.rates = rates;
            let used = self.process.cpu.saturating_sub(before.cpu);
            self.cpu_percent = (used.as_secs_f64() / passed.as_secs_f64() * 1_000.0).round() / 10.0;
        }
    }
}

impl Observer {
    /// How old what is shown may be when nobody waits for something to change.
    pub const FRESH: Duration = Duration::from_millis(500);

    /// Begins to draw the charts.
    #[must_use]
    pub fn start(system: System, sockets: Sockets) -> Self {
        let shared = Arc::new(Shared {
            system,
            sockets,
            started: Utc::now(),
            looking: Turn::default(),
            hour: Mutex::default(),
            newest: watch::Sender::new(None),
        });
        let drawing = Arc::clone(&shared);
        let points = TaskGuard::spawn(async move {
            let mut measured = Measured::default();
            let mut ticks = interval(POINT_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let look = drawing.look(MEASURED).await;
                measured.renew(&look.tree);
                drawing.draw(point(&look, &measured));
            }
        });
        Self { shared, _points: points }
    }

    /// The server as it was at most `age` ago. Cancel-safe.
    pub async fn look(&self, age: Duration) -> Arc<Look> {
        self.shared.look(age).await
    }

    /// The last hour.
    #[must_use]
    pub fn hour(&self) -> Hour {
        Hour { every: POINT_EVERY, points: self.shared.hour.lock().iter().copied().collect() }
    }

    /// The newest point, as it changes.
    #[must_use]
    pub fn newest(&self) -> watch::Receiver<Option<Point>> {
        self.shared.newest.subscribe()
    }
}

impl Shared {
    async fn look(&self, age: Duration) -> Arc<Look> {
        let mut looking = self.looking.lock().await;
        if let Some((since, last)) = &looking.last
            && since.elapsed() <= age
        {
            return Arc::clone(last);
        }
        let now = Instant::now();
        let registry = Arc::clone(self.system.registry());
        // With very many actors this takes milliseconds, which a terminal would feel.
        let tree = tokio::task::spawn_blocking(move || Tree::of(registry.snapshot())).await;
        let tree = tree.unwrap_or_default();
        if looking.counted.is_none_or(|counted| counted.elapsed() >= COUNTED) {
            looking.counted = Some(now);
            let pool = self.system.persistence().pool();
            if let Ok(Ok(fresh)) = timeout(COUNT_LIMIT, counts(pool)).await {
                looking.counts = fresh;
            }
        }
        looking.measured.renew(&tree);
        let overview = self.overview(&tree, &looking).await;
        let look = Arc::new(Look { at: Utc::now(), tree, overview });
        looking.last = Some((now, Arc::clone(&look)));
        look
    }

    fn draw(&self, point: Point) {
        let mut hour = self.hour.lock();
        if hour.len() == POINTS {
            hour.pop_front();
        }
        hour.push_back(point);
        drop(hour);
        self.newest.send_replace(Some(point));
    }

    async fn overview(&self, tree: &Tree, looking: &Looking) -> Overview {
        let (census, counts) = (Census::of(tree.actors()), &looking.counts);
        let Measured { rates, process, cpu_percent, .. } = &looking.measured;
        let uptime = Utc::now().signed_duration_since(self.started).num_seconds();
        let mut clusters = Vec::with_capacity(counts.clusters.len());
        for row in &counts.clusters {
            clusters.push(self.cluster(row, tree).await);
        }
        Overview {
            process: ProcessFigures {
                version: env!("CARGO_PKG_VERSION"),
                started_at: self.started.into(),
                uptime_secs: uptime.max(0).unsigned_abs(),
                memory_bytes: process.memory,
                cpu_percent: *cpu_percent,
                tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
                threads: process.threads,
                sockets: self.sockets.live(),
                files: process.files,
                draining: self.sockets.are_closing(),
            },
            sessions: SessionFigures {
                live: census.count(Kind::Terminal),
                attachments: census.attachments,
                slow: census.slow,
                bytes_in: rates.bytes_in,
                bytes_out: rates.bytes_out,
                keys: rates.keys,
            },
            environments: EnvironmentFigures {
                awake: census.count(Kind::Environment),
                by_status: counts.environments.iter().map(|(status, n)| (status.as_str(), *n)).collect(),
            },
            database: self.database(),
            mail: MailFigures {
                waiting: self.system.mails_waiting(),
                queued: counts.mails_queued,
                dead: counts.mails_dead,
            },
            clusters,
            actors: actors(census),
        }
    }

    fn database(&self) -> DatabaseFigures {
        let (stats, pool) = (self.system.writing(), self.system.persistence().pool());
        let EngineStats { durable_backlog, late_backlog, status_backlog, available, .. } = stats;
        let EngineStats { durable_done, durable_failed, late_written, late_dropped, .. } = stats;
        DatabaseFigures {
            available,
            size: pool.size(),
            idle: pool.num_idle(),
            max: pool.options().get_max_connections(),
            durable_backlog,
            late_backlog,
            status_backlog,
            durable_done,
            durable_failed,
            late_written,
            late_dropped,
            late_refused: stats.late_refused,
            last_batch: stats.last_batch,
            batch_ms: millis(stats.batch_time),
            write_ms: millis(stats.write_time),
        }
    }

    async fn cluster(&self, row: &ClusterWithLoad, tree: &Tree) -> ClusterFigures {
        let id = row.cluster.id.clone();
        let actor = tree.find(&ActorPath::of(Kind::Cluster, &id));
        // What its actor saw last; one that is busy or being restarted is not waited for.
        let health = self.system.cluster_health(&id, Duration::from_millis(100)).await;
        let (message, health) = match health {
            Err(unusable) => (Some(unusable), None),
            Ok(health) => {
                let message = health.as_ref().and_then(|health| health.result.as_ref().err().cloned());
                (message, health)
            }
        };
        let link = self.system.link(&id).unwrap_or_default();
        ClusterFigures {
            name: row.cluster.name.clone(),
            state: actor.map_or("unused", |actor| actor.actor.state),
            message,
            checked_at: health.as_ref().map(|health| health.checked_at.into()),
            took_ms: health.map(|health| whole_millis(health.took)),
            watch_lag_ms: link.heard.map(whole_millis),
            relists: link.listings,
            channels: link.channels,
            errors: link.errors,
            environments: row.active_environments,
            id,
        }
    }
}

fn actors(census: Census) -> ActorFigures {
    let by_kind: BTreeMap<_, _> = census.by_kind.iter().map(|(kind, count)| (kind.name(), *count)).collect();
    let Census { total, restarts, restarting, failed, stuck, .. } = census;
    ActorFigures { total, by_kind, restarts, restarting, failed, stuck }
}

fn point(look: &Look, measured: &Measured) -> Point {
    let Overview { process, actors, sessions, environments, database, mail, .. } = &look.overview;
    Point {
        at: Timestamp(look.at),
        actors: actors.total,
        restarts: actors.restarts,
        environments: environments.awake,
        sessions: sessions.live,
        attachments: sessions.attachments,
        bytes_in: measured.rates.bytes_in,
        bytes_out: measured.rates.bytes_out,
        keys: measured.rates.keys,
        memory_bytes: process.memory_bytes,
        cpu_percent: measured.cpu_percent,
        tasks: process.tasks,
        sockets: process.sockets,
        durable_backlog: database.durable_backlog,
        late_backlog: database.late_backlog,
        write_ms: database.write_ms,
        mail_waiting: mail.queued + i64::try_from(mail.waiting).unwrap_or(i64::MAX),
    }
}

/// With two decimals.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
