//! What a switch holds, sorted into ours and not ours (design section 5, "What is ours").
//!
//! Ours that cannot be put into the contract's terms is still ours: it is replaced or removed, never left alone.

use std::collections::{BTreeMap, BTreeSet};

use ofproto::{FlowStats, GroupDesc, MeterConfig};
use skerry_bus::reply::SwitchDump;
use skerry_bus::{Cookie, Group, Meter, Objects, Rule, RuleKey};

use crate::convert;

/// Which numbers are ours, in the whole network (design section 5, "What is ours").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ours {
    /// Groups of this and lower numbers, from 1.
    pub group_max: u32,
    /// Meters of this and lower numbers, from 1.
    pub meter_max: u32,
}

impl Default for Ours {
    fn default() -> Self {
        Ours {
            group_max: 4_095,
            meter_max: 2_500,
        }
    }
}

impl Ours {
    /// Whether a group of this number is ours.
    pub fn has_group(self, id: u32) -> bool {
        (1..=self.group_max).contains(&id)
    }
    /// Whether a meter of this number is ours.
    pub fn has_meter(self, id: u32) -> bool {
        (1..=self.meter_max).contains(&id)
    }
}

/// Lines about foreign objects in one dump; one more line says how many were left out.
const FOREIGN_LINES_MAX: usize = 1_000;

/// Whether a rule with this cookie is ours: bit 63, 62 or 61, or type 0x008 in bits 52 to 60.
pub fn is_our_cookie(cookie: Cookie) -> bool {
    cookie.0 >> 61 != 0 || (cookie.0 >> 52) & 0x1ff == 0x008
}

/// A rule of ours in a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRule {
    /// Its cookie.
    pub cookie: Cookie,
    /// The rule, if the contract can express what it does.
    pub rule: Option<Rule>,
}

/// A group of ours in a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownGroup {
    /// Groups that its buckets name.
    pub refers_to: Vec<u32>,
    /// The group, if the contract can express it.
    pub group: Option<Group>,
}

/// A rule of ours whose match the contract cannot express. It can only be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrangeRule {
    /// Its table.
    pub table: u8,
    /// Its priority.
    pub priority: u16,
    /// Its cookie.
    pub cookie: Cookie,
    /// Its match as the switch tells it.
    pub matches: ofproto::Match,
}

/// What a switch holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Our meters; none: it is there and cannot be expressed.
    pub meters: BTreeMap<u32, Option<Meter>>,
    /// Our groups.
    pub groups: BTreeMap<u32, KnownGroup>,
    /// Our rules.
    pub rules: BTreeMap<RuleKey, KnownRule>,
    /// Our rules that have no key.
    pub strange: Vec<StrangeRule>,
    /// Keys that foreign rules occupy.
    pub foreign_keys: BTreeSet<RuleKey>,
    /// Foreign objects, one line each.
    pub foreign: Vec<String>,
}

impl Known {
    /// What a switch holds after everything of `objects`, and nothing else of ours, was confirmed.
    pub fn of(objects: &Objects, foreign_keys: BTreeSet<RuleKey>) -> Self {
        Known {
            meters: objects.meters.iter().map(|(id, m)| (*id, Some(*m))).collect(),
            groups: objects
                .groups
                .iter()
                .map(|(id, g)| {
                    (
                        *id,
                        KnownGroup {
                            refers_to: g.refers_to().collect(),
                            group: Some(g.clone()),
                        },
                    )
                })
                .collect(),
            rules: objects
                .rules
                .iter()
                .map(|(key, rule)| {
                    (
                        key.clone(),
                        KnownRule {
                            cookie: rule.cookie,
                            rule: Some(rule.clone()),
                        },
                    )
                })
                .collect(),
            strange: Vec::new(),
            foreign_keys,
            foreign: Vec::new(),
        }
    }

    /// Sort what a switch told.
    pub fn read(ours: Ours, flows: &[FlowStats], groups: &[GroupDesc], meters: &[MeterConfig]) -> Self {
        let mut known = Known::default();
        for flow in flows {
            known.add_rule(flow);
        }
        for group in groups {
            let id = group.group_id.0;
            if ours.has_group(id) {
                let refers_to = convert::group_refers_to(group);
                let group = convert::read_group(group);
                known.groups.insert(id, KnownGroup { refers_to, group });
            } else {
                known.foreign.push(format!("group {id}"));
            }
        }
        for meter in meters {
            let id = meter.meter_id.0;
            if ours.has_meter(id) {
                known.meters.insert(id, convert::read_meter(meter));
            } else {
                known.foreign.push(format!("meter {id}"));
            }
        }
        if known.foreign.len() > FOREIGN_LINES_MAX {
            let more = known.foreign.len() - FOREIGN_LINES_MAX;
            known.foreign.truncate(FOREIGN_LINES_MAX);
            known.foreign.push(format!("and {more} more"));
        }
        known
    }

    fn add_rule(&mut self, flow: &FlowStats) {
        let cookie = Cookie(flow.cookie);
        let key = convert::read_match(&flow.matching).map(|matches| RuleKey {
            table: flow.table_id.0,
            priority: flow.priority,
            matches,
        });
        match (is_our_cookie(cookie), key) {
            (true, Some(key)) => {
                let rule = convert::read_rule(key.clone(), flow);
                self.rules.insert(key, KnownRule { cookie, rule });
            }
            (true, None) => self.strange.push(StrangeRule {
                table: flow.table_id.0,
                priority: flow.priority,
                cookie,
                matches: flow.matching.detached(),
            }),
            (false, key) => {
                self.foreign.push(format!(
                    "rule of table {}, priority {}, cookie {cookie}, match {:?}",
                    flow.table_id.0, flow.priority, flow.matching
                ));
                self.foreign_keys.extend(key);
            }
        }
    }

    /// The same in the contract's terms.
    pub fn to_dump(&self) -> SwitchDump {
        let mut dump = SwitchDump {
            ours: Objects::new(),
            foreign: self.foreign.clone(),
        };
        for (id, meter) in &self.meters {
            match meter {
                Some(meter) => dump.ours.put_meter(*meter),
                None => dump.foreign.push(format!("meter {id} of ours, not expressible")),
            }
        }
        for (id, group) in &self.groups {
            match &group.group {
                Some(group) => dump.ours.put_group(group.clone()),
                None => dump.foreign.push(format!("group {id} of ours, not expressible")),
            }
        }
        for (key, known) in &self.rules {
            match &known.rule {
                Some(rule) => dump.ours.put_rule(rule.clone()),
                None => dump
                    .foreign
                    .push(format!("{} of ours, cookie {}, not expressible", key, known.cookie)),
            }
        }
        for rule in &self.strange {
            dump.foreign.push(format!(
                "rule of ours in table {}, priority {}, cookie {}, match not expressible: {:?}",
                rule.table, rule.priority, rule.cookie, rule.matches
            ));
        }
        dump
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_told_by_the_cookie_and_the_number() {
        for (cookie, ours) in [
            (0x4000_0000_0000_01f4, true),
            (0x2000_0000_0000_01f4, true),
            (0x8000_0000_0000_0001, true),
            (0x0080_0000_0064_000a, true),
            (0x0000_0000_0000_0000, false),
            (0x0070_0000_0000_0001, false),
            (0x1080_0000_0000_0001, false),
        ] {
            assert_eq!(is_our_cookie(Cookie(cookie)), ours, "{cookie:#018x}");
        }
        let ours = Ours::default();
        assert!(!ours.has_group(0) && ours.has_group(1) && ours.has_group(4_095) && !ours.has_group(4_096));
        assert!(!ours.has_meter(0) && ours.has_meter(2_500) && !ours.has_meter(2_501));
    }
}
