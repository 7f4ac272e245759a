//! One broker, and the speakers that are measured: what every measurement is made in.

use crate::broker::{Broker, Kind};
use crate::cores::Cores;
use crate::router::Router;
use crate::tls::Certificates;
use anyhow::Result;
use skerry_tests::daemons::{ANY_PORT, Daemon, Daemons};
use skerry_tests::helper::Helper;
use skerry_tests::lab::Lab;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

/// The region of all speakers here; one after the other.
pub const REGION: &str = "bench";
/// How long a helper may take to start.
const START_MAX: Duration = Duration::from_secs(30);
/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// A lab with a broker.
pub struct World {
    /// What ends and cleans up.
    pub lab: Lab,
    /// How our programs are started.
    pub daemons: Daemons,
    /// The broker.
    pub broker: Broker,
    /// The router's part: one for all speakers, which are told apart by their epochs.
    pub router: Router,
    /// Which core does what.
    pub cores: Cores,
    /// Where speakers keep what they keep.
    state: PathBuf,
}

/// How a speaker under test differs from one with all defaults, and what follows for those that connect to it.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Further lines of its configuration: sections.
    pub more: String,
    /// The core that it is held on.
    pub core: Option<usize>,
    /// Certificates; none: plain TCP.
    pub tls: Option<Certificates>,
}

impl Setup {
    /// Plain TCP.
    pub fn plain() -> Setup {
        Setup::default()
    }

    /// TLS.
    pub fn encrypted(certificates: Certificates) -> Setup {
        Setup {
            tls: Some(certificates),
            ..Setup::default()
        }
    }

    /// The same with further lines of configuration.
    #[must_use]
    pub fn with(&self, more: &str) -> Setup {
        let mut setup = self.clone();
        setup.more = format!("{more}\n{}", self.more);
        setup
    }

    /// The same, held on a core.
    #[must_use]
    pub fn on(&self, core: usize) -> Setup {
        let mut setup = self.clone();
        setup.core = Some(core);
        setup
    }

    /// How a bridge of Open vSwitch is told to connect to it.
    pub fn target(&self, address: SocketAddr) -> String {
        let kind = if self.tls.is_some() { "ssl" } else { "tcp" };
        format!("{kind}:{address}")
    }
}

impl World {
    /// Starts the broker. Speakers keep their state below `folder`.
    ///
    /// # Errors
    /// It does not start.
    pub fn new(kind: Kind, cores: Cores, folder: &Path) -> Result<World> {
        let lab = Lab::new(crate::PREFIX)?;
        let daemons = Daemons::new(&lab, None)?;
        let broker = Broker::start(&lab, &daemons, kind)?;
        let router = Router::start(&broker.settings, REGION)?;
        Ok(World {
            lab,
            daemons,
            broker,
            router,
            cores,
            state: folder.join("speaker-state"),
        })
    }

    /// Starts a speaker and waits until it serves switches and is heard.
    ///
    /// # Errors
    /// It does not start.
    pub fn speaker(&self, setup: &Setup) -> Result<Daemon> {
        let before = self.router.epoch();
        let kafka = &self.broker.settings;
        let text = format!(
            "region = \"{REGION}\"\nnetwork_key_file = \"{}\"\nstate_dir = \"{}\"\n\n\
             [[listen]]\naddress = \"{ANY_PORT}\"\nplaintext = {}\n\n{}\n\
             [metrics]\nlisten = \"{ANY_PORT}\"\n\n\
             [kafka]\nbootstrap = \"{}\"\npartitions = {}\nfetch_wait_max_ms = {}\n\n{}",
            self.daemons.key_file().display(),
            self.new_state()?.display(),
            setup.tls.is_none(),
            setup.tls.as_ref().map(Certificates::section).unwrap_or_default(),
            kafka.bootstrap,
            kafka.partitions,
            kafka.fetch_wait_max_ms,
            setup.more
        );
        let config = self.daemons.write("speaker.toml", &text)?;
        let mut command = self.daemons.command("skerry-speaker")?;
        command.arg("--config").arg(config);
        let command = match setup.core {
            Some(core) => self.cores.pin(core, command),
            None => command,
        };
        let speaker = self.daemons.listening_speaker("speaker", command)?;
        self.router.wait_for_speaker(before)?;
        Ok(speaker)
    }

    /// An empty folder for what a speaker keeps: on a disk, since what is kept there is written before it is applied.
    fn new_state(&self) -> Result<PathBuf> {
        match fs::remove_dir_all(&self.state) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        fs::create_dir_all(&self.state)?;
        Ok(fs::canonicalize(&self.state)?)
    }

    /// Where simulated switches connect to, to reach a speaker: itself, or a door to it that speaks TLS for them.
    ///
    /// # Errors
    /// The door does not start.
    pub fn door(&self, setup: &Setup, speaker: &Daemon, core: Option<usize>) -> Result<(SocketAddr, Option<Helper>)> {
        let Some(certificates) = &setup.tls else {
            return Ok((speaker.address, None));
        };
        let args = ["door", "--to", &speaker.address.to_string(), "--tls"].map(str::to_owned);
        let mut args: Vec<String> = args.into();
        args.push(certificates.folder().display().to_string());
        let command = self.program(crate::PROGRAM, core, &args)?;
        let helper = Helper::start(&self.lab, "door", command)?;
        let address = helper.line(START_MAX, |line| line.get("address")?.as_str()?.parse().ok())?;
        Ok((address, Some(helper)))
    }

    /// Ends everything, and removes what was kept.
    ///
    /// # Errors
    /// Something does not end.
    pub fn tear_down(&self) -> Result<()> {
        let ended = self.lab.teardown();
        if let Err(error) = fs::remove_dir_all(&self.state)
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("{}: {error}", self.state.display());
        }
        ended
    }

    /// One of our programs, held on a core.
    ///
    /// # Errors
    /// It is not built.
    pub fn program(&self, program: &str, core: Option<usize>, args: &[String]) -> Result<Command> {
        let mut command = self.daemons.command(program)?;
        command.args(args);
        Ok(match core {
            Some(core) => self.cores.pin(core, command),
            None => command,
        })
    }

    /// Ends a speaker and waits for its end.
    ///
    /// # Errors
    /// It does not end.
    pub fn end(&self, speaker: &Daemon) -> Result<()> {
        speaker.process.end(GRACE).map(drop)
    }
}
