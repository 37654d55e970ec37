use std::process::Command;

use devpocket_actors::persistence::embedded::{Options, PrivatePostgres};

fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

async fn answers(server: &PrivatePostgres) -> bool {
    let pool = devpocket_actors::persistence::connect::pool(server.connect_options("app"), 1);
    let ready = devpocket_actors::persistence::connect::is_ready(&pool).await;
    pool.close().await;
    ready
}

/// A directory the server's user can, or cannot, enter.
fn directory(mode: u32) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    directory
}

async fn lives_and_is_stopped(directory: &tempfile::TempDir) {
    let server = PrivatePostgres::start(Options::fast(directory.path())).await.unwrap();
    server.ensure_database("app").await.unwrap();
    server.ensure_database("app").await.unwrap();
    assert!(answers(&server).await);
    let pid = server.pid().unwrap();
    server.stop().await.unwrap();
    assert!(!alive(pid));

    // Its data is there the next time, and dropping it leaves no process.
    let server = PrivatePostgres::start(Options::fast(directory.path())).await.unwrap();
    assert!(answers(&server).await);
    let pid = server.pid().unwrap();
    drop(server);
    assert!(!alive(pid));
}

#[tokio::test]
async fn starts_stops_and_keeps_its_data() {
    lives_and_is_stopped(&directory(0o755)).await;
}

/// Only meaningful as root, harmless otherwise: a clone below /root.
#[tokio::test]
async fn works_below_a_directory_its_user_may_not_enter() {
    lives_and_is_stopped(&directory(0o700)).await;
}

#[tokio::test]
async fn a_server_left_running_is_taken_over_and_stopped_all_the_same() {
    let directory = directory(0o755);
    let first = PrivatePostgres::start(Options::fast(directory.path())).await.unwrap();
    first.ensure_database("app").await.unwrap();
    let pid = first.pid().unwrap();
    // As if the owner had been killed without the kernel's signal reaching the server.
    std::mem::forget(first);
    let second = PrivatePostgres::start(Options::fast(directory.path())).await.unwrap();
    assert_eq!(second.pid(), Some(pid));
    assert!(answers(&second).await);
    second.stop().await.unwrap();
    // The thread of the first one reaps it.
    crate::support::until("the server has ended", || async { !alive(pid) }).await;
}

#[tokio::test]
async fn a_lock_file_left_by_a_kill_is_no_obstacle() {
    let directory = directory(0o755);
    let server = PrivatePostgres::start(Options::fast(directory.path())).await.unwrap();
    server.ensure_database("app").await.unwrap();
    let lock_file = directory.path().join("data/postmaster.pid");
    let text = std::fs::read_to_string(&lock_file).unwrap();
    server.stop().await.unwrap();
    // The number now belongs to somebody else: to us.
    let pid = std::process::id().to_string();
    let stale = text.lines().enumerate().map(|(n, line)| if n == 0 { &pid } else { line });
    std::fs::write(&lock_file, stale.collect::<Vec<_>>().join("\n")).unwrap();
    let server = PrivatePostgres::start(Options::fast(directory.path())).await.unwrap();
    assert!(answers(&server).await);
}

/// Runs as the process that is to be killed.
#[tokio::test]
#[ignore = "started by `no_server_outlives_a_killed_owner`"]
async fn owner_that_is_killed() {
    let directory = std::env::var("DEVPOCKET_TEST_DIRECTORY").unwrap();
    let server = PrivatePostgres::start(Options::fast(&directory)).await.unwrap();
    std::fs::write(format!("{directory}/ready.new"), server.pid().unwrap().to_string()).unwrap();
    std::fs::rename(format!("{directory}/ready.new"), format!("{directory}/ready")).unwrap();
    std::future::pending::<()>().await;
}

async fn is_killed_with_its_owner(directory: &tempfile::TempDir) {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "embedded::owner_that_is_killed", "--ignored", "--nocapture"])
        .env("DEVPOCKET_TEST_DIRECTORY", directory.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let ready = directory.path().join("ready");
    crate::support::until("the owner is ready", || async { ready.exists() }).await;
    let pid: i32 = std::fs::read_to_string(&ready).unwrap().parse().unwrap();
    assert!(alive(pid));
    owner.kill().unwrap();
    owner.wait().unwrap();
    crate::support::until("the server has ended", || async { !alive(pid) }).await;
    // And what it left behind is no obstacle.
    let server = PrivatePostgres::start(Options::fast(directory.path())).await.unwrap();
    assert_ne!(server.pid(), Some(pid));
}

#[tokio::test]
async fn no_server_outlives_a_killed_owner() {
    is_killed_with_its_owner(&directory(0o755)).await;
}

#[tokio::test]
async fn no_server_outlives_a_killed_owner_out_of_reach() {
    is_killed_with_its_owner(&directory(0o700)).await;
}
