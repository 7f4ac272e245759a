//! `skerry topics plan|apply|check`: the topics of a deployment on Apache Kafka.
//!
//! It asks the cluster itself, not the router: without topics no router starts. What is right is decided in
//! `skerry_bus::layout`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use skerry_bus::layout::{self, Fault, Layout, Repair};
use skerry_bus::{Region, Topic};
use skerry_io::config::{self, Settings};
use skerry_io::kafka::{Admin, AdminError, KafkaSettings, Seen};

use crate::failure::Failure;
use crate::output::{Output, table};

/// Brokers that have a copy of each partition, where there are as many: one may be lost, and one be worked on.
const REPLICATION: i32 = 3;
/// How long brokers may take to hear of what the controller has done, and how often they are asked.
const SETTLE_MAX: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Commands about topics.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What `apply` would do; nothing is changed
    Plan(Where),
    /// Makes topics that are not there and sets properties that are wrong; never removes anything
    Apply(Where),
    /// What is wrong with the topics, each with its reason; exit 1 if something is
    Check(Where),
}

/// Which cluster, and what is to be there.
#[derive(Debug, Clone, Args)]
pub struct Where {
    /// The router's configuration: its regions, and how to reach Kafka
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// HOST:PORT,HOST:PORT of the cluster, instead of the configuration's
    #[arg(long, value_name = "HOSTS")]
    bootstrap: Option<String>,
    /// A region, instead of the configuration's; may be repeated
    #[arg(long = "region", value_name = "NAME")]
    regions: Vec<String>,
    /// Partitions of every topic, instead of the configuration's
    #[arg(long, value_name = "NUMBER")]
    partitions: Option<i32>,
    /// Copies of every partition [default: 3, or as many as there are brokers]
    #[arg(long, value_name = "NUMBER")]
    replication: Option<i32>,
    /// A property of the Kafka client, such as security.protocol=ssl; may be repeated
    #[arg(long = "client", value_name = "NAME=VALUE")]
    client: Vec<String>,
    /// A file with the password of sasl.username
    #[arg(long, value_name = "FILE")]
    sasl_password_file: Option<PathBuf>,
}

/// What of a router's configuration is needed here; `skerry-router --check` looks at the rest.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct RouterPart {
    regions: Vec<String>,
    kafka: KafkaSettings,
}

impl Settings for RouterPart {
    const DAEMON: &'static str = "skerry-router";
    const ENVIRONMENT: &'static str = "SKERRY_ROUTER";
    const SECRETS: &'static [&'static str] = &[];

    // All of it is checked when the options have been put over it.
    fn check(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

impl Where {
    /// Regions, and how to reach the cluster.
    fn read(&self) -> Result<(Vec<Region>, KafkaSettings), Failure> {
        let usage = |text: String| Failure::Usage(text);
        let RouterPart { mut regions, mut kafka } = match &self.config {
            None => RouterPart::default(),
            Some(file) => {
                let environment =
                    std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)));
                config::load(Some(file), environment)
                    .map_err(|error| Failure::Failed(error.to_string()))?
                    .config
            }
        };
        if !self.regions.is_empty() {
            regions.clone_from(&self.regions);
        }
        if let Some(bootstrap) = &self.bootstrap {
            kafka.bootstrap.clone_from(bootstrap);
        }
        if let Some(partitions) = self.partitions {
            kafka.partitions = partitions;
        }
        if let Some(file) = &self.sasl_password_file {
            kafka.sasl_password_file = file.display().to_string();
        }
        for pair in &self.client {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| usage(format!("--client {pair:?}: NAME=VALUE is expected")))?;
            kafka.client.insert(name.to_owned(), value.to_owned());
        }
        if kafka.bootstrap.is_empty() {
            return Err(usage("--config FILE or --bootstrap HOST:PORT is needed".to_owned()));
        }
        if regions.is_empty() {
            return Err(usage("--config FILE or --region NAME is needed".to_owned()));
        }
        if let Some((path, cause)) = kafka.check("kafka").into_iter().next() {
            return Err(Failure::Failed(format!("{path}: {cause}")));
        }
        let regions = regions.iter().map(|name| name.parse::<Region>());
        let regions = regions.collect::<Result<Vec<Region>, _>>();
        Ok((regions.map_err(|error| Failure::Failed(error.to_string()))?, kafka))
    }
}

/// A cluster that was looked at, and what is wrong with it.
struct Looked {
    layouts: Vec<Layout>,
    seen: Seen,
    faults: Vec<Fault>,
}

/// What is printed of a fault.
#[derive(Serialize)]
struct Line<'f> {
    topic: String,
    what: &'f str,
    has: &'f str,
    wanted: &'f str,
    /// What `apply` does about it.
    apply: String,
    reason: &'f str,
}

/// What is printed of all.
#[derive(Serialize)]
struct Report<'f> {
    brokers: usize,
    topics: usize,
    faults: Vec<Line<'f>>,
    /// Topics whose names are like ours and that no region of the configuration has.
    unknown: &'f [String],
}

/// Runs one.
pub fn run(command: Command, out: &Output) -> Result<(), Failure> {
    let (Command::Plan(place) | Command::Apply(place) | Command::Check(place)) = &command;
    let (regions, settings) = place.read()?;
    let admin = Admin::new(&settings, "skerry-topics").map_err(|e| Failure::Failed(format!("{e:#}")))?;
    let look = || look(&admin, &regions, &settings, place.replication);
    let before = look()?;
    match &command {
        Command::Check(_) => {
            before.print(out, "is wrong")?;
            before.right()
        }
        Command::Plan(_) => before.print(out, "would be done"),
        Command::Apply(_) => {
            apply(&admin, &before)?;
            before.print(out, "was done")?;
            // What stands now is what counts, not what was answered.
            let until = Instant::now() + SETTLE_MAX;
            loop {
                let after = look()?;
                if !after.repairable() || Instant::now() >= until {
                    return after.right();
                }
                std::thread::sleep(LOOK_AGAIN);
            }
        }
    }
}

fn look(
    admin: &Admin,
    regions: &[Region],
    settings: &KafkaSettings,
    replication: Option<i32>,
) -> Result<Looked, Failure> {
    let topics = layout::topics(regions);
    let seen = admin.look(&topics).map_err(failure)?;
    let brokers = i32::try_from(seen.brokers).unwrap_or(i32::MAX);
    let replication = replication.unwrap_or_else(|| REPLICATION.min(brokers)).max(1);
    let layouts: Vec<Layout> = topics
        .into_iter()
        .map(|topic| Layout::new(topic, settings.partitions, replication))
        .collect();
    let faults = layouts
        .iter()
        .flat_map(|layout| layout.judge(seen.topics.get(&layout.topic)))
        .collect();
    Ok(Looked { layouts, seen, faults })
}

fn apply(admin: &Admin, before: &Looked) -> Result<(), Failure> {
    let mut set: BTreeMap<&Topic, Vec<(&str, &str)>> = BTreeMap::new();
    for fault in &before.faults {
        match fault.repair {
            Repair::Create => {
                let layout = before.layouts.iter().find(|layout| layout.topic == fault.topic);
                layout.map_or(Ok(()), |layout| admin.create(layout)).map_err(failure)?;
            }
            Repair::Set => set.entry(&fault.topic).or_default().push((fault.what, &fault.made)),
            Repair::ByHand(_) => {}
        }
    }
    set.into_iter()
        .try_for_each(|(topic, properties)| admin.set(topic, &properties))
        .map_err(failure)
}

fn failure(error: AdminError) -> Failure {
    Failure::Failed(error.to_string())
}

impl Looked {
    fn print(&self, out: &Output, what: &str) -> Result<(), Failure> {
        let lines: Vec<Line<'_>> = self.faults.iter().map(line).collect();
        let report = Report {
            brokers: self.seen.brokers,
            topics: self.layouts.len(),
            faults: lines,
            unknown: &self.seen.others,
        };
        out.print(&report, || {
            let mut text = String::new();
            if report.faults.is_empty() {
                text.push_str(&format!("all {} topics are as they should be\n", report.topics));
            } else {
                let rows = report.faults.iter().map(|l| {
                    let (topic, has, wanted) = (l.topic.clone(), l.has.to_owned(), l.wanted.to_owned());
                    vec![
                        topic,
                        l.what.to_owned(),
                        has,
                        wanted,
                        l.apply.clone(),
                        l.reason.to_owned(),
                    ]
                });
                text.push_str(&table(&["TOPIC", "WHAT", "HAS", "NEEDED", "APPLY", "REASON"], rows));
                text.push_str(&format!("of {} topics, this {what}\n", report.topics));
            }
            for name in report.unknown {
                text.push_str(&format!("{name}: of no configured region; it is left alone\n"));
            }
            text
        })
    }

    /// Whether something is wrong that `apply` puts right.
    fn repairable(&self) -> bool {
        self.faults
            .iter()
            .any(|fault| !matches!(fault.repair, Repair::ByHand(_)))
    }

    /// Nothing is wrong; otherwise the failure that says what.
    fn right(&self) -> Result<(), Failure> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let told: Vec<String> = self.faults.iter().map(Fault::to_string).collect();
        Err(Failure::Failed(told.join("\n")))
    }
}

fn line(fault: &Fault) -> Line<'_> {
    Line {
        topic: fault.topic.to_string(),
        what: fault.what,
        has: &fault.has,
        wanted: &fault.wanted,
        apply: match fault.repair {
            Repair::Create => "makes it".to_owned(),
            Repair::Set => format!("sets {}", fault.made),
            Repair::ByHand(how) => format!("does nothing: {how}"),
        },
        reason: fault.reason,
    }
}
