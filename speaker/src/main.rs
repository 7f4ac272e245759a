//! The speaker's process: options, configuration, then [`skerry_speaker::driver`].

use std::process::ExitCode;

use clap::Parser;
use skerry_io::config::{DaemonArgs, Start};
use skerry_speaker::config::SpeakerConfig;

/// The speaker: talks OpenFlow to the switches of a region and Kafka to the routers.
///
/// Exit status: 0 it was asked to end, 1 the configuration is wrong or it could not go on (the last line says why),
/// 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "skerry-speaker", version)]
struct Args {
    #[command(flatten)]
    daemon: DaemonArgs,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let loaded = match args.daemon.start::<SpeakerConfig>() {
        Start::Run(loaded) => loaded,
        Start::Exit(status) => return ExitCode::from(status),
    };
    match skerry_speaker::driver::run(&loaded.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("skerry-speaker: {error:#}");
            ExitCode::FAILURE
        }
    }
}
