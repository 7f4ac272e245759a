//! What an operator sets about a router. `etc/router.toml` shows every key with its reason.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skerry_bus::Region;
use skerry_io::config::Settings;
use skerry_io::kafka::KafkaSettings;
use skerry_io::logging::LogSettings;
use skerry_io::metrics_http::{MetricsSettings, check_listen};
use skerry_monitor::{Threshold, fleet};
use skerry_router_core::presence::{self, Failback, RegionConfig};
use skerry_router_core::sync;

use crate::machine;
use crate::store::Location;

/// The configuration of a router.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouterConfig {
    /// Names of the regions, the preferred first. Must be set: a speaker of another region is reported and ignored.
    pub regions: Vec<String>,
    /// How to reach Kafka.
    pub kafka: KafkaSettings,
    /// Where state is kept.
    pub store: StoreSettings,
    /// The REST interface.
    pub northbound: NorthboundSettings,
    /// Prometheus, health and readiness.
    pub metrics: MetricsSettings,
    /// What is logged.
    pub log: LogSettings,
    /// Liveness of regions and presence of switches.
    pub presence: PresenceSettings,
    /// The network sync.
    pub sync: SyncSettings,
    /// Latency and SLA.
    pub sla: SlaSettings,
    /// Flow operations.
    pub operations: OperationSettings,
}

/// Where state is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// `sqlite` or `postgres`.
    pub kind: String,
    /// The file, for `sqlite`.
    pub path: PathBuf,
    /// The database, for `postgres`.
    pub url: String,
}

impl StoreSettings {
    /// Which database that is.
    pub fn location(&self) -> Location {
        match self.kind.as_str() {
            "postgres" => Location::Postgres(self.url.clone()),
            _ => Location::File(self.path.clone()),
        }
    }

    /// For people: without what stands before the host, which may be a password.
    pub fn shown(&self) -> String {
        match self.location() {
            Location::File(path) => path.display().to_string(),
            Location::Postgres(url) => {
                let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
                let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
                format!("postgres://{}", host.split('?').next().unwrap_or(host))
            }
        }
    }
}

/// The REST interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NorthboundSettings {
    /// `IP:PORT`; port 0 is a free one, which the log tells.
    pub listen: String,
    /// Needed to listen anywhere but on loopback: whoever reaches the address may change the network.
    pub allow_unauthenticated: bool,
}

/// Liveness of regions and presence of switches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PresenceSettings {
    /// A region silent for longer than this is lost, milliseconds.
    pub region_silence_ms: u64,
    /// `sticky` or `preferred`.
    pub failback: String,
    /// With `preferred`: how long the preferred region must reach a switch without a break first, milliseconds.
    pub failback_hold_ms: u64,
    /// A switch that nobody reaches is forgotten after this, seconds.
    pub forget_s: u64,
}

/// The network sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyncSettings {
    /// Time between two dumps of all regions, seconds.
    pub interval_s: u64,
}

/// Latency and SLA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlaSettings {
    /// How long a new grade must hold before it counts, milliseconds.
    pub window_ms: u64,
    /// Hysteresis around the limits, a fraction of them.
    pub threshold: f64,
    /// A link's figure is valid for this long, milliseconds.
    pub link_expiry_ms: u64,
}

/// Flow operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperationSettings {
    /// How long the switches may take for one stage, milliseconds.
    pub stage_ms: u64,
    /// How long packets on an old path are given at the least, milliseconds.
    pub drain_min_ms: u64,
}

impl Default for RouterConfig {
    fn default() -> Self {
        RouterConfig {
            regions: Vec::new(),
            kafka: KafkaSettings::default(),
            store: StoreSettings::default(),
            northbound: NorthboundSettings::default(),
            metrics: MetricsSettings {
                listen: "127.0.0.1:9654".into(),
                ..MetricsSettings::default()
            },
            log: LogSettings::default(),
            presence: PresenceSettings::default(),
            sync: SyncSettings::default(),
            sla: SlaSettings::default(),
            operations: OperationSettings::default(),
        }
    }
}

impl Default for StoreSettings {
    fn default() -> Self {
        StoreSettings {
            kind: "sqlite".into(),
            url: String::new(),
            path: "/var/lib/skerry-router/router.db".into(),
        }
    }
}

impl Default for NorthboundSettings {
    fn default() -> Self {
        NorthboundSettings {
            listen: "127.0.0.1:8080".into(),
            allow_unauthenticated: false,
        }
    }
}

impl Default for PresenceSettings {
    fn default() -> Self {
        PresenceSettings {
            region_silence_ms: 1_000,
            failback: "sticky".into(),
            failback_hold_ms: 30_000,
            forget_s: 24 * 3600,
        }
    }
}

impl Default for SyncSettings {
    fn default() -> Self {
        SyncSettings { interval_s: 60 }
    }
}

impl Default for SlaSettings {
    fn default() -> Self {
        SlaSettings {
            window_ms: 30_000,
            threshold: 0.05,
            link_expiry_ms: 10_000,
        }
    }
}

impl Default for OperationSettings {
    fn default() -> Self {
        OperationSettings {
            stage_ms: 30_000,
            drain_min_ms: 2_000,
        }
    }
}

impl Settings for RouterConfig {
    const DAEMON: &'static str = "skerry-router";
    const ENVIRONMENT: &'static str = "SKERRY_ROUTER";
    const SECRETS: &'static [&'static str] = &[];

    fn check(&self) -> Vec<(String, String)> {
        let mut wrong = self.kafka.check("kafka");
        wrong.extend(self.metrics.check("metrics"));
        wrong.extend(self.log.check("log"));
        let mut say = |path: &str, cause: String| wrong.push((path.to_owned(), cause));
        if self.regions.is_empty() {
            say(
                "regions",
                "at least one region is needed, such as [\"east\", \"west\"]".into(),
            );
        }
        let mut seen = BTreeSet::new();
        for (at, name) in self.regions.iter().enumerate() {
            if let Err(error) = name.parse::<Region>() {
                say(&format!("regions[{at}]"), error.to_string());
            }
            if !seen.insert(name) {
                say(&format!("regions[{at}]"), format!("{name:?} is there twice"));
            }
        }
        match self.store.kind.as_str() {
            "sqlite" if self.store.path.as_os_str().is_empty() => say("store.path", "a file is needed".into()),
            "sqlite" if !self.store.url.is_empty() => {
                say("store.url", "it is for store.kind = \"postgres\"".into());
            }
            "sqlite" => {}
            "postgres"
                if !["postgres://", "postgresql://"]
                    .iter()
                    .any(|s| self.store.url.starts_with(s)) =>
            {
                say(
                    "store.url",
                    "a URL such as postgres://user@host/database is needed".into(),
                );
            }
            "postgres" => {}
            other => say("store.kind", format!("{other:?} is not `sqlite` or `postgres`")),
        }
        if let Err(cause) = check_listen(&self.northbound.listen, self.northbound.allow_unauthenticated) {
            say("northbound.listen", cause);
        }
        if !matches!(self.presence.failback.as_str(), "sticky" | "preferred") {
            say(
                "presence.failback",
                format!("{:?} is not `sticky` or `preferred`", self.presence.failback),
            );
        }
        for (path, value, least, most) in [
            (
                "presence.region_silence_ms",
                self.presence.region_silence_ms,
                300,
                600_000,
            ),
            (
                "presence.failback_hold_ms",
                self.presence.failback_hold_ms,
                0,
                86_400_000,
            ),
            ("presence.forget_s", self.presence.forget_s, 1, 31_536_000),
            ("sync.interval_s", self.sync.interval_s, 1, 86_400),
            ("sla.window_ms", self.sla.window_ms, 100, 86_400_000),
            ("sla.link_expiry_ms", self.sla.link_expiry_ms, 100, 3_600_000),
            ("operations.stage_ms", self.operations.stage_ms, 1_000, 600_000),
            ("operations.drain_min_ms", self.operations.drain_min_ms, 0, 600_000),
        ] {
            if !(least..=most).contains(&value) {
                say(path, format!("{value} is not in {least} to {most}"));
            }
        }
        if let Err(error) = Threshold::from_fraction(self.sla.threshold) {
            say("sla.threshold", error.to_string());
        }
        wrong
    }
}

impl RouterConfig {
    /// What the machine is told. The configuration was checked.
    ///
    /// # Errors
    /// A value that [`Settings::check`] would have refused.
    pub fn machine(&self, owner_epoch: u64) -> anyhow::Result<machine::Config> {
        let mut regions = Vec::new();
        for (at, name) in self.regions.iter().enumerate() {
            regions.push(RegionConfig {
                region: name.parse()?,
                preference: at as u32,
            });
        }
        let mut presence = presence::Config::new(regions, self.kafka.partitions);
        presence.owner_epoch = owner_epoch;
        presence.forget = Duration::from_secs(self.presence.forget_s);
        presence.liveness.silence = Duration::from_millis(self.presence.region_silence_ms);
        if self.presence.failback == "preferred" {
            let hold_down = Duration::from_millis(self.presence.failback_hold_ms);
            presence.failback = Failback::Preferred { hold_down };
        }
        Ok(machine::Config {
            presence,
            partitions: self.kafka.partitions,
            owner_epoch,
            sync: sync::Config {
                interval: Duration::from_secs(self.sync.interval_s),
                on: true,
            },
            fleet: fleet::Config {
                window: Duration::from_millis(self.sla.window_ms),
                threshold: Threshold::from_fraction(self.sla.threshold)?,
                link_expiry: Duration::from_millis(self.sla.link_expiry_ms),
                ..fleet::Config::default()
            },
            flows: machine::FlowsConfig {
                stage: Duration::from_millis(self.operations.stage_ms),
                drain_min: Duration::from_millis(self.operations.drain_min_ms),
            },
            version: env!("CARGO_PKG_VERSION"),
        })
    }
}
