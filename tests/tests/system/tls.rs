//! TLS with real switches: one that is accepted, those that are refused with their true cause, files that change under a
//! living session, and a port that strangers knock at.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use skerry_tests::daemons::{ANY_PORT, Daemon, Daemons, said};
use skerry_tests::lab::Lab;
use skerry_tests::ovs::{Controllers, Ovs};
use skerry_tests::process::Process;
use skerry_tests::rest::Rest;
use skerry_tests::sys::connect_from;
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::Ovs as OpenVSwitch;
use crate::world::{EDGES, REGION, endpoint, session, settled, switch_id, unharmed};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "tls::a_switch_is_served_over_tls_and_others_are_refused_with_their_true_cause",
        &[OpenVSwitch],
        causes,
    ),
    Test(
        "tls::files_are_read_again_under_a_living_session",
        &[OpenVSwitch],
        reload,
    ),
    Test("tls::garbage_and_silence_stop_no_switch", &[OpenVSwitch], strangers),
];

/// Files of a CA made by `skerry lab-ca`.
struct Ca(PathBuf);

impl Ca {
    fn new(daemons: &Daemons, name: &str) -> Result<Ca> {
        let ca = Ca(daemons.address_file().with_file_name(name));
        ca.make(daemons, &["--server", "127.0.0.1"])?;
        Ok(ca)
    }

    fn make(&self, daemons: &Daemons, options: &[&str]) -> Result<()> {
        let mut command = daemons.command("skerry")?;
        let output = command.arg("lab-ca").arg(&self.0).args(options).output()?;
        ensure!(output.status.success(), "{output:?}");
        Ok(())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// Broker, router, and a speaker that takes TLS.
struct World {
    rest: Rest,
    router: Daemon,
    speaker: Daemon,
    broker: Process,
    daemons: Daemons,
    ca: Ca,
    /// What the speaker reads.
    files: PathBuf,
}

impl World {
    fn new(more: &str, environment: &[(&str, &str)]) -> Result<World> {
        let lab = Lab::new(PREFIX)?;
        let daemons = Daemons::new(&lab, None)?;
        let ca = Ca::new(&daemons, "ca")?;
        // A folder of its own, in which they can be replaced.
        let files = lab.folder().join("speaker-tls");
        std::fs::create_dir(&files)?;
        for name in ["speaker-cert.pem", "speaker-key.pem", "ca-cert.pem"] {
            std::fs::copy(ca.file(name), files.join(name))?;
        }
        let broker = daemons.broker()?;
        let config = daemons.speaker_config(REGION, ANY_PORT, more)?;
        let mut command = daemons.command("skerry-speaker")?;
        command.arg("--config").arg(config);
        let file = |name: &str| files.join(name).display().to_string();
        for (name, value) in [
            ("LISTEN", format!("[{{ address = \"{ANY_PORT}\" }}]")),
            ("TLS__CERTIFICATE_FILE", file("speaker-cert.pem")),
            ("TLS__KEY_FILE", file("speaker-key.pem")),
            ("TLS__CLIENT_CA_FILE", file("ca-cert.pem")),
        ] {
            command.env(format!("SKERRY_SPEAKER__{name}"), value);
        }
        for (name, value) in environment {
            command.env(format!("SKERRY_SPEAKER__{name}"), value);
        }
        let speaker = daemons.listening_speaker("speaker", command)?;
        let router = daemons.router(&[REGION], ANY_PORT, "")?;
        Ok(World {
            rest: daemons.rest(&router),
            router,
            speaker,
            broker,
            daemons,
            ca,
            files,
        })
    }

    fn target(&self) -> Controllers {
        Controllers::new([format!("ssl:{}", self.speaker.address)])
    }

    /// The newest refusal with this reason.
    fn refused(&self, reason: &str) -> Result<Value> {
        wait::until(&format!("a refusal because of {reason:?}"), DEADLINE, || {
            let refused: Vec<Value> = self.rest.get("/v2/switches/refused").map_err(|e| format!("{e:#}"))?;
            let found = refused
                .iter()
                .find(|r| r["reason"].as_str().is_some_and(|r| r.contains(reason)));
            found
                .cloned()
                .ok_or_else(|| format!("{refused:?}\n{}", self.speaker.process.last_words()))
        })
    }

    fn counted(&self, reason: &str) -> Result<f64> {
        self.daemons
            .metric(&self.speaker, "skerry_speaker_refused_total", reason)
    }

    fn unharmed(&self) -> Result<()> {
        for process in [&self.broker, &self.speaker.process, &self.router.process] {
            unharmed(process)?;
        }
        Ok(())
    }

    fn session(&self, switch: u64) -> Result<(Value, Value)> {
        session(&self.rest, switch)
    }
}

/// A host with its own Open vSwitch and certificate.
struct Host {
    ovs: Ovs,
}

impl Host {
    fn new() -> Result<Host> {
        let lab = Lab::new(PREFIX)?;
        Ok(Host {
            ovs: Ovs::start_dummy(&lab)?,
        })
    }

    fn shows(&self, key: &Path, certificate: &Path, trusts: &Path) -> Result<()> {
        let text = |path: &Path| path.display().to_string();
        self.ovs
            .vsctl(&["set-ssl", &text(key), &text(certificate), &text(trusts)])
            .map(drop)
    }

    /// A certificate of `name-cert.pem` of a CA, which it trusts.
    fn shows_of(&self, ca: &Ca, name: &str) -> Result<()> {
        self.shows(
            &ca.file(&format!("{name}-key.pem")),
            &ca.file(&format!("{name}-cert.pem")),
            &ca.file("ca-cert.pem"),
        )
    }

    fn bridge(&self, name: &str, id: u64, controllers: &Controllers) -> Result<()> {
        self.ovs.add_bridge(name, id, &Controllers::new::<String>([]))?;
        for port in EDGES {
            self.ovs.add_dummy_port(name, &format!("{name}-{port}"), port, None)?;
        }
        self.ovs.set_controllers(name, controllers)
    }
}

fn causes() -> Result<()> {
    let world = World::new("", &[])?;
    let (ca, daemons) = (&world.ca, &world.daemons);
    ca.make(daemons, &["--switch", "1,4", "--each", "2"])?;
    ca.make(daemons, &["--switch", "3", "--expired"])?;
    let foreign = Ca::new(daemons, "foreign")?;
    foreign.make(daemons, &["--switch", "3"])?;

    // Two bridges of one host, which has one certificate for both.
    let good = Host::new()?;
    good.shows_of(ca, "switch-0x1")?;
    good.bridge("s1", 1, &world.target())?;
    good.bridge("s4", 4, &world.target())?;
    settled(&world.rest, 2, 0)?;
    let untouched = (world.session(1)?, world.session(4)?);

    let bad = Host::new()?;
    bad.bridge("s3", 3, &Controllers::new::<String>([]))?;
    let (ca_file, others) = (ca.file("ca-cert.pem"), foreign.file("ca-cert.pem"));
    let of = |ca: &Ca, name: &str| {
        (
            ca.file(&format!("{name}-key.pem")),
            ca.file(&format!("{name}-cert.pem")),
        )
    };
    // Key and certificate, what it trusts, what is told, and what is counted.
    let cases = [
        (
            of(ca, "switch-0x2"),
            &ca_file,
            "is for 00:00:00:00:00:00:00:02, the switch claims to be 00:00:00:00:00:00:00:03",
            "\"identity\"",
        ),
        (
            of(ca, "switch-0x3-expired"),
            &ca_file,
            "the switch's certificate has expired: CN=Skerry lab switch 00:00:00:00:00:00:00:03 (sha256 ",
            "\"certificate_expired\"",
        ),
        (
            of(&foreign, "switch-0x3"),
            &ca_file,
            "the switch's certificate is of an unknown CA: CN=Skerry lab switch 00:00:00:00:00:00:00:03 (sha256 ",
            "\"certificate_unknown_issuer\"",
        ),
        (
            of(ca, "switch-0x2"),
            &others,
            "the switch refused the speaker's certificate: ",
            "\"our_certificate_refused\"",
        ),
    ];
    for ((key, certificate), trusts, reason, counter) in cases {
        bad.shows(&key, &certificate, trusts)?;
        bad.ovs.set_controllers("s3", &world.target())?;
        let refused = world.refused(reason)?;
        let claimed = counter.contains("identity").then(|| switch_id(3));
        ensure!(refused["switch_id"].as_str() == claimed.as_deref(), "{refused}");
        ensure!(
            refused["region"] == REGION && refused["address"].as_str().is_some_and(|a| a.starts_with("127.0.0.1:")),
            "{refused}"
        );
        let counted = world.counted(counter)?;
        ensure!(counted >= 1.0, "{counter} was counted {counted} times");
        bad.ovs.set_controllers("s3", &Controllers::new::<String>([]))?;
    }
    // Without TLS, where TLS is spoken.
    bad.ovs
        .set_controllers("s3", &Controllers::new([format!("tcp:{}", world.speaker.address)]))?;
    world.refused("not TLS: plain OpenFlow of version 0x04 came")?;
    ensure!(world.counted("\"not_tls\"")? >= 1.0, "not counted");
    bad.ovs.set_controllers("s3", &Controllers::new::<String>([]))?;

    // The right certificate, but the id is taken by a living session, which stays.
    bad.shows_of(ca, "switch-0x1")?;
    bad.bridge("twin", 1, &world.target())?;
    let refused = world.refused("the switch id is taken by a living connection from")?;
    ensure!(refused["switch_id"] == switch_id(1), "{refused}");

    // The operator's view of it.
    let mut command = daemons.command("skerry")?;
    let router = format!("http://{}", world.router.address);
    let listed = command
        .args(["--router", &router, "switch", "ls", "--refused"])
        .output()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for reason in ["has expired", "of an unknown CA", "claims to be"] {
        ensure!(listed.contains(reason), "{reason} is missing in\n{listed}");
    }

    // Nobody else noticed, and what is wanted arrives.
    let body = json!({ "source": endpoint(1, 10, 100), "destination": endpoint(1, 11, 200) });
    world.rest.done("PUT", "/v2/flows/over-tls", Some(&body))?;
    let now = (world.session(1)?, world.session(4)?);
    ensure!(now == untouched, "{now:?}\nwas\n{untouched:?}");
    world.unharmed()
}

fn reload() -> Result<()> {
    // The table of certificates is one of the files; nobody looks by himself but where the test waits for it.
    let world = World::new("", &[("TLS__LOOK_MS", "3600000")])?;
    let (ca, daemons, files) = (&world.ca, &world.daemons, &world.files);
    ca.make(daemons, &["--switch", "1", "--days", "20"])?;
    let first = Host::new()?;
    first.shows_of(ca, "switch-0x1")?;
    first.bridge("s1", 1, &world.target())?;
    settled(&world.rest, 1, 0)?;
    let untouched = world.session(1)?;

    let gauge = |name: &str, label: &str| daemons.metric(&world.speaker, &format!("skerry_speaker_tls_{name}"), label);
    let not_after = |of: &str| gauge("not_after_timestamp_seconds", &format!("certificate=\"{of}\""));
    let day = 86_400.0;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_secs_f64();
    for (of, days) in [("server", 365.0), ("ca", 3_650.0), ("clients", 20.0)] {
        let left = (not_after(of)? - now) / day;
        ensure!((left - days).abs() < 1.0, "{of} ends in {left} days");
    }
    ensure!(gauge("reload_success", "")? == 1.0, "nothing failed yet");

    // A speaker's certificate of another CA, which only new switches trust; both CAs sign switches.
    let next = Ca::new(daemons, "next")?;
    next.make(daemons, &["--switch", "2,3"])?;
    let replace = |name: &str, text: &str| -> Result<()> {
        let new = files.join("new");
        std::fs::write(&new, text)?;
        std::fs::rename(&new, files.join(name))?;
        Ok(())
    };
    let read = |ca: &Ca, name: &str| std::fs::read_to_string(ca.file(name));
    for name in ["speaker-cert.pem", "speaker-key.pem"] {
        replace(name, &read(&next, name)?)?;
    }
    let both = format!("{}{}", read(ca, "ca-cert.pem")?, read(&next, "ca-cert.pem")?);
    replace("ca-cert.pem", &both)?;
    world.speaker.process.signal(libc::SIGHUP)?;
    said(&world.speaker.process, "TLS files read again")?;

    let second = Host::new()?;
    second.shows_of(&next, "switch-0x2")?;
    second.bridge("s2", 2, &world.target())?;
    settled(&world.rest, 2, 0)?;
    ensure!(
        world.session(1)? == untouched,
        "{:?}\nwas\n{untouched:?}",
        world.session(1)?
    );

    // A key that is none: the old ones hold, also for a switch that comes now.
    let key = read(&next, "speaker-key.pem")?;
    replace("speaker-key.pem", "no key\n")?;
    world.speaker.process.signal(libc::SIGHUP)?;
    let line = said(&world.speaker.process, "TLS files not taken: the old ones hold")?;
    ensure!(
        line["field"] == "tls.key_file" && line["cause"].as_str().is_some_and(|c| c.contains("speaker-key.pem")),
        "{line}"
    );
    ensure!(gauge("reload_success", "")? == 0.0, "it failed");
    second.bridge("s3", 3, &world.target())?;
    settled(&world.rest, 3, 0)?;

    replace("speaker-key.pem", &key)?;
    world.speaker.process.signal(libc::SIGHUP)?;
    wait::until("the files to be taken again", DEADLINE, || {
        match gauge("reload_success", "") {
            Ok(1.0) => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    })?;
    ensure!(
        world.session(1)? == untouched,
        "{:?}\nwas\n{untouched:?}",
        world.session(1)?
    );
    ensure!(world.counted("")? == 0.0, "nobody was refused");
    world.unharmed()
}

fn strangers() -> Result<()> {
    // Fewer places and less patience than usual, so that it is over soon; files that changed are noticed by themselves.
    let limits = "[limits]\ntls_handshakes = 4\nhandshake_ms = 6000\n";
    let world = World::new(limits, &[("TLS__LOOK_MS", "100")])?;
    let (ca, daemons) = (&world.ca, &world.daemons);
    ca.make(daemons, &["--switch", "1,2"])?;
    let host = Host::new()?;
    host.shows_of(ca, "switch-0x1")?;
    host.bridge("s1", 1, &world.target())?;
    settled(&world.rest, 1, 0)?;
    let untouched = world.session(1)?;

    let address: SocketAddr = world.speaker.address;
    // Silent ones, many more than there are places; slow ones, which take all places but one; and noise.
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..100 {
        held.push(connect_from("127.0.0.2".parse()?, address)?);
    }
    for source in ["127.0.0.3", "127.0.0.4", "127.0.0.5"] {
        for _ in 0..5 {
            let mut slow = connect_from(source.parse()?, address)?;
            slow.write_all(&[22, 3, 1, 2, 0, 1, 0])?;
            held.push(slow);
        }
    }
    let mut noise = 0x5eed_u64;
    for _ in 0..50 {
        let mut stream = connect_from("127.0.0.6".parse()?, address)?;
        let bytes: Vec<u8> = (0..200)
            .map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                noise as u8
            })
            .collect();
        // Whether it is read to its end is the speaker's to say.
        let _ = stream.write_all(&bytes);
    }
    // A switch comes while they stand there, and the one that was there obeys.
    host.bridge("s2", 2, &world.target())?;
    settled(&world.rest, 2, 0)?;
    let body = json!({ "source": endpoint(1, 10, 100), "destination": endpoint(1, 11, 200) });
    world.rest.done("PUT", "/v2/flows/among-strangers", Some(&body))?;

    // All of them are sent away, and counted for what they were.
    world.refused("the handshake was not over in time, waiting for the TLS handshake")?;
    wait::until("115 late ones and 50 that are no TLS", DEADLINE, || {
        let count = |reason| world.counted(reason).map_err(|e| format!("{e:#}"));
        let (late, noise) = (count("\"handshake\"")?, count("\"not_tls\"")?);
        // Noise that begins as TLS does may wait for more, or be another failure.
        if late + noise + count("\"tls_other\"")? == 165.0 && noise >= 40.0 {
            Ok(())
        } else {
            Err(format!("{late} late, {noise} no TLS"))
        }
    })?;
    ensure!(
        world.session(1)? == untouched,
        "{:?}\nwas\n{untouched:?}",
        world.session(1)?
    );

    // A file that changes is noticed without a word.
    let again = std::fs::read(world.files.join("ca-cert.pem"))?;
    std::fs::write(world.files.join("ca-cert.pem"), [again.as_slice(), b"\n"].concat())?;
    let line = said(&world.speaker.process, "TLS files read again")?;
    ensure!(line["why"] == "a file changed", "{line}");
    drop(held);
    world.unharmed()
}
