//! `skerry topics` on Apache Kafka: what it makes, what it finds wrong, what it leaves alone; and on a broker that has no such calls.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use serde_json::Value;
use skerry_bus::Topic;
use skerry_tests::daemons::{BrokerKind, Daemons, PARTITIONS, with_broker};
use skerry_tests::kafka::Cluster;
use skerry_tests::lab::Lab;

use crate::Need::Kafka;
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "topics::they_are_planned_made_checked_and_put_right",
        &[Kafka],
        planned_made_checked,
    ),
    Test("topics::a_trial_broker_is_told_as_such", &[], trial),
];

/// What a run of the command gave.
struct Said {
    code: Option<i32>,
    report: Value,
    errors: String,
}

impl Said {
    /// Topic and thing of each fault that was told.
    fn faults(&self) -> BTreeSet<(String, String)> {
        let faults = self.report["faults"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        faults
            .iter()
            .map(|fault| (text(&fault["topic"]), text(&fault["what"])))
            .collect()
    }
}

/// Runs the command, which may fail.
fn topics(daemons: &Daemons, args: &[&str]) -> Result<Said> {
    let mut command: Command = daemons.command("skerry")?;
    command.args(["--output", "json", "topics"]).args(args);
    let output = command.output().context("skerry topics")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(Said {
        code: output.status.code(),
        report: serde_json::from_str(&text).unwrap_or(Value::Null),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn planned_made_checked() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let daemons = with_broker(BrokerKind::Kafka, || Daemons::new(&lab, None))?;
    let broker = daemons.broker()?;
    let bootstrap = daemons.cluster()?.bootstrap();
    // The regions, and how to reach Kafka, are those of the router; other keys are not looked at.
    let config = format!(
        "regions = [\"east\", \"west\"]\n[kafka]\nbootstrap = \"{bootstrap}\"\npartitions = {PARTITIONS}\n[sla]\nwindow_ms = 1000\n"
    );
    let config = daemons.write("router.toml", &config)?;
    let config = config.display().to_string();
    let with = ["--config", config.as_str()];
    let run = |what: &str, more: &[&str]| topics(&daemons, &[&[what], &with[..], more].concat());
    let count = 7 + 2 * 3;

    let plan = run("plan", &[])?;
    ensure!(plan.code == Some(0), "{}", plan.errors);
    ensure!(plan.faults().len() == count, "{}", plan.report);
    ensure!(
        plan.faults().iter().all(|(_, what)| what == "exists"),
        "{}",
        plan.report
    );
    // It changed nothing: the same is still missing.
    let check = run("check", &[])?;
    ensure!(
        check.code == Some(1) && check.faults() == plan.faults(),
        "{}",
        check.report
    );
    ensure!(
        check.errors.contains("skerry.v1.commands.west does not exist"),
        "{}",
        check.errors
    );

    // One is there already, made by hand and wrong in everything; with a property of its own that is nobody's business.
    let events = Topic::Events.to_string();
    make(
        daemons.cluster()?,
        NewTopic::new(&events, PARTITIONS, TopicReplication::Fixed(1))
            .set("message.timestamp.type", "CreateTime")
            .set("cleanup.policy", "compact")
            .set("retention.ms", "1000")
            .set("flush.messages", "7777"),
    )?;
    let apply = run("apply", &[])?;
    ensure!(apply.code == Some(0), "{}\n{}", apply.report, apply.errors);
    let wrong: BTreeSet<(String, String)> = ["message.timestamp.type", "cleanup.policy", "retention.ms"]
        .map(|what| (events.clone(), what.to_owned()))
        .into();
    ensure!(apply.faults().is_superset(&wrong), "{}", apply.report);
    let check = run("check", &[])?;
    ensure!(check.code == Some(0) && check.faults().is_empty(), "{}", check.report);
    let again = run("apply", &[])?;
    ensure!(again.code == Some(0) && again.faults().is_empty(), "{}", again.report);
    let stands = properties(daemons.cluster()?, &[&events, &Topic::StatePresence.to_string()])?;
    ensure!(
        stands[0]["flush.messages"] == "7777",
        "what is nobody's business was changed: {}",
        stands[0]
    );
    ensure!(stands[0]["message.timestamp.type"] == "LogAppendTime", "{}", stands[0]);
    ensure!(stands[1]["cleanup.policy"] == "compact", "{}", stands[1]);

    // What cannot be put right without harm is told, with what to do, and left alone.
    let other = run("apply", &["--partitions", "5"])?;
    ensure!(other.code == Some(1), "{}", other.report);
    ensure!(
        other
            .errors
            .contains("skerry.v1.commands: partitions is 4, 5 is needed")
            && other.errors.contains("delete the topic and apply again"),
        "{}",
        other.errors
    );
    let copies = run("check", &["--replication", "3"])?;
    ensure!(
        copies.code == Some(1) && copies.errors.contains("replication is 1, at least 3 is needed"),
        "{}",
        copies.errors
    );
    // A region that went: its topics are told, and left alone.
    let fewer = run("check", &["--region", "east"])?;
    ensure!(fewer.code == Some(0), "{}", fewer.errors);
    let unknown = fewer.report["unknown"].to_string();
    ensure!(unknown.contains("skerry.v1.commands.west"), "{unknown}");

    for (args, cause) in [
        (vec!["plan"], "--config FILE or --bootstrap"),
        (vec!["plan", "--bootstrap", &bootstrap], "--region NAME"),
        (
            vec!["plan", "--bootstrap", "nowhere", "--region", "east"],
            "kafka.bootstrap",
        ),
        (
            vec!["plan", "--bootstrap", "127.0.0.1:1", "--region", "east"],
            "127.0.0.1:1",
        ),
        (
            vec![
                "plan",
                "--bootstrap",
                &bootstrap,
                "--region",
                "east",
                "--client",
                "acks=0",
            ],
            "kafka.client.acks",
        ),
    ] {
        let said = topics(&daemons, &args)?;
        ensure!(
            said.code.is_some_and(|code| code != 0) && said.errors.contains(cause),
            "{args:?}: {:?} {}",
            said.code,
            said.errors
        );
    }
    ensure!(broker.is_running(), "{}", broker.last_words());
    lab.teardown()
}

fn trial() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let daemons = Daemons::new(&lab, None)?;
    let broker = daemons.broker()?;
    let address = format!("file:{}", daemons.address_file().display());
    for what in ["plan", "apply", "check"] {
        let said = topics(&daemons, &[what, "--bootstrap", &address, "--region", "east"])?;
        ensure!(said.code == Some(1), "{what}: {:?} {}", said.code, said.errors);
        ensure!(said.errors.contains("trial broker"), "{what}: {}", said.errors);
    }
    ensure!(broker.is_running(), "{}", broker.last_words());
    lab.teardown()
}

fn admin(cluster: &Cluster) -> Result<AdminClient<DefaultClientContext>> {
    Ok(ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap())
        .create()?)
}

/// What was asked, done to its end.
fn done<T>(work: impl Future<Output = T>) -> Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().build()?.block_on(work))
}

fn make(cluster: &Cluster, topic: NewTopic<'_>) -> Result<()> {
    let admin = admin(cluster)?;
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
    for made in done(admin.create_topics([&topic], &options))?? {
        made.map_err(|(name, code)| anyhow::anyhow!("{name}: {code}"))?;
    }
    Ok(())
}

fn properties(cluster: &Cluster, topics: &[&str]) -> Result<Vec<Value>> {
    use rdkafka::admin::ResourceSpecifier::Topic;
    let admin = admin(cluster)?;
    let mut all = Vec::new();
    for topic in topics {
        let asked = [Topic(topic)];
        let answers = done(admin.describe_configs(&asked, &AdminOptions::new()))??;
        let found = answers.into_iter().next().context("no answer")?;
        let entries = found.map_err(|code| anyhow::anyhow!("{topic}: {code}"))?.entries;
        all.push(
            entries
                .into_iter()
                .map(|entry| (entry.name, Value::from(entry.value)))
                .collect(),
        );
    }
    Ok(all)
}
