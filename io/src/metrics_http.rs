//! Metrics and health over HTTP: `/metrics` (Prometheus), `/healthz` (the main loop turns), `/readyz` (it does its work).
//!
//! It has no users and no passwords, so it listens on loopback unless the configuration says otherwise, twice.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::health::Health;
use crate::process::usage;

/// Limits of duration histograms in seconds: from a turn of a loop to an operation's deadline; finer around 2 ms, which is what
/// echoes and the discovery schedule are held against.
const SECONDS: &[f64] = &[
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0015, 0.002, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];
/// How often samples become histograms. Until then each takes 8 bytes, and there may be thousands a second.
const UPKEEP: Duration = Duration::from_secs(1);

/// The `[metrics]` section of both daemons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSettings {
    /// Where to listen; empty: nowhere.
    pub listen: String,
    /// Needed to listen anywhere but on loopback: whoever reaches the address can read the metrics.
    pub allow_unauthenticated: bool,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        MetricsSettings {
            listen: "127.0.0.1:9653".to_owned(),
            allow_unauthenticated: false,
        }
    }
}

impl MetricsSettings {
    /// What is wrong with the section that stands at path `at`.
    pub fn check(&self, at: &str) -> Vec<(String, String)> {
        if self.listen.is_empty() {
            return Vec::new();
        }
        match check_listen(&self.listen, self.allow_unauthenticated) {
            Ok(_) => Vec::new(),
            Err(cause) => vec![(crate::config::join(at, "listen"), cause)],
        }
    }
}

/// The address to listen on, if that is allowed without users: loopback, or any if the operator says so.
///
/// # Errors
/// Why not, for the operator.
pub fn check_listen(listen: &str, allow_unauthenticated: bool) -> Result<SocketAddr, String> {
    let address: SocketAddr = listen.parse().map_err(|_| format!("{listen:?} is not IP:PORT"))?;
    if address.ip().is_loopback() || allow_unauthenticated {
        Ok(address)
    } else {
        Err(format!(
            "{listen} is not loopback and there are no users yet: set allow_unauthenticated = true to listen there"
        ))
    }
}

/// The recorder of this process: everything counted with the `metrics` crate from now on.
#[derive(Debug, Clone)]
pub struct Recorder(PrometheusHandle);

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served").finish_non_exhaustive()
    }
}

/// What the handlers share.
#[derive(Clone)]
struct Served {
    recorder: Recorder,
    health: Health,
}

impl Recorder {
    /// Begin to record.
    ///
    /// # Errors
    /// There is a recorder in this process already.
    pub fn install() -> anyhow::Result<Recorder> {
        Ok(Recorder(
            PrometheusBuilder::new().set_buckets(SECONDS)?.install_recorder()?,
        ))
    }

    /// The text of `/metrics`.
    pub fn render(&self) -> String {
        let mut text = self.0.render();
        let used = usage();
        // Names that every Prometheus client has for these.
        for (name, kind, value) in [
            ("process_cpu_seconds_total", "counter", used.cpu_seconds.to_string()),
            (
                "process_resident_memory_bytes",
                "gauge",
                used.resident_bytes.to_string(),
            ),
            ("process_open_fds", "gauge", used.open_fds.to_string()),
        ] {
            let _ = write!(text, "# TYPE {name} {kind}\n{name} {value}\n\n");
        }
        text
    }

    /// The three pages, for whoever serves more on the same listener.
    pub fn routes(&self, health: Health) -> axum::Router {
        axum::Router::new()
            .route("/metrics", get(metrics_page))
            .route("/healthz", get(alive_page))
            .route("/readyz", get(ready_page))
            .with_state(Served {
                recorder: self.clone(),
                health,
            })
    }

    /// Listen and serve until the runtime ends. Gives the address, which has a port of its own choice for port 0;
    /// none if the settings say nowhere.
    ///
    /// # Errors
    /// The address is not allowed or taken.
    pub async fn serve(&self, settings: &MetricsSettings, health: Health) -> anyhow::Result<Option<SocketAddr>> {
        let handle = self.0.clone();
        tokio::spawn(async move {
            let mut every = tokio::time::interval(UPKEEP);
            loop {
                every.tick().await;
                handle.run_upkeep();
            }
        });
        if settings.listen.is_empty() {
            return Ok(None);
        }
        let address = check_listen(&settings.listen, settings.allow_unauthenticated).map_err(anyhow::Error::msg)?;
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "metrics are readable by everybody who reaches this address");
        }
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| anyhow::anyhow!("metrics cannot listen on {address}: {error}"))?;
        let address = listener.local_addr()?;
        let routes = self.routes(health);
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "metrics are no longer served");
            }
        });
        Ok(Some(address))
    }
}

async fn metrics_page(State(served): State<Served>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        served.recorder.render(),
    )
}

async fn alive_page(State(served): State<Served>) -> (StatusCode, String) {
    match served.health.stands_still(Instant::now()) {
        None => (StatusCode::OK, "alive\n".to_owned()),
        Some(age) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the main loop has been standing still for {} ms\n", age.as_millis()),
        ),
    }
}

async fn ready_page(State(served): State<Served>) -> (StatusCode, String) {
    match served.health.why_not_ready() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("it answers");
        text
    }

    #[tokio::test]
    async fn pages_tell_metrics_and_readiness() {
        let recorder = Recorder::install().expect("the only one in this process");
        let health = Health::default();
        let settings = MetricsSettings {
            listen: "127.0.0.1:0".into(),
            ..MetricsSettings::default()
        };
        let address = recorder
            .serve(&settings, health.clone())
            .await
            .expect("serves")
            .expect("listens");
        metrics::counter!("skerry_test_total", "reason" => "why").increment(3);
        assert!(
            get(address, "/metrics")
                .await
                .contains("skerry_test_total{reason=\"why\"} 3")
        );
        assert!(
            get(address, "/metrics")
                .await
                .contains("\nprocess_resident_memory_bytes ")
        );
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        health.not_ready("kafka cannot be reached");
        let page = get(address, "/readyz").await;
        assert!(page.starts_with("HTTP/1.1 503"), "{page}");
        assert!(page.ends_with("not ready: kafka cannot be reached\n"), "{page}");
        health.ready();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/other").await.starts_with("HTTP/1.1 404"));
    }

    #[test]
    fn another_address_than_loopback_needs_a_word() {
        let mut settings = MetricsSettings {
            listen: "0.0.0.0:9653".into(),
            ..MetricsSettings::default()
        };
        assert_eq!(settings.check("metrics")[0].0, "metrics.listen");
        settings.allow_unauthenticated = true;
        assert_eq!(settings.check("metrics"), []);
        settings.listen = "localhost".into();
        assert_eq!(settings.check("metrics").len(), 1);
        assert_eq!(
            MetricsSettings {
                listen: String::new(),
                ..settings
            }
            .check("metrics"),
            []
        );
    }
}
