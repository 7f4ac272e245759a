//! Steps "failover" and "return": the active region is stopped with a command under way, continued, and later the
//! active one is killed; traffic never stops. Then the killed one comes back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use skerry_bus::objects::{Match, ObjectKeys, Objects, Rule, RuleKey};
use skerry_bus::{Cookie, Outcome, PortNo, ReplyBody, VirtualEvent, VirtualEventBody};

use super::flow::{VLAN_A, VLAN_B};
use super::world::{REGIONS, switch_id};
use super::{Summary, World, say};
use crate::packet::{Kind, Stream, Tag};
use crate::wait;
use crate::wire::{Answer, Conversations, IS_SLAVE, Moment, STALE, kind, now};

const STREAM: u32 = 30;
const RATE: u32 = 500;
const QUIET: Duration = Duration::from_secs(2);
/// Rules of the command that is under way when its region is stopped: many windows of unanswered messages, so that the
/// stop falls between two of them.
const RULES: u32 = 6_000;
/// The stop must fall into the command; when it comes too late, it is tried again.
const TRIES_MAX: u32 = 6;
/// From the kill to the first command applied elsewhere.
const APPLIED_MAX: Duration = Duration::from_millis(3_000);
/// Interval of commands while a region is dead.
const COMMAND_EVERY: Duration = Duration::from_millis(50);
/// A table, and ports that no switch of the ring has, so that the rules never see a packet.
const TABLE: u8 = 5;
const PORTS_FROM: u32 = 10_000;
const PRIORITY: u16 = 7;
/// Bit 63 makes it ours.
const COOKIE: u64 = 0x8000_0000_0de0_0000;

fn rules(from: u32, count: u32) -> Objects {
    let mut objects = Objects::new();
    for number in from..from + count {
        objects.put_rule(Rule {
            key: RuleKey {
                table: TABLE,
                priority: PRIORITY,
                matches: Match {
                    in_port: Some(PortNo(PORTS_FROM + number)),
                    ..Match::default()
                },
            },
            cookie: Cookie(COOKIE + u64::from(number)),
            meter: None,
            apply: Vec::new(),
            write_metadata: None,
            goto: None,
            reset_counts: false,
        });
    }
    objects
}

/// Number of the last event so far.
fn last_event(world: &World) -> Result<u64> {
    Ok(events_since(world, 0)?.last().map_or(0, |e| e.number))
}

/// Virtual events after a number, as the router kept them.
pub fn events_since(world: &World, number: u64) -> Result<Vec<VirtualEvent>> {
    world.rest.get(&format!("/v2/events/kept?since={number}"))
}

fn outcome(body: &ReplyBody) -> Option<Outcome> {
    match body {
        ReplyBody::SwitchResult { result, .. } => Some(result.outcome),
        ReplyBody::Done { .. } => None,
    }
}

/// What the stopped region tried after it was continued.
#[derive(Default)]
struct Late {
    attempts: usize,
    accepted: usize,
}

/// See the module.
pub fn step(world: &mut World, summary: &mut Summary) -> Result<()> {
    world.events_before_failover = last_event(world)?;
    world.ring.a.send_stream(Stream::new(STREAM, &[Tag::c(VLAN_A)], RATE))?;

    let mut late = Late::default();
    let mut put = Vec::new();
    for attempt in 1..=TRIES_MAX {
        let from = attempt * RULES;
        put.push((switch_id(1), rules(from, RULES).keys()));
        let seen = stop_and_continue(world, from)?;
        late.attempts += seen.attempts;
        late.accepted += seen.accepted;
        if late.attempts > 0 {
            break;
        }
        say(&format!(
            "the stop came too late for the command (try {attempt}); again"
        ));
    }

    let first = kill(world, &mut put)?;
    for (switch, keys) in put {
        let id = world.bus.apply(switch, Objects::new(), keys)?;
        let (_, body) = world.bus.answered(&id)?;
        ensure!(
            outcome(&body) == Some(Outcome::Applied),
            "removing the demo's rules: {body:?}"
        );
    }
    let sent = world.ring.a.stop(STREAM)?;
    let far = world
        .ring
        .b
        .settled(STREAM, Kind::Data, &[Tag::c(VLAN_B)], sent, QUIET)?;
    let lost = sent - far.numbers.count_in(0..sent);
    say(&format!(
        "{} late writes were tried and refused by the switch, {} were accepted; first command applied {} ms after the kill; \
         {sent} packets sent meanwhile, {lost} lost",
        late.attempts - late.accepted,
        late.accepted,
        first.as_millis()
    ));
    summary.set(
        "failover",
        json!({
            "ms_to_first_applied": first.as_millis() as u64, "packets_sent": sent, "packets_lost": lost,
            "stale_attempts": late.attempts, "stale_writes": late.accepted,
        }),
    );
    ensure!(
        late.attempts >= 1,
        "the stopped region never tried a late write in {TRIES_MAX} tries"
    );
    ensure!(late.accepted == 0, "{} late writes were accepted", late.accepted);
    ensure!(
        first <= APPLIED_MAX,
        "{} ms from the kill to the first command applied",
        first.as_millis()
    );
    ensure!(lost == 0, "host b misses {:?}", far.numbers.missing_in(0..sent));
    ensure!(sent >= 1_000, "only {sent} packets were sent");
    Ok(())
}

/// Stop the active region in the middle of a command, let the other apply it, continue the first, and see what it tries.
fn stop_and_continue(world: &mut World, from: u32) -> Result<Late> {
    let active = world.active_region(None)?;
    let speaker = &world.speakers[active];
    let (process, port) = (speaker.process.clone(), speaker.port);
    let asked = now();
    let id = world
        .bus
        .apply(switch_id(1), rules(from, RULES), ObjectKeys::default())?;
    world
        .wire
        .wait_for("the first rules of the command on the wire", |wire| {
            let sent = wire
                .between(asked, Some(1), Some(port))
                .filter(|f| !f.from_switch && f.kind() == kind::FLOW_MOD)
                .count();
            if sent > 0 { Ok(()) } else { Err("none".to_owned()) }
        })?;
    process.signal(libc::SIGSTOP)?;
    say(&format!(
        "region {active} is stopped with a command for switch 1 under way"
    ));
    let other = world.active_region(Some(active))?;
    let (_, body) = world.bus.answered(&id)?;
    ensure!(
        outcome(&body) == Some(Outcome::Applied),
        "the command of the stopped region: {body:?}"
    );
    // A write is late only where another region is master already: the router asks each switch on its own.
    wait::until("the other region to be master of all switches", wait::DEADLINE, || {
        let switches = world.switches().map_err(|e| format!("{e:#}"))?;
        let mastered = switches.iter().all(|s| {
            s.availability
                .iter()
                .any(|a| a.region.as_str() == other && a.role == skerry_bus::Role::Master)
        });
        if mastered {
            Ok(())
        } else {
            Err(format!(
                "{:?}",
                switches.iter().map(|s| &s.availability).collect::<Vec<_>>()
            ))
        }
    })?;
    say(&format!("region {other} took over and applied it"));
    let continued = now();
    process.signal(libc::SIGCONT)?;
    // It is back when all switches are reached by both regions again and it holds no role.
    wait::until("the continued region to be passive", wait::DEADLINE, || {
        let switches = world.switches().map_err(|e| format!("{e:#}"))?;
        let back = switches.iter().all(|s| {
            s.active_region.as_ref().is_some_and(|r| r.as_str() == other)
                && s.availability
                    .iter()
                    .any(|a| a.region.as_str() == active && a.role == skerry_bus::Role::Slave)
        });
        if back {
            Ok(())
        } else {
            Err(format!(
                "{:?}",
                switches.iter().map(|s| &s.availability).collect::<Vec<_>>()
            ))
        }
    })?;
    late_writes(world, continued, port)
}

/// What a region tried after a moment although another's MASTER reply for a newer term had been seen at that switch, and how much
/// of it no error answered. A region that is MASTER again may write again.
fn late_writes(world: &mut World, after: Moment, port: u16) -> Result<Late> {
    // The switch, and what writes the capture, may be behind.
    world
        .wire
        .wait_for("answers to all late writes", |wire| late_writes_in(wire, after, port))
}

/// # Errors
/// How many are not answered yet.
fn late_writes_in(wire: &Conversations, after: Moment, port: u16) -> Result<Late, String> {
    let mut late = Late::default();
    let mut open = 0;
    // By switch: the controller that holds MASTER, and its term.
    let mut masters = BTreeMap::new();
    for frame in wire.frames() {
        let connection = wire.connection(frame);
        let from = connection.controller.port();
        if let Some(term) = frame.master_reply() {
            let held = masters.entry(connection.dpid).or_insert((from, term));
            if term >= held.1 {
                *held = (from, term);
            }
            continue;
        }
        let another = masters.get(&connection.dpid).is_some_and(|(master, _)| *master != port);
        if frame.from_switch || frame.at < after || from != port || !another {
            continue;
        }
        let is_write = frame.is_write();
        if !is_write && frame.kind() != kind::ROLE_REQUEST {
            continue;
        }
        let answer = wire.answer_to(frame);
        let refused = matches!(answer, Answer::Error(IS_SLAVE | STALE));
        open += usize::from(answer == Answer::Open);
        late.attempts += usize::from(is_write || refused);
        late.accepted += usize::from(is_write && !refused);
    }
    if open == 0 {
        Ok(late)
    } else {
        Err(format!("{open} of {} have none", late.attempts))
    }
}

/// Kill the active region while commands come every 50 ms; how long it takes until one that was asked later is applied.
fn kill(world: &mut World, put: &mut Vec<(skerry_bus::SwitchId, ObjectKeys)>) -> Result<Duration> {
    let active = world.active_region(None)?;
    world.speakers[active].process.kill()?;
    let killed = Instant::now();
    say(&format!("region {active} is killed"));
    let mut asked = Vec::new();
    let mut number = 0;
    let first = wait::until("a command applied by the other region", wait::DEADLINE, || {
        for id in &asked {
            if let Some((at, body)) = world.bus.answer(id)
                && outcome(&body) == Some(Outcome::Applied)
            {
                return Ok(at.saturating_duration_since(killed));
            }
        }
        if killed.elapsed() >= COMMAND_EVERY * number {
            number += 1;
            // Each asks for another rule: none is answered because it stands already.
            let switch = switch_id(u64::from(number % 4) + 1);
            let objects = rules(number, 1);
            put.push((switch, objects.keys()));
            let id = world
                .bus
                .apply(switch, objects, ObjectKeys::default())
                .map_err(|e| format!("{e:#}"))?;
            asked.push(id);
        }
        Err(format!("{} commands asked", asked.len()))
    })?;
    world.active_region(Some(active))?;
    for id in &asked {
        world.bus.answered(id)?;
    }
    Ok(first)
}

/// See the module.
pub fn return_step(world: &mut World, summary: &mut Summary) -> Result<()> {
    let dead = REGIONS
        .iter()
        .map(|(region, _)| *region)
        .find(|r| !world.speakers[r].process.is_running());
    let dead = dead.context("no region is dead")?;
    world.restart(dead)?;
    let regions = wait::until("all switches to be reached by both regions", 2 * wait::DEADLINE, || {
        let switches = world.switches().map_err(|e| format!("{e:#}"))?;
        let all: Vec<Vec<String>> = switches
            .iter()
            .map(|s| {
                let mut names: Vec<_> = s.availability.iter().map(|a| a.region.to_string()).collect();
                names.sort();
                names
            })
            .collect();
        match all.first() {
            Some(first) if first.len() == REGIONS.len() && all.iter().all(|a| a == first) => Ok(first.clone()),
            _ => Err(format!("{all:?}")),
        }
    })?;
    let link_events: Vec<_> = events_since(world, world.events_before_failover)?
        .into_iter()
        .filter(|e| matches!(e.event, VirtualEventBody::LinkChanged { .. }))
        .collect();
    say(&format!(
        "region {dead} is back: {} reach every switch; {} link events",
        regions.join(" and "),
        link_events.len()
    ));
    summary.set(
        "return",
        json!({ "regions": regions, "link_events": link_events.len() }),
    );
    ensure!(link_events.is_empty(), "links blinked: {link_events:?}");
    Ok(())
}
