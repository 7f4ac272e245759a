//! `skerry switch ls|show|connections|plan`.

use clap::Subcommand;
use skerry_bus::SwitchId;
use skerry_bus::api::{ConnectionsView, RefusedView, SwitchView};
use skerry_bus::presence::RegionPresence;
use skerry_bus::results::{Sending, SwitchPlan};

use crate::failure::Failure;
use crate::output::{Output, name, pairs, table};
use crate::rest::{Router, path};
use crate::utc;

/// Commands about switches.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Switches and where they are reached
    Ls {
        /// Connections that were refused instead, and why
        #[arg(long)]
        refused: bool,
    },
    /// One switch: regions, ports, what is applied
    Show {
        /// Its id, such as 0x1
        switch: SwitchId,
    },
    /// Which regions reach a switch, how, from where and since when
    Connections {
        /// Its id, such as 0x1
        switch: SwitchId,
    },
    /// What would be done to make a switch what it shall be; nothing is sent to it
    Plan {
        /// Its id, such as 0x1
        switch: SwitchId,
    },
}

/// Runs one.
pub fn run(command: Command, router: &Router, out: &Output) -> Result<(), Failure> {
    match command {
        Command::Ls { refused: false } => ls(router, out),
        Command::Ls { refused: true } => refused(router, out),
        Command::Show { switch } => show(switch, router, out),
        Command::Connections { switch } => all_connections(switch, router, out),
        Command::Plan { switch } => plan(switch, router, out),
    }
}

fn ls(router: &Router, out: &Output) -> Result<(), Failure> {
    let (document, switches) = router.get::<Vec<SwitchView>>("/v2/switches")?;
    out.print(&document, || {
        table(
            &[
                "SWITCH", "STATE", "ACTIVE", "TERM", "REGIONS", "PORTS", "APPLIED", "SOFTWARE",
            ],
            switches.iter().map(|s| {
                let regions: Vec<String> = s.availability.iter().map(|r| r.region.to_string()).collect();
                vec![
                    s.switch_id.to_string(),
                    s.state.clone(),
                    s.active_region.as_ref().map(|r| r.to_string()).unwrap_or_default(),
                    s.term.to_string(),
                    regions.join(","),
                    format!("{} of {} up", s.ports.iter().filter(|p| p.up).count(), s.ports.len()),
                    applied(s),
                    s.description.software.clone(),
                ]
            }),
        )
    })
}

fn applied(s: &SwitchView) -> String {
    if !s.apply_error.is_empty() {
        format!("{} of {}: {}", s.generation_applied, s.generation_wanted, s.apply_error)
    } else if s.generation_applied == s.generation_wanted {
        s.generation_applied.to_string()
    } else {
        format!("{} of {}", s.generation_applied, s.generation_wanted)
    }
}

fn refused(router: &Router, out: &Output) -> Result<(), Failure> {
    let (document, refused) = router.get::<Vec<RefusedView>>("/v2/switches/refused")?;
    out.print(&document, || {
        table(
            &["ADDRESS", "SWITCH", "REGION", "TIMES", "LAST", "REASON"],
            refused.iter().map(|r| {
                vec![
                    r.address.clone(),
                    r.switch_id.map(|s| s.to_string()).unwrap_or_default(),
                    r.region.to_string(),
                    r.times.to_string(),
                    utc::text(r.at_ms),
                    r.reason.clone(),
                ]
            }),
        )
    })
}

fn show(switch: SwitchId, router: &Router, out: &Output) -> Result<(), Failure> {
    let (document, s) = router.get::<SwitchView>(&path(&["v2", "switches", &switch.to_string()]))?;
    out.print(&document, || {
        let mut text = pairs([
            ("switch", s.switch_id.to_string()),
            ("state", s.state.clone()),
            (
                "active",
                s.active_region.as_ref().map(|r| r.to_string()).unwrap_or_default(),
            ),
            ("term", s.term.to_string()),
            ("applied", applied(&s)),
            ("last left", s.last_left.clone()),
            ("manufacturer", s.description.manufacturer.clone()),
            ("hardware", s.description.hardware.clone()),
            ("software", s.description.software.clone()),
            ("serial number", s.description.serial_number.clone()),
            ("openflow", s.description.openflow.clone()),
            (
                "bundles",
                match s.features.bundles {
                    Some(true) => "taken",
                    Some(false) => "not taken",
                    None => "not known",
                }
                .to_owned(),
            ),
        ]);
        text.push('\n');
        text.push_str(&connections(&s.availability));
        text.push('\n');
        text.push_str(&table(
            &["PORT", "NAME", "STATE", "KBIT/S"],
            s.ports.iter().map(|p| {
                vec![
                    p.port.to_string(),
                    p.name.clone(),
                    if p.up { "up" } else { "down" }.to_owned(),
                    p.speed_kbps.to_string(),
                ]
            }),
        ));
        text
    })
}

fn plan(switch: SwitchId, router: &Router, out: &Output) -> Result<(), Failure> {
    let (document, plan) = router.get::<SwitchPlan>(&path(&["v2", "switches", &switch.to_string(), "plan"]))?;
    out.print(&document, || {
        let mut text = plan.to_string();
        let sent = match plan.sending {
            Sending::Stages => "stages",
            Sending::Bundles => "bundles",
        };
        let mut facts = Vec::new();
        if plan.steps > 0 {
            facts.push(format!("{} steps, sent as {sent}", plan.steps));
        }
        if let Some(generation) = plan.generation {
            facts.push(format!("generation {generation}"));
        }
        if !plan.foreign.is_empty() {
            facts.push(format!("foreign objects that are left alone: {}", plan.foreign.len()));
        }
        text.push_str(&facts.join("; "));
        text.push('\n');
        text
    })
}

fn all_connections(switch: SwitchId, router: &Router, out: &Output) -> Result<(), Failure> {
    let uri = path(&["v2", "switches", &switch.to_string(), "connections"]);
    let (document, view) = router.get::<ConnectionsView>(&uri)?;
    out.print(&document, || {
        table(
            &[
                "REGION",
                "STATE",
                "MODE",
                "ROLE",
                "ACTIVE",
                "TERM",
                "SWITCH",
                "SPEAKER",
                "CONNECTED SINCE",
                "UPTIME S",
            ],
            view.connections.iter().map(|c| {
                let since = match c.connected_at_ms {
                    0 => String::new(),
                    ms => utc::text(ms),
                };
                let state = match (c.live, c.drained) {
                    (true, false) => "live",
                    (true, true) => "drained",
                    (false, _) => "not heard",
                };
                vec![
                    c.region.to_string(),
                    state.to_owned(),
                    name(&c.mode),
                    name(&c.role),
                    if c.active { "yes" } else { "no" }.to_owned(),
                    c.term.map(|t| t.to_string()).unwrap_or_default(),
                    c.switch_address.clone(),
                    c.speaker_address.clone(),
                    since,
                    (c.uptime_ms / 1_000).to_string(),
                ]
            }),
        )
    })
}

fn connections(availability: &[RegionPresence]) -> String {
    table(
        &["REGION", "ROLE", "MODE", "ACTIVE", "ADDRESS", "UPTIME S"],
        availability.iter().map(|r| {
            vec![
                r.region.to_string(),
                name(&r.role),
                name(&r.mode),
                if r.active { "yes" } else { "no" }.to_owned(),
                r.ip.clone(),
                (r.uptime / 1_000).to_string(),
            ]
        }),
    )
}
