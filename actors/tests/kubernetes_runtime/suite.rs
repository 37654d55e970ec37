//! What every runtime must do.

use devpocket_actors::runtime::Runtime;

use crate::place::{Place, spec};
use crate::runtime_suite as suite;

#[tokio::test]
async fn the_home_outlives_a_stop() {
    let place = Place::new("the_home_outlives_a_stop").await;
    place.runtime.check().await.unwrap();
    suite::the_home_outlives_a_stop(&place.runtime, &spec("keep")).await;
}

#[tokio::test]
async fn ensure_may_be_repeated() {
    let place = Place::new("ensure_may_be_repeated").await;
    suite::ensure_may_be_repeated(&place.runtime, &spec("twice")).await;
}

#[tokio::test]
async fn variables_reach_the_shell() {
    let place = Place::new("variables_reach_the_shell").await;
    suite::variables_reach_the_shell(&place.runtime, &spec("vars")).await;
}

#[tokio::test]
async fn a_failing_startup_command_stops_nothing() {
    let place = Place::new("a_failing_startup_command_stops_nothing").await;
    suite::a_failing_startup_command_stops_nothing(&place.runtime, &spec("startup")).await;
}

#[tokio::test]
async fn stats_are_shares() {
    let place = Place::new("stats_are_shares").await;
    suite::stats_are_shares(&place.runtime, &spec("stats")).await;
}

#[tokio::test]
async fn a_port_is_forwarded() {
    let place = Place::new("a_port_is_forwarded").await;
    // A pod has a network of its own: any port will do.
    let serve = "python3 -c 'import socket; s = socket.create_server((\"127.0.0.1\", 8123)); \
                 c = s.accept()[0]; c.sendall(b\"hello from inside\\n\")' >/dev/null 2>&1 </dev/null & disown";
    suite::a_port_is_forwarded(&place.runtime, &spec("port"), 8123, serve).await;
}

#[tokio::test]
async fn delete_removes_all_of_it_alone() {
    let place = Place::new("delete_removes_all_of_it_alone").await;
    suite::delete_removes_all_of_it_alone(&place.runtime, &spec("one"), &spec("other")).await;
}

#[tokio::test]
async fn hostile_ids_are_refused() {
    let place = Place::new("hostile_ids_are_refused").await;
    let before = place.requests();
    suite::hostile_ids_are_refused(&place.runtime).await;
    assert!(place.requests() <= before + 4, "the cluster is not asked (but by its two watches)");
}
