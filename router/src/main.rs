//! The router's process: options, configuration, then [`skerry_router::driver`].

use std::process::ExitCode;

use clap::Parser;
use skerry_io::config::{DaemonArgs, Start};
use skerry_router::config::RouterConfig;

/// The router: knows which region reaches which switch, owns the customers' flows and watches their latency.
#[derive(Debug, Parser)]
#[command(name = "skerry-router", version)]
struct Args {
    #[command(flatten)]
    daemon: DaemonArgs,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let loaded = match args.daemon.start::<RouterConfig>() {
        Start::Run(loaded) => loaded,
        Start::Exit(status) => return ExitCode::from(status),
    };
    match skerry_router::driver::run(loaded.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("skerry-router: {error:#}");
            ExitCode::FAILURE
        }
    }
}
