//! What services ask for: drawn from the seed before the world begins, in the order in which it is asked.

use std::fmt;

use skerry_bus::objects::{Action, Bucket, Group, GroupKind, Match, ObjectKeys, Objects, OutPort, Rule, RuleKey};
use skerry_bus::{
    Command, CommandBody, Cookie, CorrelationId, DesiredChange, Generation, PortNo, SwitchId, Term, encode,
};

use crate::random::Random;
use crate::scenario::Scenario;
use crate::time::{MS, Ns, SECOND, broker_ms};

/// Places on a switch that services write to. The upper half comes with a group.
pub const SLOTS: u16 = 8;
/// Bit of the cookies of a command's objects.
const COOKIE: u64 = 1 << 62;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Something shall stand and something shall not, each by its place; what stands is marked with a number.
    Apply {
        /// What shall stand.
        put: Vec<u16>,
        /// What shall not.
        remove: Vec<u16>,
    },
    /// A rule that no switch takes.
    Impossible,
    /// What is there?
    Dump,
    /// What would be done?
    Plan,
    /// How is it?
    Snapshot,
    /// How are all?
    RegionWide,
    /// No JSON at all.
    Garbage,
    /// A kind that does not exist.
    Strange,
    /// What only a router may say.
    Presumptuous,
    /// An earlier one again.
    Again(usize),
}

/// A command.
#[derive(Debug, Clone)]
pub struct Asked {
    /// When it is said.
    pub at: Ns,
    /// Its place among all; also the number that marks its objects.
    pub number: usize,
    /// For which switch; one more than there are: for one that does not exist.
    pub switch: usize,
    /// What.
    pub what: What,
    /// How long it is good for, in milliseconds; less than none: it was too late before it was said.
    pub deadline_ms: i64,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Asked {
            number,
            switch,
            what,
            deadline_ms,
            ..
        } = self;
        write!(
            f,
            "c{number} for switch {} within {deadline_ms} ms: {what:?}",
            switch + 1
        )
    }
}

/// All commands of a seed, earliest first.
pub fn plan(scenario: &Scenario) -> Vec<Asked> {
    let random = &mut Random::new(scenario.seed, 3);
    let from = SECOND;
    let mut times: Vec<Ns> = (0..scenario.commands)
        .map(|_| random.between(from, scenario.busy_until - 200 * MS))
        .collect();
    times.sort_unstable();
    let mut all: Vec<Asked> = Vec::with_capacity(times.len());
    for (number, at) in times.into_iter().enumerate() {
        let switch = random.below(scenario.switches.len() as u64) as usize;
        let slot = |random: &mut Random| random.below(u64::from(SLOTS)) as u16;
        let what = match random.below(100) {
            0..52 => What::Apply {
                put: (0..random.between(1, 3)).map(|_| slot(random)).collect(),
                remove: Vec::new(),
            },
            52..66 => What::Apply {
                put: Vec::new(),
                remove: (0..random.between(1, 2)).map(|_| slot(random)).collect(),
            },
            66..70 => What::Apply {
                put: vec![slot(random) / 2],
                remove: vec![slot(random) / 2 + SLOTS / 2],
            },
            70 => What::Impossible,
            71..77 => What::Dump,
            77..80 => What::Plan,
            80..85 => What::Snapshot,
            85..88 => What::RegionWide,
            88 => What::Garbage,
            89 => What::Strange,
            90 => What::Presumptuous,
            _ if number > 0 => What::Again(number - 1 - random.below(number.min(20) as u64) as usize),
            _ => What::Dump,
        };
        let deadline_ms = match random.below(20) {
            0 => -(random.between(1, 1_000) as i64),
            1..3 => random.between(5, 300) as i64,
            3..6 => random.between(10_000, 30_000) as i64,
            _ => random.between(1_000, 6_000) as i64,
        };
        // Now and then for a switch that nobody has.
        let switch = if random.percent(2) {
            scenario.switches.len()
        } else {
            switch
        };
        all.push(Asked {
            at,
            number,
            switch,
            what,
            deadline_ms,
        });
    }
    all
}

/// The name of a command.
pub fn id_of(number: usize) -> CorrelationId {
    format!("c{number}").parse().expect("a letter and digits")
}

/// The number of a command's name; none: it is not one of a service.
pub fn number_of(id: &CorrelationId) -> Option<usize> {
    id.to_string().strip_prefix('c')?.parse().ok()
}

/// Where a rule of this place stands.
pub fn rule_key(slot: u16) -> RuleKey {
    RuleKey {
        table: 0,
        priority: 1_000 + slot,
        matches: Match {
            in_port: Some(PortNo(3)),
            vlan: Some(slot + 1),
            ..Match::default()
        },
    }
}

/// The place and the number of a rule that a service asked for; none: it is another's.
pub fn mark_of(rule: &Rule) -> Option<(u16, usize)> {
    let slot = rule.key.priority.checked_sub(1_000).filter(|slot| *slot < SLOTS)?;
    let ours = rule.cookie.0 & COOKIE != 0 && rule.key == rule_key(slot);
    ours.then_some((slot, (rule.cookie.0 & 0xffff_ffff) as usize))
}

fn group_id(slot: u16) -> u32 {
    200 + u32::from(slot)
}

/// What a command puts at this place.
pub fn put(objects: &mut Objects, slot: u16, number: usize) {
    let to = OutPort::Port(PortNo(1 + number as u32 % 2));
    let apply = if slot >= SLOTS / 2 {
        objects.put_group(Group {
            id: group_id(slot),
            kind: GroupKind::All,
            buckets: vec![Bucket {
                actions: vec![Action::Output(to)],
            }],
        });
        Action::Group(group_id(slot))
    } else {
        Action::Output(to)
    };
    objects.put_rule(Rule {
        key: rule_key(slot),
        cookie: Cookie(COOKIE | number as u64),
        meter: None,
        apply: vec![apply],
        write_metadata: None,
        goto: None,
        reset_counts: false,
    });
}

fn remove(keys: &mut ObjectKeys, slot: u16) {
    keys.rules.push(rule_key(slot));
    if slot >= SLOTS / 2 {
        keys.groups.push(group_id(slot));
    }
}

/// A rule that a switch refuses: it goes back to an earlier table.
fn impossible(number: usize) -> Objects {
    let mut objects = Objects::new();
    objects.put_rule(Rule {
        key: RuleKey {
            table: 5,
            priority: 7,
            matches: Match::default(),
        },
        cookie: Cookie(COOKIE | number as u64),
        meter: None,
        apply: Vec::new(),
        write_metadata: None,
        goto: Some(2),
        reset_counts: false,
    });
    objects
}

/// The command that is said: for one that comes again, the first of its name.
pub fn meant(all: &[Asked], number: usize) -> &Asked {
    match all[number].what {
        What::Again(earlier) => meant(all, earlier),
        _ => &all[number],
    }
}

/// The record of a command that is said now.
pub fn record(all: &[Asked], number: usize, scenario: &Scenario, now: Ns) -> Vec<u8> {
    let asked = &all[number];
    let switch = scenario
        .switches
        .get(asked.switch)
        .map_or(SwitchId(0xdead), |plan| plan.id);
    let body = match &asked.what {
        What::Again(earlier) => return record(all, *earlier, scenario, now),
        What::Garbage => return b"{\"correlation_id\": no".to_vec(),
        What::Strange => {
            let ms = broker_ms(now);
            return format!(
                "{{\"correlation_id\":\"c{number}\",\"requester\":\"shore\",\"deadline_ms\":{ms},\"kind\":\"dance\",\"switch\":\"{switch}\"}}"
            )
            .into_bytes();
        }
        What::Apply {
            put: wanted,
            remove: unwanted,
        } => {
            let (mut objects, mut keys) = (Objects::new(), ObjectKeys::default());
            wanted.iter().for_each(|slot| put(&mut objects, *slot, number));
            unwanted.iter().for_each(|slot| remove(&mut keys, *slot));
            CommandBody::Apply {
                switch,
                put: objects,
                remove: keys,
            }
        }
        What::Impossible => CommandBody::Apply {
            switch,
            put: impossible(number),
            remove: ObjectKeys::default(),
        },
        What::Dump => CommandBody::Dump { switch },
        What::Plan => CommandBody::Plan { switch, wanted: None },
        What::Snapshot => CommandBody::SwitchSnapshot { switch },
        What::RegionWide => CommandBody::RegionSnapshot {
            snapshot: format!("s{number}").parse().expect("a letter and digits"),
        },
        What::Presumptuous => CommandBody::Desired {
            switch,
            term: Term(1_000),
            generation: Generation(1_000),
            change: DesiredChange::Snapshot {
                objects: Objects::new(),
            },
        },
    };
    encode(&Command {
        correlation_id: id_of(number),
        requester: "shore".to_owned(),
        deadline_ms: broker_ms(now).saturating_add_signed(asked.deadline_ms),
        owner_epoch: None,
        region: None,
        epoch: None,
        body,
    })
}
