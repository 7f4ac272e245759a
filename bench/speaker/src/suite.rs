//! The whole: every measurement in its turn, the table and the file.

use crate::broker::Kind;
use crate::cores::Cores;
use crate::crowd::{self, Crowd};
use crate::effort::{Clock, Effort};
use crate::goals::in_order;
use crate::series::Triples;
use crate::tls::Certificates;
use crate::world::{Setup, World};
use crate::{PREFIX, PROGRAM, apply, echo, flood};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use skerry_bench::figure::Figure;
use skerry_bench::machine;
use skerry_bench::report::{Report, shown};
use skerry_tests::helper::Helper;
use skerry_tests::interrupt;
use skerry_tests::lab::Lab;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// All of it may take twenty minutes; the last measurement that is begun ends before that.
const TIME_MAX: Duration = Duration::from_secs(18 * 60);

/// The measurements.
pub const PARTS: [&str; 5] = ["packet-ins", "echo", "apply", "flood", "crowd"];

/// What is asked for.
#[derive(Debug)]
pub struct Options {
    /// The commit that is measured.
    pub commit: String,
    /// Where the file is written.
    pub folder: PathBuf,
    /// Whether through Apache Kafka, not through the trial broker.
    pub kafka: bool,
    /// Only whether it can be measured.
    pub quick: bool,
    /// Only these parts; none: all.
    pub only: Vec<String>,
    /// Whether all is measured with TLS, too.
    pub tls: bool,
}

struct Suite {
    effort: Effort,
    clock: Clock,
    world: World,
    kafka: bool,
    /// Made when they are first needed.
    certificates: Option<Certificates>,
    figures: Vec<Figure>,
    begun: Instant,
}

/// Measures, prints and writes.
///
/// # Errors
/// Something could not be measured; or it was interrupted.
pub fn run(options: &Options) -> Result<()> {
    interrupt::install()?;
    Lab::clean_leftovers(PREFIX)?;
    let cores = Cores::here();
    let broker = if options.kafka { Kind::Kafka } else { Kind::Trial };
    let mut suite = Suite {
        effort: if options.quick { Effort::QUICK } else { Effort::WHOLE },
        clock: Clock::new(TIME_MAX),
        world: World::new(broker, cores, &options.folder)?,
        kafka: options.kafka,
        certificates: None,
        figures: Vec::new(),
        begun: Instant::now(),
    };
    let wanted = |part: &str| options.only.is_empty() || options.only.iter().any(|only| only == part);
    let mut parts = PARTS.iter().filter(|part| wanted(part));
    let measured = parts.try_for_each(|part| suite.part(part, options.tls));
    let ended = suite.world.tear_down();
    measured.and(ended)?;
    let report = Report {
        commit: options.commit.clone(),
        machine: format!("{}; {}", machine::described(), cores.told()),
        figures: in_order(suite.figures),
    };
    print!("{}", table(&report)?);
    if options.quick || !options.only.is_empty() {
        println!(
            "\nnot written: {}",
            if options.quick {
                "a quick run says nothing"
            } else {
                "not all was measured"
            }
        );
        return Ok(());
    }
    let file = options.folder.join("speaker.json");
    report.write(&file)?;
    println!("\nwritten to {}", file.display());
    Ok(())
}

impl Suite {
    /// One part, plain; and with TLS, if that is wanted and it is something of the network.
    fn part(&mut self, part: &str, tls: bool) -> Result<()> {
        let mut setups = vec![(Setup::plain(), "")];
        if tls && part != "packet-ins" {
            let certificates = match self.certificates.take() {
                Some(made) => made,
                None => Certificates::new(&self.world.lab, &self.world.daemons)?,
            };
            self.certificates = Some(certificates.clone());
            setups.push((Setup::encrypted(certificates), "_tls"));
        }
        for (setup, suffix) in setups {
            eprintln!("{:>5.0} s  {part}{suffix}", self.begun.elapsed().as_secs_f64());
            match part {
                "packet-ins" => self.packet_ins(),
                "echo" => self.echo(&setup, suffix),
                "apply" => self.apply(&setup, suffix),
                "flood" => self.flood(&setup, suffix),
                _ => self.crowd(&setup, suffix),
            }
            .with_context(|| format!("{part}{suffix}"))?;
        }
        Ok(())
    }

    fn push(&mut self, name: &str, unit: &'static str, values: Vec<f64>) {
        self.figures.push(Figure::new(name, unit, values));
    }

    fn ratio(&mut self, name: &str, triples: &Triples, ratios: Vec<f64>) {
        self.figures.extend(triples.figures(name, ratios));
    }

    fn packet_ins(&mut self) -> Result<()> {
        let args = ["packet-ins", "--switches", "1000", "--ports", "4"];
        let mut args: Vec<String> = args.map(str::to_owned).into();
        args.extend(["--runs".to_owned(), self.effort.runs.to_string()]);
        args.extend(["--time-ms".to_owned(), self.effort.echoes.as_millis().to_string()]);
        let world = &self.world;
        let command = world.program(PROGRAM, Some(world.cores.measured), &args)?;
        let helper = Helper::start(&world.lab, "packet-ins", command)?;
        let rates = helper.line(Duration::from_secs(300), |line| {
            let rates = line.get("per_second")?.as_array()?;
            Some(rates.iter().filter_map(Value::as_f64).collect::<Vec<f64>>())
        })?;
        helper.end()?;
        ensure!(rates.len() == self.effort.runs, "{} runs", rates.len());
        self.push("packet_in_per_core_s", "packets/s", rates);
        Ok(())
    }

    fn echo(&mut self, setup: &Setup, suffix: &str) -> Result<()> {
        let [latency, rate] = echo::run(&self.world, &self.effort, setup, &self.clock)?;
        self.ratio(&format!("echo_p50_ratio{suffix}"), &latency, latency.ratios());
        self.push(&format!("echo_p50_us{suffix}"), "us", latency.with().to_vec());
        self.push(&format!("echo_p50_bare_us{suffix}"), "us", latency.without().to_vec());
        self.ratio(&format!("echo_rate_ratio{suffix}"), &rate, rate.ratios());
        self.push(&format!("echo_rate_s{suffix}"), "echoes/s", rate.with().to_vec());
        self.push(
            &format!("echo_rate_bare_s{suffix}"),
            "echoes/s",
            rate.without().to_vec(),
        );
        Ok(())
    }

    fn apply(&mut self, setup: &Setup, suffix: &str) -> Result<()> {
        let triples = apply::run(&self.world, &self.effort, setup, &self.clock)?;
        let broker = self.broker();
        self.ratio(
            &format!("apply_ratio_to_ovs_ofctl{broker}{suffix}"),
            &triples,
            triples.inverse(),
        );
        self.push(&format!("apply_s{broker}{suffix}"), "s", triples.with().to_vec());
        self.push(
            &format!("apply_ovs_ofctl_s{broker}{suffix}"),
            "s",
            triples.without().to_vec(),
        );
        Ok(())
    }

    fn flood(&mut self, setup: &Setup, suffix: &str) -> Result<()> {
        let flooded = flood::run(&self.world, &self.effort, setup, &self.clock)?;
        for (name, triples) in [("flood_p50", &flooded.p50_ms), ("flood_p99", &flooded.p99_ms)] {
            self.ratio(&format!("{name}_ratio{suffix}"), triples, triples.ratios());
            self.push(&format!("{name}_ms{suffix}"), "ms", triples.with().to_vec());
            self.push(&format!("{name}_without_ms{suffix}"), "ms", triples.without().to_vec());
        }
        self.push(&format!("flood_rss_mib{suffix}"), "MiB", flooded.rss_mib);
        self.push(&format!("flood_discovery_lost{suffix}"), "packets", flooded.lost);
        self.push(&format!("flood_taken_s{suffix}"), "packets/s", flooded.taken_s);
        Ok(())
    }

    fn crowd(&mut self, setup: &Setup, suffix: &str) -> Result<()> {
        let mut crowd = Crowd::default();
        // Once for nothing: a Java virtual machine compiles what it runs often.
        let once = Effort { runs: 1, ..self.effort };
        crowd::connect_only(&self.world, &once, setup)?;
        for _ in 0..self.effort.runs {
            crowd::run(&self.world, &self.effort, setup, &mut crowd)?;
        }
        let broker = self.broker();
        self.push(&format!("connect_1000{broker}_s{suffix}"), "s", crowd.connect_s);
        self.push(&format!("idle_switch_kib{suffix}"), "KiB", crowd.switch_kib);
        self.push(&format!("idle_1000_cpu_percent{suffix}"), "%", crowd.cpu_percent);
        self.push(&format!("echo_p99_ms{suffix}"), "ms", crowd.echo_p99_ms);
        self.push(&format!("packet_out_jitter_p99_ms{suffix}"), "ms", crowd.jitter_p99_ms);
        Ok(())
    }

    /// What is in the name of a figure that includes a broker that is not Kafka.
    fn broker(&self) -> &'static str {
        if self.kafka { "" } else { "_trial_broker" }
    }
}

/// Everything for a person to read.
fn table(report: &Report) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "speaker at {}\n{}\n", report.commit, report.machine)?;
    writeln!(
        text,
        "{:<40}{:>10}  {:<10}{:>6}{:>10}{:>10}",
        "", "median", "", "runs", "min", "max"
    )?;
    for figure in &report.figures {
        writeln!(
            text,
            "{:<40}{:>10}  {:<10}{:>6}{:>10}{:>10}",
            figure.name,
            shown(figure.value),
            figure.unit,
            figure.runs,
            shown(figure.min),
            shown(figure.max)
        )?;
    }
    writeln!(text)?;
    text.push_str(&report.verdicts());
    Ok(text)
}
