//! The system tests: real namespaces, a real Open vSwitch, real packets.
//!
//! Its own runner, because what a machine lacks is found out once, at start: tests that
//! need it are listed as ignored and named with the reason, never passed by returning early.

mod admission;
mod apply;
mod autonomy;
mod bad_config;
mod bad_record;
mod bad_request;
mod bad_switch;
mod bench;
mod bench_speaker;
mod broker_loss;
mod delay;
mod demo;
mod faults;
mod flood;
mod hung_disk;
mod kafka_client;
mod lab;
mod load;
mod ovs;
mod packets;
mod regions;
mod restart;
mod ring;
mod scenario;
mod sim;
mod store;
mod tls;
mod topics;
mod turn;
mod wire;
mod world;

use std::path::Path;

use libtest_mimic::{Arguments, Failed, Trial};
use skerry_tests::daemons::{self, BrokerKind};
use skerry_tests::lab::Lab;

/// What a test needs from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Effective user id 0, and namespaces.
    Root,
    /// Open vSwitch's daemons and tools.
    Ovs,
    /// Open vSwitch's own test controller.
    TestController,
    /// TAP devices.
    Tap,
    /// tcpdump.
    Capture,
    /// strace, which lets a disk hang for one thread.
    Strace,
    /// The server's programs.
    Postgres,
    /// Apache Kafka, and Java to run it.
    Kafka,
}

impl Need {
    /// Why the machine does not have it, if so.
    fn lacking(self) -> Option<&'static str> {
        let installed = |program: &str| {
            let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
            folders.iter().any(|folder| Path::new(folder).join(program).is_file())
        };
        match self {
            Need::Root if !skerry_tests::sys::is_root() => Some("not root"),
            Need::Root if !installed("ip") => Some("no program ip (package iproute2)"),
            Need::Root if !installed("ethtool") => Some("no program ethtool (package ethtool)"),
            Need::Ovs if !installed("ovs-vswitchd") => Some("no Open vSwitch (package openvswitch-switch)"),
            Need::TestController if !installed("ovs-testcontroller") => {
                Some("no program ovs-testcontroller (package openvswitch-testcontroller)")
            }
            Need::Tap if !skerry_tests::delay::line::possible() => Some("no /dev/net/tun"),
            Need::Capture if !installed("tcpdump") => Some("no program tcpdump (package tcpdump)"),
            Need::Postgres if skerry_tests::postgres::programs().is_none() => {
                Some("no PostgreSQL server (package postgresql)")
            }
            Need::Strace if !installed("strace") => Some("no program strace (package strace)"),
            Need::Kafka => skerry_tests::kafka::lacking(),
            _ => None,
        }
    }
}

/// What runs on Apache Kafka too, each time: where a broker is written to by strangers, goes away and comes back. Its
/// names have `kafka::` before them.
const ON_KAFKA: &[&str] = &["bad_record::", "restart::"];
/// What does in `make test-long` as well: all other suites with a broker, but for those that say what only the trial broker
/// does, start it themselves (the demo, the measurement), or are on Kafka always.
const ON_KAFKA_LONG: &[&str] = &[
    "admission::",
    "apply::",
    "autonomy::",
    "bad_request::",
    "bad_switch::",
    "flood::",
    "hung_disk::",
    "load::",
    "scenario::",
    "tls::",
    "turn::",
];
/// Set in `make test-long`.
const LONG: &str = "SKERRY_LONG";

/// A test: its suite and name, what it needs, what it does.
struct Test(&'static str, &'static [Need], fn() -> anyhow::Result<()>);

/// All names of labs made here begin with it.
const PREFIX: &str = "skerry-test";

fn main() {
    // This program is also the one that a test kills while it holds a lab.
    if std::env::args().nth(1).as_deref() == Some(lab::HOLD) {
        return lab::hold();
    }
    let mut arguments = Arguments::from_args();
    // One at a time: they measure delays, and this machine has few cores.
    arguments.test_threads.get_or_insert(1);
    if !arguments.list && Need::Root.lacking().is_none() {
        match Lab::clean_leftovers(PREFIX) {
            Ok(labs) if labs.is_empty() => {}
            Ok(labs) => eprintln!("removed what a killed run left: {labs:?}"),
            Err(error) => eprintln!("what a killed run left: {error:#}"),
        }
    }
    let suites = [
        lab::TESTS,
        ovs::TESTS,
        delay::TESTS,
        demo::TESTS,
        packets::TESTS,
        ring::TESTS,
        sim::TESTS,
        load::TESTS,
        turn::TESTS,
        wire::TESTS,
        apply::TESTS,
        bad_switch::TESTS,
        bad_request::TESTS,
        bad_config::TESTS,
        bad_record::TESTS,
        autonomy::TESTS,
        hung_disk::TESTS,
        regions::TESTS,
        restart::TESTS,
        flood::TESTS,
        scenario::TESTS,
        bench_speaker::TESTS,
        tls::TESTS,
        store::TESTS,
        faults::TESTS,
        admission::TESTS,
        topics::TESTS,
        broker_loss::TESTS,
        kafka_client::TESTS,
    ];
    let trial = |name: String, needs: &[Need], run: fn() -> anyhow::Result<()>, broker: BrokerKind| {
        let lacking = needs.iter().find_map(|need| need.lacking());
        if let Some(reason) = lacking
            && !arguments.list
        {
            println!("SKIP {name}: {reason}");
        }
        let run = move || daemons::with_broker(broker, run).map_err(|error| Failed::from(format!("{error:#}")));
        Trial::test(name, run).with_ignored_flag(lacking.is_some())
    };
    let long = std::env::var_os(LONG).is_some();
    let on_kafka = |name: &str| {
        let long = ON_KAFKA_LONG.iter().filter(|_| long);
        ON_KAFKA.iter().chain(long).any(|suite| name.starts_with(suite))
    };
    let mut trials = Vec::new();
    for Test(name, needs, run) in suites.into_iter().flatten() {
        trials.push(trial((*name).to_owned(), needs, *run, BrokerKind::Trial));
        if on_kafka(name) {
            let needs = [needs, &[Need::Kafka][..]].concat();
            trials.push(trial(format!("kafka::{name}"), &needs, *run, BrokerKind::Kafka));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
