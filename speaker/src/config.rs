//! What an operator sets about a speaker. `etc/speaker.toml` shows every key with its reason.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skerry_bus::{Epoch, Mode, Region};
use skerry_io::config::Settings;
use skerry_io::kafka::KafkaSettings;
use skerry_io::logging::LogSettings;
use skerry_io::metrics_http::MetricsSettings;
use skerry_speaker_core as core;

use crate::key;
use crate::tls::{Tls, TlsSettings};

/// Largest number of a group, and of a meter (OpenFlow 1.3.5 sections 7.3.4.2 and 7.3.4.3).
const OFPG_MAX: u32 = 0xffff_ff00;
const OFPM_MAX: u32 = 0xffff_0000;
/// What systemd makes of `StateDirectory=` of the unit.
const STATE_DIR: &str = "/var/lib/skerry-speaker";

/// The configuration of a speaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpeakerConfig {
    /// The region it speaks for. Must be set; routers list it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// `RW`: the region may be made active for a switch. `RO`: never, it only reads.
    pub mode: Mode,
    /// What is done with a switch that has no roles.
    pub roles: RoleSettings,
    /// File with the network key, 64 hex digits. This or `network_key` must be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_key_file: Option<PathBuf>,
    /// The network key itself; for trials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_key: Option<String>,
    /// Folder of what the speaker keeps on disk: desired states and answers. Empty: nothing is kept.
    pub state_dir: PathBuf,
    /// Where switches connect to. At least one must be set.
    pub listen: Vec<ListenSettings>,
    /// Certificates, for all listeners that take TLS.
    pub tls: TlsSettings,
    /// How to reach Kafka.
    pub kafka: KafkaSettings,
    /// How often things are done.
    pub intervals: IntervalSettings,
    /// How long and how many at most.
    pub limits: LimitSettings,
    /// How changes are made on switches.
    pub apply: ApplySettings,
    /// How many packets of one switch are looked at.
    pub packets: PacketSettings,
    /// Prometheus, health and readiness.
    pub metrics: MetricsSettings,
    /// What is logged.
    pub log: LogSettings,
}

/// What is done with a switch that answers OFPT_ROLE_REQUEST with an error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleSettings {
    /// It is refused.
    #[default]
    Master,
    /// It is taken as EQUAL.
    Equal,
}

impl RoleSettings {
    fn of_machine(self) -> core::Roles {
        match self {
            RoleSettings::Master => core::Roles::Master,
            RoleSettings::Equal => core::Roles::Equal,
        }
    }
}

/// An address for switches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenSettings {
    /// `IP:PORT`; port 0 is a free one, which the log tells.
    pub address: String,
    /// Take plain TCP instead of TLS: whoever reaches the address can pose as any switch.
    pub plaintext: bool,
}

/// When bundles are used, for switches that take them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BundleSetting {
    /// A change of at most 1,000 rules and groups is one bundle; a larger one goes in stages.
    #[default]
    Auto,
    /// Everything goes in stages.
    Never,
    /// A larger change is several bundles.
    Always,
}

/// How changes are made on switches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApplySettings {
    /// When bundles are used.
    pub bundles: BundleSetting,
    /// Groups from 1 to this are ours.
    pub our_groups_max: u32,
    /// Meters from 1 to this are ours.
    pub our_meters_max: u32,
}

impl Default for ApplySettings {
    fn default() -> Self {
        let ours = core::Ours::default();
        ApplySettings {
            bundles: BundleSetting::default(),
            our_groups_max: ours.group_max,
            our_meters_max: ours.meter_max,
        }
    }
}

/// How often things are done, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntervalSettings {
    /// Heartbeats into every partition.
    pub heartbeat_ms: u64,
    /// Discovery packets per port.
    pub discovery_ms: u64,
    /// Echo requests to a switch.
    pub echo_ms: u64,
    /// Packets that measure the control channel's own round trip.
    pub control_rtt_ms: u64,
}

/// How long and how many at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Echo requests in a row that may stay unanswered.
    pub echo_missed: u32,
    /// From the connection to the settled role, TLS included, milliseconds.
    pub handshake_ms: u64,
    /// A barrier reply or a part of a dump, milliseconds.
    pub barrier_ms: u64,
    /// The living session's answer when a second one claims its switch id, milliseconds.
    pub challenge_ms: u64,
    /// Connections at a time.
    pub connections: usize,
    /// Connections from one address at a time.
    pub connections_per_source: usize,
    /// TLS handshakes at a time.
    pub tls_handshakes: usize,
    /// Bytes that wait to be written to one switch.
    pub write_queue_bytes: usize,
    /// How long a switch may take no byte while some wait, milliseconds.
    pub write_stall_ms: u64,
    /// Bytes of desired states on disk.
    pub state_bytes: u64,
    /// For how long silence of Kafka, or of the router, means nothing, milliseconds.
    pub lease_ms: u64,
    /// How long a rebooted switch must show no number before it is taken without the router, milliseconds.
    pub autonomy_hold_ms: u64,
}

/// How many packets of one switch are looked at a second; a burst of as many after a pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PacketSettings {
    /// Packets that are not discovery packets, by one port.
    pub other_per_port: u32,
    /// The same, of a whole switch.
    pub other_per_switch: u32,
    /// Discovery packets by one port, forged ones included.
    pub discovery_per_port: u32,
    /// The same, of a whole switch.
    pub discovery_per_switch: u32,
}

impl Default for SpeakerConfig {
    fn default() -> Self {
        SpeakerConfig {
            region: None,
            mode: Mode::ReadWrite,
            roles: RoleSettings::Master,
            network_key_file: None,
            network_key: None,
            state_dir: PathBuf::from(STATE_DIR),
            listen: Vec::new(),
            tls: TlsSettings::default(),
            kafka: KafkaSettings::default(),
            intervals: IntervalSettings::default(),
            limits: LimitSettings::default(),
            apply: ApplySettings::default(),
            packets: PacketSettings::default(),
            metrics: MetricsSettings::default(),
            log: LogSettings::default(),
        }
    }
}

impl Default for IntervalSettings {
    fn default() -> Self {
        IntervalSettings {
            heartbeat_ms: 250,
            discovery_ms: 1_000,
            echo_ms: 5_000,
            control_rtt_ms: 1_000,
        }
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        LimitSettings {
            echo_missed: 3,
            handshake_ms: 5_000,
            barrier_ms: 30_000,
            challenge_ms: 2_000,
            connections: 4_096,
            connections_per_source: 2_048,
            tls_handshakes: 64,
            write_queue_bytes: 4 * 1024 * 1024,
            write_stall_ms: 10_000,
            state_bytes: 256 * 1024 * 1024,
            lease_ms: 1_000,
            autonomy_hold_ms: 5_000,
        }
    }
}

impl Default for PacketSettings {
    fn default() -> Self {
        PacketSettings {
            other_per_port: 100,
            other_per_switch: 500,
            discovery_per_port: 100,
            discovery_per_switch: 20_000,
        }
    }
}

/// Discovery packets that one port may well get in an interval: its own back from the far switch, its neighbour's, and those
/// of a second region that has just become active; twice that, because they come in no order.
const DISCOVERY_PER_INTERVAL: u64 = 6;

impl PacketSettings {
    /// What the machine is told: a second's worth at once, so that a bucket of a small rate still takes a small burst.
    fn rates(&self) -> core::PacketRates {
        let rate = |per_second| core::Rate {
            per_second,
            burst: per_second,
        };
        core::PacketRates {
            other_port: rate(self.other_per_port),
            other_switch: rate(self.other_per_switch),
            discovery_port: rate(self.discovery_per_port),
            discovery_switch: rate(self.discovery_per_switch),
        }
    }
}

impl Settings for SpeakerConfig {
    const DAEMON: &'static str = "skerry-speaker";
    const ENVIRONMENT: &'static str = "SKERRY_SPEAKER";
    const SECRETS: &'static [&'static str] = &["network_key"];

    fn check(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut fault = |path: &str, cause: String| faults.push((path.to_owned(), cause));
        if self.region.is_none() {
            fault(
                "region",
                "must be set: the name under which routers list this region".to_owned(),
            );
        }
        if let Err((path, cause)) = self.key() {
            fault(path, cause);
        }
        if self.listen.is_empty() {
            fault(
                "listen",
                "must be set: at least one [[listen]] with an address".to_owned(),
            );
        }
        for (n, listen) in self.listen.iter().enumerate() {
            if let Err(cause) = listen.address() {
                fault(&format!("listen[{n}].address"), cause);
            }
        }
        if self.takes_tls()
            && let Err(faults) = Tls::new(&self.tls)
        {
            for (setting, cause) in faults {
                fault(&format!("tls.{setting}"), cause);
            }
        }
        let i = &self.intervals;
        let l = &self.limits;
        let p = &self.packets;
        for (path, value, min, max) in [
            ("intervals.heartbeat_ms", i.heartbeat_ms, 10, 10_000),
            ("intervals.discovery_ms", i.discovery_ms, 50, 60_000),
            ("intervals.echo_ms", i.echo_ms, 100, 60_000),
            ("intervals.control_rtt_ms", i.control_rtt_ms, 50, 60_000),
            ("limits.echo_missed", u64::from(l.echo_missed), 1, 100),
            ("limits.handshake_ms", l.handshake_ms, 100, 300_000),
            ("limits.barrier_ms", l.barrier_ms, 100, 300_000),
            ("limits.challenge_ms", l.challenge_ms, 50, 60_000),
            (
                "apply.our_groups_max",
                u64::from(self.apply.our_groups_max),
                1,
                u64::from(OFPG_MAX),
            ),
            (
                "apply.our_meters_max",
                u64::from(self.apply.our_meters_max),
                1,
                u64::from(OFPM_MAX),
            ),
            ("limits.connections", l.connections as u64, 1, 100_000),
            (
                "limits.connections_per_source",
                l.connections_per_source as u64,
                1,
                100_000,
            ),
            // A frame is at most 64 KiB, and one always has to fit.
            (
                "limits.write_queue_bytes",
                l.write_queue_bytes as u64,
                128 * 1024,
                1024 * 1024 * 1024,
            ),
            ("limits.tls_handshakes", l.tls_handshakes as u64, 1, 10_000),
            ("tls.look_ms", self.tls.look_ms, 100, 3_600_000),
            ("limits.write_stall_ms", l.write_stall_ms, 100, 300_000),
            ("packets.other_per_port", p.other_per_port.into(), 1, 1_000_000),
            ("packets.other_per_switch", p.other_per_switch.into(), 1, 1_000_000),
            ("packets.discovery_per_port", p.discovery_per_port.into(), 1, 1_000_000),
            (
                "packets.discovery_per_switch",
                p.discovery_per_switch.into(),
                1,
                1_000_000,
            ),
            ("limits.lease_ms", l.lease_ms, 100, 60_000),
            ("limits.autonomy_hold_ms", l.autonomy_hold_ms, 100, 3_600_000),
            // One switch's state has to fit; see how large a command can be.
            (
                "limits.state_bytes",
                l.state_bytes,
                64 * 1024 * 1024,
                64 * 1024 * 1024 * 1024,
            ),
        ] {
            if !(min..=max).contains(&value) {
                fault(path, format!("{value} is not in {min} to {max}"));
            }
        }
        let needed = (DISCOVERY_PER_INTERVAL * 1_000).div_ceil(i.discovery_ms.max(1));
        // An interval that is wrong itself is named above.
        if i.discovery_ms >= 50 && (1..needed).contains(&u64::from(p.discovery_per_port)) {
            faults.push((
                "packets.discovery_per_port".to_owned(),
                format!(
                    "{} is below {needed}, which a port needs at intervals.discovery_ms = {}: links would be lost",
                    p.discovery_per_port, i.discovery_ms
                ),
            ));
        }
        faults.extend(self.kafka.check("kafka"));
        faults.extend(self.metrics.check("metrics"));
        faults.extend(self.log.check("log"));
        faults
    }
}

impl ListenSettings {
    /// Where to listen.
    ///
    /// # Errors
    /// Why it is no address.
    pub fn address(&self) -> Result<SocketAddr, String> {
        self.address
            .parse()
            .map_err(|_| format!("{:?} is not IP:PORT, such as 0.0.0.0:6653", self.address))
    }
}

impl SpeakerConfig {
    /// Whether a listener takes TLS.
    fn takes_tls(&self) -> bool {
        self.listen.iter().any(|listen| !listen.plaintext)
    }

    /// TLS; none if no listener takes it.
    ///
    /// # Errors
    /// What [`Settings::check`] tells.
    pub fn tls(&self) -> anyhow::Result<Option<Arc<Tls>>> {
        if !self.takes_tls() {
            return Ok(None);
        }
        match Tls::new(&self.tls) {
            Ok(tls) => Ok(Some(Arc::new(tls))),
            Err(faults) => {
                let faults = faults.iter().map(|(setting, cause)| format!("tls.{setting}: {cause}"));
                anyhow::bail!(faults.collect::<Vec<_>>().join("; "))
            }
        }
    }

    /// The network key.
    ///
    /// # Errors
    /// Path of the setting and why there is no key.
    pub fn key(&self) -> Result<[u8; 32], (&'static str, String)> {
        match (&self.network_key_file, &self.network_key) {
            (Some(path), None) => key::read(path).map_err(|cause| ("network_key_file", cause)),
            (None, Some(text)) => key::parse(text).map_err(|cause| ("network_key", cause)),
            (Some(_), Some(_)) => Err((
                "network_key",
                "network_key_file is set as well: only one can hold".to_owned(),
            )),
            (None, None) => Err((
                "network_key_file",
                "must be set: a file with 64 hex digits, the same in the whole network".to_owned(),
            )),
        }
    }

    /// Where something is kept on disk, if anything is.
    pub fn state_dir(&self) -> Option<&Path> {
        (!self.state_dir.as_os_str().is_empty()).then_some(&self.state_dir)
    }

    /// What the machine is told.
    ///
    /// # Errors
    /// What [`Settings::check`] tells.
    pub fn machine(&self, epoch: Epoch) -> anyhow::Result<core::Config> {
        let region = self
            .region
            .clone()
            .ok_or_else(|| anyhow::anyhow!("region must be set"))?;
        let key = self.key().map_err(|(path, cause)| anyhow::anyhow!("{path}: {cause}"))?;
        let ms = Duration::from_millis;
        Ok(core::Config {
            mode: self.mode,
            partitions: self.kafka.partitions,
            heartbeat: ms(self.intervals.heartbeat_ms),
            discovery: ms(self.intervals.discovery_ms),
            echo: ms(self.intervals.echo_ms),
            control_rtt: ms(self.intervals.control_rtt_ms),
            echo_missed_max: self.limits.echo_missed,
            handshake_max: ms(self.limits.handshake_ms),
            barrier_max: ms(self.limits.barrier_ms),
            challenge: ms(self.limits.challenge_ms),
            bundles: match self.apply.bundles {
                BundleSetting::Auto => core::BundleUse::Auto,
                BundleSetting::Never => core::BundleUse::Never,
                BundleSetting::Always => core::BundleUse::Always,
            },
            ours: core::Ours {
                group_max: self.apply.our_groups_max,
                meter_max: self.apply.our_meters_max,
            },
            connections_max: self.limits.connections,
            packets: self.packets.rates(),
            kept_bytes_max: self.limits.state_bytes,
            connections_per_source_max: self.limits.connections_per_source,
            roles: self.roles.of_machine(),
            lease: ms(self.limits.lease_ms),
            autonomy_hold: ms(self.limits.autonomy_hold_ms),
            ..core::Config::new(region, epoch, key)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_machine() {
        let config = SpeakerConfig {
            region: Some("east".parse().expect("a region")),
            network_key: Some("0f".repeat(31) + "00"),
            ..SpeakerConfig::default()
        };
        let told = config.machine(Epoch(1)).expect("all that must be set is set");
        let own = core::Config::new(told.region.clone(), Epoch(1), told.network_key);
        assert_eq!(
            (
                told.heartbeat,
                told.discovery,
                told.echo,
                told.echo_missed_max,
                told.control_rtt
            ),
            (
                own.heartbeat,
                own.discovery,
                own.echo,
                own.echo_missed_max,
                own.control_rtt
            )
        );
        assert_eq!(
            (
                told.handshake_max,
                told.barrier_max,
                told.challenge,
                told.connections_max,
                told.connections_per_source_max,
                told.partitions,
                told.kept_bytes_max,
                told.lease,
                told.autonomy_hold,
                told.roles
            ),
            (
                own.handshake_max,
                own.barrier_max,
                own.challenge,
                own.connections_max,
                own.connections_per_source_max,
                own.partitions,
                own.kept_bytes_max,
                own.lease,
                own.autonomy_hold,
                own.roles
            )
        );
    }

    #[test]
    fn everything_that_must_be_set_is_asked_for() {
        let paths: Vec<String> = SpeakerConfig::default()
            .check()
            .into_iter()
            .map(|(path, _)| path)
            .collect();
        assert_eq!(paths, ["region", "network_key_file", "listen", "kafka.bootstrap"]);
    }

    #[test]
    fn plain_tcp_is_taken_only_when_it_is_asked_for_and_tls_wants_its_files() {
        let about_tls = |plaintext: &[bool]| {
            let listen = plaintext.iter().map(|plaintext| ListenSettings {
                address: "0.0.0.0:6653".into(),
                plaintext: *plaintext,
            });
            let config = SpeakerConfig {
                listen: listen.collect(),
                ..SpeakerConfig::default()
            };
            let faults = config.check().into_iter();
            faults.filter(|(path, _)| path.starts_with("tls.")).count()
        };
        assert!(!ListenSettings::default().plaintext);
        assert_eq!(
            [about_tls(&[true]), about_tls(&[false]), about_tls(&[true, false])],
            [0, 3, 3]
        );
    }
}
