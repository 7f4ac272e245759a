//! The options that both daemons have.

use std::path::PathBuf;

use super::{Loaded, Settings, load};

/// Exit status when the configuration is wrong.
pub const EXIT_CONFIG: u8 = 1;

/// Options of a daemon. `--version` and `--help` come from clap.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct DaemonArgs {
    /// Configuration file (TOML). Without it, defaults and the environment decide.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Read this configuration, name everything that is wrong with it, and end: 0 nothing, 1 something.
    #[arg(long, value_name = "CONFIG")]
    pub check: Option<PathBuf>,
    /// Print the effective values with their origin (default, file and line, environment) and end.
    #[arg(long)]
    pub print_config: bool,
}

/// What a daemon does after its options were read.
#[derive(Debug)]
pub enum Start<C> {
    /// Run with this.
    Run(Box<Loaded<C>>),
    /// End with this status; all has been said.
    Exit(u8),
}

impl DaemonArgs {
    /// Do what the options ask for. Faults go to standard error, one a line.
    pub fn start<C: Settings>(&self) -> Start<C> {
        let file = self.check.as_deref().or(self.config.as_deref());
        match load::<C>(
            file,
            std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?))),
        ) {
            Err(error) => {
                eprintln!("{error}");
                Start::Exit(EXIT_CONFIG)
            }
            Ok(loaded) if self.print_config => {
                print!("{}", loaded.print());
                Start::Exit(0)
            }
            Ok(_) if self.check.is_some() => Start::Exit(0),
            Ok(loaded) => Start::Run(Box::new(loaded)),
        }
    }
}
