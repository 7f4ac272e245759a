//! Configuration: what is wrong is named, all of it, and then nothing starts; what is installed starts.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use skerry_tests::daemons::{ANY_PORT, Daemons};
use skerry_tests::lab::Lab;
use skerry_tests::wait::{self, DEADLINE};

use crate::world::{REGION, unharmed};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "bad_config::every_wrong_field_is_named_and_nothing_starts",
        &[],
        wrong_fields,
    ),
    Test("bad_config::what_holds_is_printed_with_its_origin", &[], printed),
    Test(
        "bad_config::another_number_of_partitions_keeps_both_from_starting",
        &[],
        partitions,
    ),
    Test(
        "bad_config::both_daemons_start_with_the_installed_files",
        &[],
        installed,
    ),
    Test("bad_config::both_daemons_start_with_the_files_of_a_trial", &[], trial),
];

/// Status, standard output and standard error of a program that ends by itself.
fn run(mut command: Command) -> Result<(Option<i32>, String, String)> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code(), text(&output.stdout), text(&output.stderr)))
}

fn with(daemons: &Daemons, program: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = daemons.command(program)?;
    command.args(arguments);
    Ok(command)
}

const WRONG_SPEAKER: &str = r#"region = "East 1"
modus = "RW"
network_key = "short"

[[listen]]
address = "everywhere:6653"
plaintext = "yes"

[tls]
certificate_file = "/no/such/certificate"
client_ca_file = "/dev/null"

[kafka]
bootstrap = "broker"
partitions = 0

[intervals]
hartbeat_ms = 1
discovery_ms = 0

[metrics]
listen = "0.0.0.0:9653"

[logs]
filter = "info"
"#;

const WRONG_ROUTER: &str = r#"regions = ["east", "West", "east"]
region = "east"

[kafka]
bootstrap = "file:"
fetch_wait_max_ms = "soon"

[store]
kind = "oracle"

[northbound]
listen = "0.0.0.0:8080"
port = 8080

[presence]
failback = "maybe"

[sla]
threshold = 2.0
window_ms = -1

[operations]
stage_ms = 1
"#;

fn wrong_fields() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let daemons = Daemons::new(&lab, None)?;
    // Line of the file, field, part of the cause.
    let speaker: &[(u32, &str, &str)] = &[
        (1, "region", "\"East 1\""),
        (2, "modus", "unknown field"),
        (3, "network_key", "64 hex digits"),
        (6, "listen[0].address", "is not IP:PORT"),
        (7, "listen[0].plaintext", "invalid type: string \"yes\""),
        (10, "tls.certificate_file", "/no/such/certificate: No such file"),
        (9, "tls.key_file", "must be set where a listener takes TLS"),
        (11, "tls.client_ca_file", "/dev/null: no PEM certificate is in it"),
        (14, "kafka.bootstrap", "is not HOST:PORT"),
        (15, "kafka.partitions", "0 is not in 1 to"),
        (18, "intervals.hartbeat_ms", "unknown field"),
        (19, "intervals.discovery_ms", "0 is not in"),
        (22, "metrics.listen", "is not loopback"),
        (24, "logs", "unknown field"),
    ];
    let router: &[(u32, &str, &str)] = &[
        (1, "regions[1]", "\"West\""),
        (1, "regions[2]", "is there twice"),
        (2, "region", "unknown field"),
        (5, "kafka.bootstrap", "a path is expected after file:"),
        (6, "kafka.fetch_wait_max_ms", "invalid type: string \"soon\""),
        (9, "store.kind", "\"oracle\" is not `sqlite`"),
        (12, "northbound.listen", "is not loopback"),
        (13, "northbound.port", "unknown field"),
        (16, "presence.failback", "\"maybe\""),
        (19, "sla.threshold", ""),
        (20, "sla.window_ms", "-1"),
        (23, "operations.stage_ms", "1 is not in 1000 to"),
    ];
    for (program, text, faults) in [
        ("skerry-speaker", WRONG_SPEAKER, speaker),
        ("skerry-router", WRONG_ROUTER, router),
    ] {
        let file = daemons.write(&format!("{program}.toml"), text)?.display().to_string();
        // Checking and starting say the same.
        for option in ["--check", "--config"] {
            let (status, said, told) = run(with(&daemons, program, &[option, &file])?)?;
            ensure!(
                status == Some(1) && said.is_empty(),
                "{program} {option}: {status:?} {said}\n{told}"
            );
            for (line, field, cause) in faults {
                let start = format!("{file}:{line}: {field}: ");
                let named = told
                    .lines()
                    .any(|told| told.starts_with(&start) && told.contains(cause));
                ensure!(named, "{program} {option}: {start}{cause} is missing in\n{told}");
            }
            ensure!(
                told.lines().count() == faults.len(),
                "{program} {option} says more:\n{told}"
            );
        }
        let (status, _, told) = run(with(&daemons, program, &["--check", "/no/such/file.toml"])?)?;
        ensure!(
            status == Some(1) && told.contains("/no/such/file.toml cannot be read"),
            "{status:?} {told}"
        );
        let broken = daemons
            .write("broken.toml", "[kafka\nbootstrap = 1\n")?
            .display()
            .to_string();
        let (status, _, told) = run(with(&daemons, program, &["--check", &broken])?)?;
        ensure!(
            status == Some(1) && told.starts_with(&format!("{broken}:1: ")),
            "{status:?} {told}"
        );
        // From the environment as well.
        let mut command = with(&daemons, program, &["--check", &file])?;
        let name = format!("{}__KAFKA__PARTITIONS", program.to_uppercase().replace('-', "_"));
        command.env(&name, "many");
        let (status, _, told) = run(command)?;
        let start = format!("environment {name}: kafka.partitions: ");
        ensure!(
            status == Some(1) && told.lines().any(|line| line.starts_with(&start)),
            "{status:?} {told}"
        );
    }
    ensure!(
        !lab.folder().join("router.db").exists(),
        "a router that did not start made a store"
    );
    Ok(())
}

fn printed() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let daemons = Daemons::new(&lab, None)?;
    let speaker = daemons.speaker_config(REGION, ANY_PORT, "")?.display().to_string();
    let router = daemons.router_config(&[REGION], ANY_PORT, "")?.display().to_string();
    let cases = [
        (
            "skerry-speaker",
            &speaker,
            "SKERRY_SPEAKER__LIMITS__ECHO_MISSED",
            "echo_missed = 7",
            "region = \"east\"",
            "heartbeat_ms = 250",
        ),
        (
            "skerry-router",
            &router,
            "SKERRY_ROUTER__SLA__WINDOW_MS",
            "window_ms = 7",
            "regions = [\"east\"]",
            "stage_ms = 30000",
        ),
    ];
    for (program, file, name, set, written, default) in cases {
        let (status, said, told) = run(with(&daemons, program, &["--check", file])?)?;
        ensure!(
            (status, &*said, &*told) == (Some(0), "", ""),
            "{program}: {status:?} {said} {told}"
        );
        let mut command = with(&daemons, program, &["--config", file, "--print-config"])?;
        let value = if program == "skerry-speaker" { "7" } else { "7000" };
        command.env(name, value);
        let (status, said, told) = run(command)?;
        ensure!(status == Some(0) && told.is_empty(), "{program}: {status:?} {told}");
        for (start, origin) in [
            (set, format!("# environment {name}")),
            (written, format!("# {file}:1")),
            (default, "# default".to_owned()),
        ] {
            let there = said
                .lines()
                .any(|line| line.starts_with(start) && line.ends_with(&origin));
            ensure!(there, "{program}: {start} {origin} is missing in\n{said}");
        }
        // What is printed is a configuration.
        let again = daemons.write("printed.toml", &said)?.display().to_string();
        let (status, _, told) = run(with(&daemons, program, &["--check", &again])?)?;
        ensure!(status == Some(0), "{program}: what it printed is refused: {told}");

        let (status, said, _) = run(with(&daemons, program, &["--version"])?)?;
        let version = format!("{program} {}\n", env!("CARGO_PKG_VERSION"));
        ensure!((status, &said) == (Some(0), &version), "{status:?} {said}");
        let (status, _, told) = run(with(&daemons, program, &["--no-such-option"])?)?;
        ensure!(
            status == Some(2) && told.contains("--no-such-option"),
            "{status:?} {told}"
        );
    }
    Ok(())
}

fn partitions() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let daemons = Daemons::new(&lab, None)?;
    let _broker = daemons.broker()?;
    // The trial broker makes topics with four partitions.
    let speaker = daemons.speaker_config(REGION, ANY_PORT, "")?.display().to_string();
    let router = daemons.router_config(&[REGION], ANY_PORT, "")?.display().to_string();
    for (program, file, variable) in [
        ("skerry-speaker", &speaker, "SKERRY_SPEAKER__KAFKA__PARTITIONS"),
        ("skerry-router", &router, "SKERRY_ROUTER__KAFKA__PARTITIONS"),
    ] {
        let mut command = with(&daemons, program, &["--config", file])?;
        command.env(variable, "16");
        let process = daemons.spawn(&format!("{program}-16"), command)?;
        let status = process.wait(DEADLINE)?;
        let words = process.last_words();
        ensure!(
            status.is_some_and(|status| status.code() == Some(1)),
            "{program}: {status:?}\n{words}"
        );
        let named = words.contains("has 4 partitions and kafka.partitions is 16") && words.contains("skerry.v1.");
        ensure!(named && !words.contains("panicked"), "{program}:\n{words}");
    }
    Ok(())
}

fn etc(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc").join(name)
}

fn start_both(speaker: &str, router: &str, plaintext: bool) -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let daemons = Daemons::new(&lab, None)?;
    let ca = lab.folder().join("ca");
    let (status, _, told) = run(with(&daemons, "skerry", &["lab-ca", &ca.display().to_string()])?)?;
    ensure!(status == Some(0), "{told}");
    let tls = |name: &str| ca.join(name).display().to_string();
    let broker = daemons.broker()?;
    let bootstrap = daemons.kafka()?.bootstrap;
    // Addresses, paths, and the trial broker's ways; all else is as the files say.
    let mut command = daemons.command("skerry-speaker")?;
    command.arg("--config").arg(etc(speaker));
    for (name, value) in [
        ("NETWORK_KEY_FILE", daemons.key_file().display().to_string()),
        (
            "LISTEN",
            format!("[{{ address = \"{ANY_PORT}\", plaintext = {plaintext} }}]"),
        ),
        ("TLS__CERTIFICATE_FILE", tls("speaker-cert.pem")),
        ("TLS__KEY_FILE", tls("speaker-key.pem")),
        ("TLS__CLIENT_CA_FILE", tls("ca-cert.pem")),
        ("METRICS__LISTEN", ANY_PORT.to_owned()),
        ("KAFKA__BOOTSTRAP", bootstrap.clone()),
        ("KAFKA__PARTITIONS", "4".to_owned()),
        ("KAFKA__FETCH_WAIT_MAX_MS", "5".to_owned()),
    ] {
        command.env(format!("SKERRY_SPEAKER__{name}"), value);
    }
    let speaker = daemons.listening_speaker("speaker", command)?;
    let mut command = daemons.command("skerry-router")?;
    command.arg("--config").arg(etc(router));
    for (name, value) in [
        ("STORE__PATH", lab.folder().join("router.db").display().to_string()),
        ("NORTHBOUND__LISTEN", ANY_PORT.to_owned()),
        ("METRICS__LISTEN", ANY_PORT.to_owned()),
        ("KAFKA__BOOTSTRAP", bootstrap),
        ("KAFKA__PARTITIONS", "4".to_owned()),
        ("KAFKA__FETCH_WAIT_MAX_MS", "5".to_owned()),
    ] {
        command.env(format!("SKERRY_ROUTER__{name}"), value);
    }
    let router = daemons.answering_router(command)?;
    let rest = daemons.rest(&router);
    wait::until("region east to live", DEADLINE, || {
        let regions: Vec<Value> = rest.get("/v2/regions").map_err(|e| format!("{e:#}"))?;
        let east = regions.iter().find(|region| region["region"] == "east");
        match east.and_then(|east| east["state"].as_str()) {
            Some("live") if regions.len() == 2 => Ok(()),
            _ => Err(format!("{regions:?}")),
        }
    })?;
    for process in [&broker, &speaker.process, &router.process] {
        unharmed(process)?;
    }
    for process in [&router.process, &speaker.process, &broker] {
        let status = process.end(DEADLINE)?;
        ensure!(
            status.success(),
            "{process:?} ended with {status}:\n{}",
            process.last_words()
        );
    }
    Ok(())
}

fn installed() -> Result<()> {
    start_both("speaker.toml", "router.toml", false)
}

fn trial() -> Result<()> {
    start_both("trial-speaker.toml", "trial-router.toml", true)
}
