//! What the daemons share at their edges: Kafka client, configuration with origins, logging, metrics, systemd.
//!
//! Nothing here decides anything about switches or flows. Each module is one edge of a process: it turns what the
//! outside says into values for the machines, and the machines' values into what the outside wants.

pub mod config;
pub mod health;
pub mod kafka;
pub mod logging;
pub mod metrics_http;
pub mod notify;
pub mod process;
pub mod shutdown;

/// Whole milliseconds of the wall clock since 1970. For epochs and for a broker that tells no time; never to be
/// compared with another host's clock.
pub fn wall_clock_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
