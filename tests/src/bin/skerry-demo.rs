//! `skerry-demo`: the demo of `make demo`.
//!
//! Exit codes: 0 every step was as it should be, 1 one was not, 2 the machine lacks something, 130 interrupted.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use skerry_tests::demo::{self, Ending, PREFIX, World};
use skerry_tests::{interrupt, lab::Lab, relay::Relay, sys, tool};

/// A small network of real switches in which every step of the main job is shown and measured.
#[derive(Debug, Parser)]
struct Args {
    /// Go through the scenario once and exit.
    #[arg(long)]
    check: bool,
    /// With simulated switches, links and hosts in one process: needs no root and no Open vSwitch.
    #[arg(long)]
    sim: bool,
    /// Remove what a killed demo left behind, and exit.
    #[arg(long)]
    clean: bool,
    /// Where the summary is written; without it `target/demo/summary.json`.
    #[arg(long)]
    summary: Option<PathBuf>,
}

/// Programs the demo starts, with the package that has each.
const NEEDED: [(&str, &str); 6] = [
    ("ovs-vswitchd", "openvswitch-switch"),
    ("ovsdb-server", "openvswitch-switch"),
    ("ovs-ofctl", "openvswitch-switch"),
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("tcpdump", "tcpdump"),
];

fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = interrupt::install() {
        eprintln!("skerry-demo: signals cannot be handled: {error}");
        return ExitCode::from(2);
    }
    let lacking = if args.sim { Vec::new() } else { lacking() };
    if !lacking.is_empty() {
        eprintln!("skerry-demo: this machine lacks {}", lacking.join(", "));
        eprintln!("The same with simulated switches needs none of it: make demo SIM=1");
        return ExitCode::from(2);
    }
    match Lab::clean_leftovers(PREFIX) {
        Ok(removed) => removed
            .iter()
            .for_each(|name| demo::say(&format!("removed {name}, which a killed run had left"))),
        Err(error) => eprintln!("skerry-demo: leftovers of a killed run: {error:#}"),
    }
    if args.clean {
        return ExitCode::SUCCESS;
    }
    let stay = |world: &World| {
        if !args.check {
            stay_up(world, args.sim)
        }
    };
    match demo::run(&args.summary.unwrap_or_else(summary_path), args.sim, stay) {
        Ok(Ending::Good) => ExitCode::SUCCESS,
        Ok(Ending::StepFailed) => ExitCode::from(1),
        Ok(Ending::Interrupted) => ExitCode::from(130),
        Err(error) => {
            eprintln!("skerry-demo: {error:#}");
            ExitCode::from(1)
        }
    }
}

/// `target/demo/summary.json`, beside the programs' folder.
fn summary_path() -> PathBuf {
    let target = tool::path("skerry-demo")
        .ok()
        .and_then(|own| own.ancestors().nth(2).map(Path::to_owned));
    target
        .unwrap_or_else(|| PathBuf::from("target"))
        .join("demo")
        .join("summary.json")
}

fn lacking() -> Vec<String> {
    let mut lacking = Vec::new();
    if !sys::is_root() {
        lacking.push("root (for network namespaces)".to_owned());
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    // Programs for administrators are not always on a user's path.
    let folders: Vec<PathBuf> = std::env::split_paths(&paths)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .collect();
    for (program, package) in NEEDED {
        if !folders.iter().any(|folder| folder.join(program).is_file()) {
            lacking.push(format!("{program} (package {package})"));
        }
    }
    if !Path::new("/dev/net/tun").exists() {
        lacking.push("/dev/net/tun".to_owned());
    }
    lacking
}

/// Keep the world until a signal comes, with a door to its router.
fn stay_up(world: &World, simulated: bool) {
    if simulated {
        // It listens on this machine's loopback, and needs no door.
        return stay_at(world.router);
    }
    match Relay::open(&world.lab, "control", world.router) {
        Ok(relay) => stay_at(relay.address()),
        Err(error) => eprintln!("skerry-demo: no door to the router: {error:#}"),
    }
}

fn stay_at(address: SocketAddr) {
    demo::say(&format!(
        "\nThe world stays up. Its router is at http://{address}; in another terminal:\n  \
         export SKERRY_ROUTER=http://{address}\n  \
         target/debug/skerry status; target/debug/skerry switch ls; target/debug/skerry tail\n\
         Ctrl-C ends it and removes everything it made."
    ));
    while !interrupt::wait(Duration::from_secs(3600)) {}
}
