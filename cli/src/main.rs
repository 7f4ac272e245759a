//! `skerry`, the operator's command: the router's REST API with tables and JSON, the topics of a cluster, replays of recorded
//! inputs, OpenFlow on paper, the trial broker, simulated switches and the load generator.
//!
//! It decides nothing about the network: it asks the router, or runs the pure parts of Skerry on files.
//!
//! Exit codes: 0 done; 1 refused or failed, with the cause on standard error; 2 wrong usage; 3 the router is
//! not reachable.

mod broker;
mod commands;
mod endpoint;
mod failure;
mod lab_ca;
mod lines;
mod load;
mod ofp;
mod output;
mod replay;
mod rest;
mod sim;
mod utc;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::rest::Router;

#[derive(Debug, Parser)]
#[command(
    name = "skerry",
    version,
    about = "Runs wide-area OpenFlow networks from many places at once"
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command that asks the router has.
#[derive(Debug, Args)]
struct Common {
    /// How answers are printed: a table, or one JSON document
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// The router's REST address
    #[arg(
        long,
        global = true,
        env = "SKERRY_ROUTER",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    router: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the router knows, in numbers
    Status,
    /// Switches
    #[command(subcommand)]
    Switch(commands::switch::Command),
    /// Links between switches
    #[command(subcommand)]
    Link(commands::link::Command),
    /// Regions
    #[command(subcommand)]
    Region(commands::region::Command),
    /// Customers' flows, their mirror and join points
    #[command(subcommand)]
    Flow(commands::flow::Command),
    /// Operations: long work on flows
    #[command(subcommand)]
    Operation(commands::operation::Command),
    /// Feature toggles
    #[command(subcommand)]
    Feature(commands::feature::Command),
    /// Kafka's topics: what is wrong with them, and making them right
    #[command(subcommand)]
    Topics(commands::topics::Command),
    /// Events as they come, until interrupted
    Tail(commands::tail::Tail),
    /// Feeds recorded inputs to a machine of the router and prints what it says
    #[command(subcommand)]
    Replay(replay::Command),
    /// OpenFlow messages as JSON and back
    #[command(subcommand)]
    Ofp(ofp::Command),
    /// The trial broker, for one machine
    Broker(broker::BrokerArgs),
    /// A CA for a trial, with the certificates of a speaker and of switches
    LabCa(lab_ca::LabCaArgs),
    /// Simulated switches, cables and hosts in one process
    Sim(sim::SimArgs),
    /// Simulated switches by the thousand, to load a controller and measure it
    Load(Box<load::LoadArgs>),
}

fn main() -> ExitCode {
    // clap answers wrong usage itself, with exit code 2.
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(text) = failure.text() {
                eprintln!("skerry: {text}");
            }
            failure.code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let out = Output::new(cli.common.output);
    let router = || Router::new(&cli.common.router);
    match cli.command {
        Command::Status => commands::status::run(&router()?, &out),
        Command::Switch(command) => commands::switch::run(command, &router()?, &out),
        Command::Link(command) => commands::link::run(command, &router()?, &out),
        Command::Region(command) => commands::region::run(command, &router()?, &out),
        Command::Flow(command) => commands::flow::run(command, &router()?, &out),
        Command::Operation(command) => commands::operation::run(command, &router()?, &out),
        Command::Feature(command) => commands::feature::run(command, &router()?, &out),
        Command::Topics(command) => commands::topics::run(command, &out),
        Command::Tail(tail) => commands::tail::run(&tail, &router()?, &out),
        Command::Replay(command) => replay::run(&command),
        Command::Ofp(command) => ofp::run(&command),
        Command::Sim(args) => sim::run(&args),
        Command::Load(args) => load::run(&args),
        Command::LabCa(args) => lab_ca::run(&args).map_err(|e| Failure::Failed(format!("{e:#}"))),
        Command::Broker(args) => broker::run(&args).map_err(|e| Failure::Failed(format!("{e:#}"))),
    }
}
