//! The audit record: found, paged, taken along as a file.

use devpocket_actors::persistence::records::WriteAudit;
use devpocket_actors::persistence::{AuditEntry, Role};
use serde_json::{Value, json};

use crate::admin::somebody;
use crate::server::{Answer, PASSWORD, TestServer};

const AUDIT: &str = "/api/v1/admin/audit";

async fn write(server: &TestServer, action: &str, name: Option<&str>, detail: Option<Value>) {
    let entry = AuditEntry {
        actor_id: name.map(|name| format!("id-of{name}")),
        actor_name: name.map(str::to_owned),
        target_type: Some("thing".into()),
        target_id: name.map(|_| "t1".to_owned()),
        ip: name.map(|_| "2001:db8::1".to_owned()),
        detail,
        ..AuditEntry::now(action)
    };
    server.running.system().persistence().write(WriteAudit { entry }).await.unwrap();
}

/// A file that is sent until the connection ends, as HTTP/1.0 has it.
async fn file(server: &TestServer, query: &str, token: &str, dialect: &str) -> Answer {
    let head = format!(
        "GET {AUDIT}/export?{query} HTTP/1.0\r\nAuthorization: Bearer {token}\r\nX-DevPocket-Dialect: {dialect}"
    );
    server.raw(&head, b"").await
}

/// Reads a table as RFC 4180 has it.
fn table(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => cell.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {
                assert_eq!(characters.next(), Some('\n'));
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    assert!(row.is_empty() && cell.is_empty() && !quoted, "it ends with a line: {text}");
    rows
}

#[tokio::test]
async fn lines_are_listed_newest_first_in_both_dialects_and_details_stay_as_they_are() {
    let server = TestServer::start(&[]).await;
    let (root, _) = somebody(&server, "root", Role::Admin).await;
    write(&server, "test.first", Some("ann"), Some(json!({ "fooBar": 1, "status": "RUNNING" }))).await;
    write(&server, "test.second", None, None).await;
    let list = server.get(&format!("{AUDIT}?action=test."), &root).await;
    assert_eq!((list.status, list.body["pagination"]["total"].as_u64()), (200, Some(2)), "{}", list.body);
    let entries = list.body["entries"].as_array().unwrap();
    assert_eq!((&entries[0]["action"], &entries[1]["action"]), (&json!("test.second"), &json!("test.first")));
    let mut names: Vec<_> = entries[0].as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["action", "at", "id", "targetType"], "what is not known is left out");
    let first = &entries[1];
    assert_eq!((&first["actorId"], &first["actorName"]), (&json!("id-ofann"), &json!("ann")));
    assert_eq!((&first["targetType"], &first["targetId"]), (&json!("thing"), &json!("t1")));
    assert_eq!(first["details"], json!({ "fooBar": 1, "status": "RUNNING" }));

    let login = json!({ "username_or_email": "root", "password": PASSWORD });
    let snake = server.post("/api/v1/auth/login", login).await.text("access_token").to_owned();
    let same = server.get(&format!("{AUDIT}/?actor=ann&search=foobar&limit=1"), &snake).await;
    let line = &same.body["entries"][0];
    assert_eq!((&line["actor_name"], &line["target_id"]), (&json!("ann"), &json!("t1")), "{}", same.body);
    assert_eq!(line["details"], json!({ "fooBar": 1, "status": "RUNNING" }));
    assert_eq!(same.body["pagination"]["has_more"], false);

    let paged = server.get(&format!("{AUDIT}?action=test.&limit=1&page=2"), &root).await;
    assert_eq!(paged.body["entries"][0]["action"], "test.first");
    let none = server.get(&format!("{AUDIT}?from=2999-01-01T00:00:00Z"), &root).await;
    assert_eq!((none.status, &none.body["entries"]), (200, &json!([])));
    for bad in ["from=yesterday", "to=1", "limit=many"] {
        assert_eq!(server.get(&format!("{AUDIT}?{bad}"), &root).await.status, 400, "{bad}");
    }
    server.running.stop().await;
}

#[tokio::test]
async fn a_table_is_whole_and_no_cell_of_it_is_a_formula() {
    let server = TestServer::start(&[]).await;
    let (root, _) = somebody(&server, "root", Role::Admin).await;
    let evil = "=HYPERLINK(\"http://evil\")";
    write(&server, "test.evil", Some(evil), Some(json!({ "reason": "a;=1+1;\r\n\"b\", c" }))).await;
    write(&server, "test.minus", Some("-ann"), Some(json!(-5))).await;
    write(&server, "test.plain", Some("ann"), None).await;
    let answer = file(&server, "action=test.", &root, "camel").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.header("content-type").unwrap().starts_with("text/csv"));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"audit.csv\""));
    let rows = table(&answer.text);
    let head = ["id", "at", "action", "actorId", "actorName", "targetType", "targetId", "ip", "details"];
    assert_eq!((rows.len(), rows[0].as_slice()), (4, head.map(str::to_owned).as_slice()));
    let column = |number: usize| rows[1..].iter().map(move |row| row[number].as_str()).collect::<Vec<_>>();
    assert_eq!(column(2), ["test.plain", "test.minus", "test.evil"]);
    assert_eq!(column(4), ["ann", "'-ann", &format!("'{evil}")]);
    assert_eq!((column(7)[0], column(8)[0], column(8)[1]), ("2001:db8::1", "", "'-5"));
    // A text as it was, without what another separator would cut.
    let detail: Value = serde_json::from_str(column(8)[2]).unwrap();
    assert_eq!(detail, json!({ "reason": "a;=1+1;\r\n\"b\", c" }));
    assert!(!column(8)[2].contains(';'));
    for row in &rows {
        assert!(row.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])), "{row:?}");
    }
    let snake = file(&server, "action=test.", &root, "snake").await;
    assert_eq!(table(&snake.text)[0][3..5], ["actor_id".to_owned(), "actor_name".to_owned()]);
    server.running.stop().await;
}

#[tokio::test]
async fn a_file_of_lines_has_all_of_them_once_and_in_order() {
    let server = TestServer::start(&[]).await;
    let (root, _) = somebody(&server, "root", Role::Admin).await;
    let pool = server.running.system().persistence().pool();
    // More than are read at once, many of one moment.
    let many = "INSERT INTO audit_log (id, actor_name, action, detail, timestamp)
                SELECT 'n' || n, 'ann', 'test.line', jsonb_build_object('fooBar', n),
                       '2026-01-01T00:00:00Z'::timestamptz + (n / 900) * interval '1 s'
                FROM generate_series(1, 1234) AS n";
    sqlx::query(many).execute(pool).await.unwrap();
    for (dialect, name) in [("camel", "actorName"), ("snake", "actor_name")] {
        let answer = file(&server, "format=ndjson&action=test.line", &root, dialect).await;
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"), "{}", answer.headers);
        let lines: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let found: Vec<_> = lines.iter().map(|line| line["details"]["fooBar"].as_u64().unwrap()).collect();
        assert_eq!(found, (1..=1234).rev().collect::<Vec<_>>());
        assert!(lines.iter().all(|line| line[name] == "ann"), "{dialect}");
    }
    // None at all is an empty file, and a table without rows has its head.
    assert_eq!(file(&server, "format=ndjson&actor=nobody", &root, "camel").await.text, "");
    assert_eq!(table(&file(&server, "actor=nobody", &root, "camel").await.text).len(), 1);
    assert_eq!(file(&server, "format=xlsx", &root, "camel").await.status, 400);
    assert_eq!(file(&server, "from=never", &root, "camel").await.status, 400);
    server.running.stop().await;
}
