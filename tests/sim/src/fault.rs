//! What goes wrong, when, and for how long: drawn from the seed before the world begins.

use skerry_bus::PortNo;

use crate::client::Who;
use crate::random::Random;
use crate::scenario::Scenario;
use crate::time::{MS, Ns, SECOND};

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A process is killed; it starts again when the fault ends.
    Killed(Who),
    /// A process is stopped and continued: its clock jumps.
    Stopped(Who),
    /// A process cannot reach the log.
    Cut(Who),
    /// Nobody can.
    LogAway,
    /// What a process reads comes late.
    Slow(Who, Ns),
    /// A process is killed, and what it had sent arrives when another has begun.
    KilledLate(Who),
    /// A switch starts anew: it forgets rules, roles and number.
    Rebooted(usize),
    /// A switch loses its connection to a region.
    Disconnected(usize, usize),
    /// A switch loses all its connections at once.
    Alone(usize),
    /// A cable lets nothing through, and its ends do not see it.
    Silent(usize),
    /// A cable is out: both ends see it.
    Unplugged(usize),
    /// A port without a cable goes down.
    PortDown(usize, PortNo),
    /// The disk of a speaker takes its time.
    DiskSlow(usize, Ns),
    /// The disk of a speaker takes nothing.
    DiskBroken(usize),
    /// The store of the router takes its time.
    StoreSlow(Ns),
    /// A switch leaves a region for good.
    Left(usize, usize),
    /// A packet that once was a good one, or never was, comes in at a port.
    Forged(usize, PortNo),
}

/// A fault.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// When it begins.
    pub at: Ns,
    /// When it is over.
    pub until: Ns,
    /// What it is.
    pub kind: Kind,
}

/// All faults of a seed, earliest first. Nothing is wrong any more when the world becomes quiet.
pub fn schedule(scenario: &Scenario) -> Vec<Fault> {
    let random = &mut Random::new(scenario.seed, 2);
    let first = 1_500 * MS;
    let last = scenario.busy_until;
    let mut faults: Vec<Fault> = Vec::new();
    while (faults.len() as u64) < scenario.faults {
        let at = random.between(first, last - 300 * MS);
        match random.below(24) {
            0 => {
                flapping(random, scenario, at, &mut faults);
                continue;
            }
            1 => {
                leaving(random, scenario, at, &mut faults);
                continue;
            }
            _ => {}
        }
        let (kind, long) = draw(random, scenario);
        let until = (at + long).min(last);
        faults.push(Fault { at, until, kind });
    }
    faults.sort_by_key(|fault| (fault.at, fault.until));
    faults
}

/// A region that comes and goes.
fn flapping(random: &mut Random, scenario: &Scenario, at: Ns, faults: &mut Vec<Fault>) {
    let region = random.below(scenario.regions.len() as u64) as usize;
    for n in 0..3 {
        let at = at + n * 2 * SECOND;
        if at + SECOND < scenario.busy_until {
            let kind = Kind::Killed(Who::Speaker(region));
            let until = at + random.between(200, 1_000) * MS;
            faults.push(Fault { at, until, kind });
        }
    }
}

/// A switch leaves a region that cannot say so at that moment. Once is enough: it has to have another.
fn leaving(random: &mut Random, scenario: &Scenario, at: Ns, faults: &mut Vec<Fault>) {
    let switch = random.below(scenario.switches.len() as u64) as usize;
    let homes = &scenario.switches[switch].homes;
    let left = |fault: &Fault| matches!(fault.kind, Kind::Left(of, _) if of == switch);
    if homes.len() < 2 || faults.iter().any(left) {
        return;
    }
    let home = *random.pick(homes);
    let until = (at + random.between(300, 3_000) * MS).min(scenario.busy_until);
    let kind = Kind::Cut(Who::Speaker(home));
    faults.push(Fault { at, until, kind });
    let at = at + random.below(200) * MS;
    let kind = Kind::Left(switch, home);
    faults.push(Fault { at, until: at, kind });
}

/// What goes wrong, and for how long.
fn draw(random: &mut Random, scenario: &Scenario) -> (Kind, Ns) {
    let regions = scenario.regions.len() as u64;
    let speaker = Who::Speaker(random.below(regions) as usize);
    let region = random.below(regions) as usize;
    let router = Who::Router(0);
    let switch = random.below(scenario.switches.len() as u64) as usize;
    let home = *random.pick(&scenario.switches[switch].homes);
    let cable = random.below(scenario.cables.len() as u64) as usize;
    let port = PortNo(random.between(1, u64::from(scenario.switches[switch].ports)) as u32);
    let short = random.between(20, 400) * MS;
    let long = random.between(500, 4_000) * MS;
    let any = if random.percent(50) { short } else { long };
    match random.below(40) {
        0..4 => (Kind::Killed(speaker), any),
        4..7 => (Kind::Stopped(speaker), any),
        7..11 => (Kind::Cut(speaker), any),
        11..13 => (Kind::LogAway, any),
        13..15 => (Kind::Killed(router), any / 2),
        15 => (Kind::Stopped(router), any),
        16 => (Kind::Cut(router), any),
        17 => (Kind::KilledLate(router), short),
        18 => (Kind::KilledLate(speaker), short),
        19 => (Kind::Slow(speaker, random.between(50, 900) * MS), long),
        20 => (Kind::Slow(router, random.between(50, 900) * MS), long),
        21..25 => (Kind::Rebooted(switch), any / 2),
        25..28 => (Kind::Disconnected(switch, home), short),
        28..30 => (Kind::Alone(switch), short),
        30..32 => (Kind::Silent(cable), long),
        32..34 => (Kind::Unplugged(cable), any),
        34 => (Kind::PortDown(switch, PortNo(3)), any),
        35 => (Kind::DiskSlow(region, random.between(50, 1_500) * MS), long),
        36 => (Kind::DiskBroken(region), long),
        37 => (Kind::StoreSlow(random.between(50, 1_000) * MS), long),
        _ => (Kind::Forged(switch, port), 0),
    }
}
