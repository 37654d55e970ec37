//! Writes that nobody waits for, numbered: each must be in the database once.

use std::collections::BTreeMap;

use devpocket_actors::persistence::{AuditEntry, Late, LogLevel, LogLine, Metric, Persistence, new_id};
use sqlx::PgPool;

/// Queues a log line, a measurement and a line of the audit record that bear this number.
pub fn queue(persistence: &Persistence, environment: &str, number: u32) {
    let text = number.to_string();
    let line = LogLine::now(environment.to_owned(), LogLevel::Info, "numbered", &text);
    persistence.late(Late::LogLine(line));
    persistence.late(Late::Metric(Metric {
        id: new_id(),
        environment_id: environment.to_owned(),
        cpu_usage: 0.0,
        memory_usage: 0.0,
        storage_usage: 0.0,
        // What nothing else measures.
        network_rx: -1 - i64::from(number),
        network_tx: 0,
        timestamp: chrono::Utc::now(),
    }));
    let mut entry = AuditEntry::now("numbered");
    entry.target_id = Some(text);
    persistence.late(Late::Audit(entry));
}

/// How often each number is there, by table.
async fn counted(pool: &PgPool) -> [BTreeMap<u32, i64>; 3] {
    let mut all = [const { BTreeMap::new() }; 3];
    let queries = [
        "SELECT message::int, count(*) FROM environment_logs WHERE source = 'numbered' GROUP BY 1",
        "SELECT (-1 - network_rx)::int, count(*) FROM environment_metrics WHERE network_rx < 0 GROUP BY 1",
        "SELECT target_id::int, count(*) FROM audit_log WHERE action = 'numbered' GROUP BY 1",
    ];
    for (counts, query) in all.iter_mut().zip(queries) {
        let rows: Vec<(i32, i64)> = sqlx::query_as(query).fetch_all(pool).await.unwrap();
        counts.extend(rows.into_iter().map(|(number, count)| (u32::try_from(number).unwrap(), count)));
    }
    all
}

/// The last number in the table that is written last.
pub async fn last_landed(pool: &PgPool) -> Option<u32> {
    let [_, _, audit] = counted(pool).await;
    audit.last_key_value().map(|(number, _)| *number)
}

/// Fails unless each of the first `count` numbers is in each table, once.
pub async fn assert_each_once(pool: &PgPool, count: u32) {
    let expected: BTreeMap<u32, i64> = (0..count).map(|number| (number, 1)).collect();
    for (table, found) in ["logs", "metrics", "audit"].into_iter().zip(counted(pool).await) {
        let wrong: Vec<_> = found.iter().filter(|(_, times)| **times != 1).collect();
        let missing: Vec<_> = expected.keys().filter(|number| !found.contains_key(number)).collect();
        assert!(found == expected, "{table}: {missing:?} of {count} are missing, and of these: {wrong:?}");
    }
}
