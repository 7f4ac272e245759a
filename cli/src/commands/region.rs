//! `skerry region ls|show|drain|undrain`.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use skerry_bus::api::{DrainPlan, DrainView, RegionView};
use skerry_bus::{Region, SwitchId};
use ureq::http::Method;

use crate::failure::Failure;
use crate::output::{Format, Output, pairs, table};
use crate::rest::{Router, Written, path};

/// Time between two looks at how far a drain is.
const LOOK: Duration = Duration::from_millis(100);
/// Switches that are named in one line; the others are in the JSON.
const NAMED_MAX: usize = 20;

/// Commands about regions.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Regions and whether they live
    Ls,
    /// One region: its speaker, its switches, how far it is drained
    Show {
        /// Its name
        region: Region,
    },
    /// Moves a region's switches to other regions, one by one, and gives it nothing new until `undrain`
    Drain(Drain),
    /// Takes a drained region into use again
    Undrain {
        /// Its name
        region: Region,
    },
}

/// What a drain is asked with.
#[derive(Debug, Args)]
pub struct Drain {
    /// Its name
    region: Region,
    /// Wait until no switch is left to move
    #[arg(long)]
    wait: bool,
    /// Longest time to wait, in seconds; what has not moved by then is told, and goes on
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "wait")]
    timeout: u64,
    /// Also if no other region can take some of its switches: they stay until they leave
    #[arg(long)]
    force: bool,
    /// Print where each switch would go, and do nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
}

/// Runs one.
pub fn run(command: Command, router: &Router, out: &Output) -> Result<(), Failure> {
    match command {
        Command::Ls => ls(router, out),
        Command::Show { region } => show(&region, router, out),
        Command::Drain(asked) => drain(&asked, router, out),
        Command::Undrain { region } => {
            let drain = path(&["v2", "regions", region.as_str(), "drain"]);
            router.write(Method::DELETE, &drain, None::<&()>)?;
            show(&region, router, out)
        }
    }
}

fn ls(router: &Router, out: &Output) -> Result<(), Failure> {
    let (document, regions) = router.get::<Vec<RegionView>>("/v2/regions")?;
    out.print(&document, || {
        table(
            &[
                "REGION",
                "STATE",
                "DRAIN",
                "EPOCH",
                "SWITCHES",
                "ACTIVE FOR",
                "SILENT MS",
                "TWIN",
            ],
            regions.iter().map(|r| {
                vec![
                    r.region.to_string(),
                    r.state.clone(),
                    r.drain.as_ref().map(how_far).unwrap_or_default(),
                    r.epoch.map(|n| n.to_string()).unwrap_or_default(),
                    r.switches.to_string(),
                    r.active_for.to_string(),
                    r.silent_ms.map(|n| n.to_string()).unwrap_or_default(),
                    r.twin.clone().unwrap_or_default(),
                ]
            }),
        )
    })
}

fn how_far(drain: &DrainView) -> String {
    match drain.left {
        0 => drain.state.clone(),
        left => format!("{}, {left} left", drain.state),
    }
}

fn show(region: &Region, router: &Router, out: &Output) -> Result<(), Failure> {
    let (document, r) = router.get::<RegionView>(&path(&["v2", "regions", region.as_str()]))?;
    out.print(&document, || {
        let mut all = vec![
            ("region", r.region.to_string()),
            ("state", r.state.clone()),
            ("speaker", r.speaker.clone()),
            ("epoch", r.epoch.map(|n| n.to_string()).unwrap_or_default()),
            ("twin", r.twin.clone().unwrap_or_default()),
            ("switches", r.switches.to_string()),
            ("active for", r.active_for.to_string()),
            ("silent ms", r.silent_ms.map(|n| n.to_string()).unwrap_or_default()),
        ];
        if let Some(drain) = &r.drain {
            all.push(("drain", how_far(drain)));
            all.push(("moving", drain.moving.to_string()));
            all.push(("moved", drain.moved.to_string()));
            all.push(("hanging", names(&drain.hanging)));
            all.push(("staying", names(&drain.staying)));
        }
        pairs(all)
    })
}

fn names(switches: &[SwitchId]) -> String {
    let named: Vec<String> = switches.iter().take(NAMED_MAX).map(SwitchId::to_string).collect();
    match switches.len().checked_sub(NAMED_MAX) {
        None | Some(0) => named.join(", "),
        Some(more) => format!("{} and {more} more", named.join(", ")),
    }
}

fn drain(asked: &Drain, router: &Router, out: &Output) -> Result<(), Failure> {
    let mut uri = path(&["v2", "regions", asked.region.as_str(), "drain"]);
    uri.push_str(&format!("?force={}&dry_run={}", asked.force, asked.dry_run));
    let written = router.write(Method::PUT, &uri, None::<&()>)?;
    if asked.dry_run {
        return plan(written, out);
    }
    if asked.wait {
        wait(asked, router, out)?;
    }
    show(&asked.region, router, out)
}

fn plan(written: Written, out: &Output) -> Result<(), Failure> {
    let Written::Done(document) = written else {
        return Err(Failure::Failed("the router did not answer with a plan".to_owned()));
    };
    let plan: DrainPlan = serde_json::from_value(document.clone())
        .map_err(|e| Failure::Failed(format!("the router did not answer with a plan: {e}")))?;
    out.print(&document, || {
        table(
            &["SWITCH", "TO"],
            plan.moves.iter().map(|m| {
                let to = m.to.as_ref().map_or("no other region".to_owned(), Region::to_string);
                vec![m.switch_id.to_string(), to]
            }),
        )
    })
}

/// Look until nothing is left, or the time is over.
fn wait(asked: &Drain, router: &Router, out: &Output) -> Result<(), Failure> {
    let end = Instant::now() + Duration::from_secs(asked.timeout);
    let uri = path(&["v2", "regions", asked.region.as_str()]);
    let mut said = None;
    loop {
        let (_, view) = router.get::<RegionView>(&uri)?;
        let Some(drain) = view.drain else {
            return Err(Failure::Failed(format!("region {} is in use again", asked.region)));
        };
        if drain.left == 0 {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(Failure::Failed(still_there(asked, &drain)));
        }
        if out.format() == Format::Table && said != Some(drain.left) {
            said = Some(drain.left);
            eprintln!("skerry: region {}: {} left", asked.region, drain.left);
        }
        std::thread::sleep(LOOK);
    }
}

fn still_there(asked: &Drain, drain: &DrainView) -> String {
    let mut text = format!(
        "region {} is not drained after {} s: {} switches are left",
        asked.region, asked.timeout, drain.left
    );
    for (what, switches) in [
        ("their next region does not confirm", &drain.hanging),
        ("no other region can take them", &drain.staying),
    ] {
        if !switches.is_empty() {
            text.push_str(&format!("\n  {what}: {}", names(switches)));
        }
    }
    text
}
