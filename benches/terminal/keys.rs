//! Keys and their echoes, as a client sees them.

use std::time::{Duration, Instant};

use devpocket::client::{Event, TerminalClient};

/// A program that echoes keys as they come.
pub const ECHO: &str = "stty raw -echo; printf 'REA%s' DY; exec cat";

/// Presses keys in a session that runs [`ECHO`]; how long each one's echo took, in microseconds.
pub async fn echoes(client: &mut TerminalClient, keys: usize, pause: Duration) -> Vec<f64> {
    let mut took = Vec::new();
    for _ in 0..keys {
        // Acknowledgements and statuses come between keys.
        let _ = tokio::time::timeout(pause, async {
            loop {
                client.next_event().await.unwrap();
            }
        })
        .await;
        let pressed = Instant::now();
        client.type_bytes(b"k");
        while !matches!(client.next_event().await.unwrap(), Event::Output { .. }) {}
        took.push(pressed.elapsed().as_secs_f64() * 1e6);
    }
    took
}
