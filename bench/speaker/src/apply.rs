//! Rules into a real Open vSwitch: by the speaker, asked for in one command, and by the switch's own tool.
//!
//! The tool gets the very same rules: what the switch shows after the first apply, as text. Both begin with empty tables, and
//! after each the tables are counted.

use crate::effort::{Clock, Effort, interleaved};
use crate::series::{Triples, Turn};
use crate::world::{Setup, World};
use anyhow::{Context, Result, bail, ensure};
use skerry_bus::objects::{Action, Match, Objects, OutPort, Rule, RuleKey};
use skerry_bus::{Cookie, DesiredChange, PortNo, SwitchId};
use skerry_tests::ovs::{Controllers, Ovs};
use std::fs;
use std::time::{Duration, Instant};

const BRIDGE: &str = "b1";
const SWITCH: SwitchId = SwitchId(0xb1);
const PORTS: u32 = 4;
/// Applies that are not counted, for each run of what is no ratio.
const WARM_UP: usize = 4;
/// How long one apply may take.
const APPLY_MAX: Duration = Duration::from_secs(60);

/// Measures it: seconds, with the speaker and with the tool.
///
/// # Errors
/// Something did not start, or a rule did not arrive.
pub fn run(world: &World, effort: &Effort, setup: &Setup, clock: &Clock) -> Result<Triples> {
    let speaker = world.speaker(setup)?;
    let ovs = Ovs::start_dummy(&world.lab)?;
    if let Some(files) = &setup.tls {
        let [key, cert, ca] =
            [files.switch("key"), files.switch("cert"), files.ca()].map(|path| path.display().to_string());
        ovs.vsctl(&["set-ssl", &key, &cert, &ca])?;
    }
    let target = setup.target(speaker.address);
    ovs.add_bridge(BRIDGE, SWITCH.0, &Controllers::new([target]))?;
    for port in 1..=PORTS {
        ovs.add_dummy_port(BRIDGE, &format!("p{port}"), port, None)?;
    }
    world.router.wait_announced(1, APPLY_MAX)?;
    let term = 1;
    let name = world.router.activate(SWITCH, term)?;
    world.router.applied(&[name], APPLY_MAX)?;

    let wanted = rules(effort.rules);
    let mut generation = 0;
    let mut desire = |objects: &Objects| -> Result<f64> {
        generation += 1;
        let change = DesiredChange::Snapshot {
            objects: objects.clone(),
        };
        let (name, said) = world.router.desire(SWITCH, term, generation, change)?;
        let answered = world.router.applied(&[name], APPLY_MAX)?;
        let answered = answered.first().context("one answer")?;
        Ok(answered.saturating_duration_since(said).as_secs_f64())
    };
    // For nothing: a Java virtual machine compiles what it runs often, and a deployment's broker has run for long.
    for _ in 0..WARM_UP * effort.runs {
        desire(&wanted)?;
        desire(&Objects::new())?;
    }
    // Once more: the switch's text of the rules.
    desire(&wanted)?;
    let lines = ovs.dump_flows(BRIDGE)?;
    ensure!(
        lines.len() == wanted.len(),
        "{} of {} rules arrived",
        lines.len(),
        wanted.len()
    );
    let file = world.lab.folder().join("rules.txt");
    fs::write(&file, lines.join("\n") + "\n")?;
    let file = file.to_str().context("a path that is text")?;
    desire(&Objects::new())?;

    let mut triples = interleaved(1, effort, clock, |turn| {
        let took = match turn {
            Turn::With => desire(&wanted)?,
            Turn::Without | Turn::Again => {
                let since = Instant::now();
                ovs.ofctl(&["--bundle", "add-flows", BRIDGE, file])?;
                since.elapsed().as_secs_f64()
            }
        };
        let there = ovs.dump_flows(BRIDGE)?;
        if there != lines {
            let differs = there.iter().zip(&lines).find(|(there, wanted)| there != wanted);
            bail!(
                "{turn:?}: {} of {} rules are there; {differs:?}",
                there.len(),
                lines.len()
            );
        }
        match turn {
            Turn::With => {
                desire(&Objects::new())?;
            }
            Turn::Without | Turn::Again => {
                ovs.ofctl(&["del-flows", BRIDGE])?;
            }
        }
        ensure!(ovs.dump_flows(BRIDGE)?.is_empty(), "rules were left");
        Ok(vec![took])
    })?;
    ovs.stop()?;
    // The next one of this lab has its files at the same place.
    fs::remove_dir_all(ovs.folder())?;
    world.end(&speaker)?;
    triples.pop().context("one value")
}

/// Rules of a transit switch: six fields are looked at, a tag is changed and the packet sent on.
pub fn rules(count: u32) -> Objects {
    let mut objects = Objects::new();
    for number in 0..count {
        let mut to = [0x02, 0, 0, 0, 0, 0];
        to[2..].copy_from_slice(&number.to_be_bytes());
        let matches = Match {
            in_port: Some(PortNo(1 + number % PORTS)),
            eth_dst: Some(skerry_bus::objects::Mac(to)),
            eth_type: Some(0x0800),
            vlan: Some(1 + (number % 4_094) as u16),
            ip_proto: Some(17),
            udp_dst: Some((number % 50_000) as u16),
            ..Match::default()
        };
        objects.put_rule(Rule {
            key: RuleKey {
                table: 0,
                priority: 1_000,
                matches,
            },
            // Bit 62 says that it is ours.
            cookie: Cookie(1 << 62 | u64::from(number)),
            meter: None,
            apply: vec![
                Action::SetVlan(1 + ((number + 1) % 4_094) as u16),
                Action::SetEthDst(skerry_bus::objects::Mac([0x02, 1, 0, 0, 0, 1])),
                Action::Output(OutPort::Port(PortNo(1 + (number + 1) % PORTS))),
            ],
            write_metadata: None,
            goto: None,
            reset_counts: false,
        });
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rules_differ() {
        assert_eq!(rules(10_000).len(), 10_000);
    }
}
