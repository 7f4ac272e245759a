//! The configuration that is installed, and what the program says of wrong ones.

use std::process::{Command, Output};

use skerry_io::config::{Settings as _, load};
use skerry_speaker::config::{ListenSettings, SpeakerConfig};

#[path = "support/ca.rs"]
mod ca;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn etc() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc/speaker.toml")
}

/// A file that goes with the test.
struct File(std::path::PathBuf);

impl File {
    fn new(name: &str, text: &str) -> File {
        let path = std::env::temp_dir().join(format!("skerry-speaker-test-{name}-{}", std::process::id()));
        std::fs::write(&path, text).expect("a temporary file");
        File(path)
    }
    fn path(&self) -> &str {
        self.0.to_str().expect("a temporary folder with a plain name")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skerry-speaker"));
    command.args(arguments);
    for (name, value) in environment {
        command.env(format!("SKERRY_SPEAKER__{name}"), value);
    }
    command.output().expect("the program was built with this test")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_installed_file_shows_every_key_with_its_default() {
    let key = File::new("key", KEY);
    let ca = ca::Ca::new("installed");
    let files = ca.server("server", &["localhost"]);
    let environment = [
        ("NETWORK_KEY_FILE", key.path()),
        ("TLS__CERTIFICATE_FILE", files.certificate()),
        ("TLS__KEY_FILE", files.key()),
        ("TLS__CLIENT_CA_FILE", &ca.certificate()),
    ]
    .map(|(name, value)| (format!("SKERRY_SPEAKER__{name}"), value.to_owned()));
    let loaded = load::<SpeakerConfig>(Some(&etc()), environment).expect("nothing is wrong with it");
    let mut config = loaded.config;
    // What must be set has no default.
    assert_eq!(config.region.take().map(|r| r.to_string()).as_deref(), Some("east"));
    assert_eq!(
        std::mem::take(&mut config.listen),
        [ListenSettings {
            address: "0.0.0.0:6653".into(),
            plaintext: false
        }]
    );
    assert_eq!(std::mem::take(&mut config.kafka.bootstrap), "127.0.0.1:9092");
    assert!(config.network_key_file.take().is_some());
    for file in [
        &mut config.tls.certificate_file,
        &mut config.tls.key_file,
        &mut config.tls.client_ca_file,
    ] {
        assert!(file.take().is_some());
    }
    assert_eq!(config, SpeakerConfig::default());

    // Every key of the defaults stands in the file, and every property that is set on purpose is named there.
    let text = std::fs::read_to_string(etc()).expect("it is there");
    let written: toml::Table = text.parse().expect("it is TOML");
    fn missing(written: &toml::Table, defaults: &toml::Table, at: &str, out: &mut Vec<String>) {
        for (key, value) in defaults {
            match (written.get(key), value) {
                (None, _) => out.push(format!("{at}{key}")),
                (Some(toml::Value::Table(w)), toml::Value::Table(d)) => missing(w, d, &format!("{at}{key}."), out),
                _ => {}
            }
        }
    }
    let defaults = toml::Table::try_from(SpeakerConfig::default()).expect("plain values");
    let mut out = Vec::new();
    missing(&written, &defaults, "", &mut out);
    assert_eq!(out, Vec::<String>::new());
    for setting in skerry_io::kafka::KafkaSettings::on_purpose() {
        assert!(text.contains(setting.name), "{} is not explained", setting.name);
    }
    for optional in ["client_crl_file", "switches_file"] {
        assert!(
            text.contains(&format!("\n# {optional} = ")),
            "{optional} is not explained"
        );
    }
}

#[test]
fn the_file_for_a_trial_is_right_and_fits_the_trial_broker() {
    let key = File::new("trial-key", KEY);
    let file = etc().with_file_name("trial-speaker.toml");
    let from_file = ("SKERRY_SPEAKER__NETWORK_KEY_FILE".to_owned(), key.path().to_owned());
    let config = load::<SpeakerConfig>(Some(&file), [from_file])
        .expect("nothing is wrong with it")
        .config;
    assert_eq!(config.kafka.partitions, skerry_bus::topic::PARTITIONS_TRIAL);
    assert_eq!(config.kafka.fetch_wait_max_ms, 5);
}

#[test]
fn check_names_every_wrong_field_and_exits_1() {
    let file = File::new(
        "wrong",
        "region = \"East_1\"\nmode = \"RX\"\n[[listen]]\naddress = \"here\"\n[kafka]\npartitions = 0\nbotstrap = \"x\"\n\
         [intervals]\nheartbeat_ms = \"fast\"\n[metrics]\nlisten = \"0.0.0.0:1\"\n[log]\nfilter = \"a=loud\"\n",
    );
    let output = run(&["--check", file.path()], &[("LIMITS__ECHO_MISSED", "0")]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr).replace(file.path(), "FILE");
    for line in [
        "FILE:1: region: \"East_1\" is not a region",
        "FILE:2: mode: unknown variant `RX`",
        "FILE:4: listen[0].address: \"here\" is not IP:PORT",
        "tls.certificate_file: must be set where a listener takes TLS",
        "tls.key_file: must be set where a listener takes TLS",
        "tls.client_ca_file: must be set where a listener takes TLS",
        "FILE:6: kafka.partitions: 0 is not in 1 to 1024",
        "FILE:7: kafka.botstrap: unknown field `botstrap`",
        "FILE:5: kafka.bootstrap: must be set",
        "FILE:9: intervals.heartbeat_ms: invalid type: string \"fast\"",
        "FILE:11: metrics.listen: 0.0.0.0:1 is not loopback",
        "FILE:13: log.filter: ",
        "network_key_file: must be set",
        "environment SKERRY_SPEAKER__LIMITS__ECHO_MISSED: limits.echo_missed: 0 is not in 1 to 100",
    ] {
        assert!(
            said.lines().any(|l| l.starts_with(line)),
            "{line}\nis missing in\n{said}"
        );
    }
    assert_eq!(said.lines().count(), 14, "{said}");
}

#[test]
fn a_right_file_is_checked_without_a_word_and_printed_with_origins_but_without_its_key() {
    let environment = [("NETWORK_KEY", KEY), ("KAFKA__FETCH_WAIT_MAX_MS", "5")];
    let file = File::new(
        "right",
        "region = \"east\"\n\n[[listen]]\naddress = \"127.0.0.1:0\"\nplaintext = true\n\n[kafka]\nbootstrap = \"file:x\"\n",
    );
    let output = run(&["--check", file.path()], &environment);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));

    let output = run(&["--config", file.path(), "--print-config"], &environment);
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stdout).replace(file.path(), "FILE");
    for (value, origin) in [
        ("region = \"east\"", "# FILE:1"),
        ("address = \"127.0.0.1:0\"", "# FILE:4"),
        ("bootstrap = \"file:x\"", "# FILE:8"),
        (
            "fetch_wait_max_ms = 5",
            "# environment SKERRY_SPEAKER__KAFKA__FETCH_WAIT_MAX_MS",
        ),
        ("heartbeat_ms = 250", "# default"),
        (
            "network_key = \"(not shown)\"",
            "# environment SKERRY_SPEAKER__NETWORK_KEY",
        ),
    ] {
        assert!(
            said.lines().any(|l| l.starts_with(value) && l.ends_with(origin)),
            "{value} {origin}\n{said}"
        );
    }
    assert!(!said.contains(KEY));
}

#[test]
fn there_is_no_start_without_a_network_key_and_no_default_for_it() {
    let file = File::new(
        "keyless",
        "region = \"east\"\nlisten = [{ address = \"127.0.0.1:0\", plaintext = true }]\n",
    );
    let output = run(&["--config", file.path()], &[("KAFKA__BOOTSTRAP", "127.0.0.1:1")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("network_key_file: must be set"),
        "{}",
        text(&output.stderr)
    );
    assert!(
        SpeakerConfig::default()
            .check()
            .iter()
            .any(|(path, _)| path == "network_key_file")
    );
}

#[test]
fn version_and_usage() {
    let output = run(&["--version"], &[]);
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(0), format!("skerry-speaker {}\n", env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(run(&["--no-such-option"], &[]).status.code(), Some(2));
}
