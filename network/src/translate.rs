//! From a flow, its route and its numbers to what every switch holds for it. Pure: same input, same rules, to the byte.
//!
//! Whose rules they are: everything here belongs to one flow, except the rules of tables 0 and 1, which are the same to
//! the byte for all flows on a port (and outer tag), so that the union over flows is right without counting.

use std::collections::BTreeMap;

use skerry_bus::api::JoinDelivery;
use skerry_bus::ids::{Cookie, Endpoint, FlowId, PortNo, SwitchId};
use skerry_bus::objects::{Action, Bucket, Group, GroupKind, Match, Meter, MeterUnit, Objects, OutPort, Rule, RuleKey};

use crate::exit::{Exit, Outlet, Uplink, join_slot_copies, out_port};
use crate::intent::{Flow, Leg};
use crate::layout::{
    customer_port_cookie, flow_cookie, join_cookie, one_switch_metadata, outer_vlan_metadata, priority, shared_cookie,
    table, untouched_metadata,
};
use crate::resources::{FlowIds, GroupRole, MeterRole, join_meter};
use crate::route::{Passage, Route};
use crate::tags::{rewrite, tags_after_pre_ingress, tags_of};

/// What each switch holds.
pub type PerSwitch = BTreeMap<SwitchId, Objects>;

/// The three inputs do not fit together. It means a defect in what was stored, never in what a client asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TranslateError {
    /// The route does not lead from the flow's source to its destination.
    #[error("flow {0}: its route does not lead from its source to its destination")]
    Route(FlowId),
    /// A number is missing.
    #[error("flow {flow}: no {what} is allocated on switch {switch}")]
    Missing {
        /// The flow.
        flow: FlowId,
        /// Where.
        switch: SwitchId,
        /// What, such as `transit VLAN`.
        what: &'static str,
    },
}

/// Everything that the switches hold for a flow.
pub fn translate(flow: &Flow, route: &Route, ids: &FlowIds) -> Result<PerSwitch, TranslateError> {
    if !route.connects(flow.source.switch, flow.destination.switch) || flow.is_one_switch() != route.passages.is_empty()
    {
        return Err(TranslateError::Route(flow.id.clone()));
    }
    let mut t = Translation {
        flow,
        ids,
        out: PerSwitch::new(),
    };
    t.meters();
    for leg in flow.legs() {
        let passages = route.along(leg.direction);
        t.ingress(&leg, &passages)?;
        t.transit_and_egress(&leg, &passages)?;
    }
    t.joins()?;
    t.groups(route)?;
    Ok(t.out)
}

/// Lets frames of a customer's endpoint into the ingress table.
fn entrance(endpoint: &Endpoint, objects: &mut Objects) {
    objects.put_rule(Rule {
        key: RuleKey {
            table: table::INPUT,
            priority: priority::CUSTOMER_PORT,
            matches: Match {
                in_port: Some(endpoint.port),
                ..Match::default()
            },
        },
        goto: Some(table::PRE_INGRESS),
        ..rule(customer_port_cookie(endpoint.port))
    });
    if endpoint.vlan != 0 {
        objects.put_rule(Rule {
            key: RuleKey {
                table: table::PRE_INGRESS,
                priority: priority::FLOW,
                matches: Match {
                    in_port: Some(endpoint.port),
                    vlan: Some(endpoint.vlan),
                    ..Match::default()
                },
            },
            apply: vec![Action::PopVlan],
            write_metadata: Some(outer_vlan_metadata(endpoint.vlan)),
            goto: Some(table::INGRESS),
            ..rule(shared_cookie(endpoint.port, endpoint.vlan))
        });
    }
}

/// A rule with nothing in it.
fn rule(cookie: Cookie) -> Rule {
    Rule {
        key: RuleKey {
            table: 0,
            priority: 0,
            matches: Match::default(),
        },
        cookie,
        meter: None,
        apply: Vec::new(),
        write_metadata: None,
        goto: None,
        reset_counts: false,
    }
}

/// The ingress table's key of an endpoint.
fn ingress_key(endpoint: &Endpoint) -> RuleKey {
    let (priority, metadata, vlan) = match (endpoint.vlan, endpoint.inner_vlan) {
        (0, _) => (priority::FULL_PORT, untouched_metadata(), None),
        (outer, 0) => (priority::FLOW, outer_vlan_metadata(outer), None),
        (outer, inner) => (priority::QINQ, outer_vlan_metadata(outer), Some(inner)),
    };
    RuleKey {
        table: table::INGRESS,
        priority,
        matches: Match {
            in_port: Some(endpoint.port),
            metadata: Some(metadata),
            vlan,
            ..Match::default()
        },
    }
}

/// Key of an egress or transit rule.
fn link_key(table: u8, in_port: PortNo, vlan: u16) -> RuleKey {
    RuleKey {
        table,
        priority: priority::FLOW,
        matches: Match {
            in_port: Some(in_port),
            vlan: Some(vlan),
            ..Match::default()
        },
    }
}

struct Translation<'a> {
    flow: &'a Flow,
    ids: &'a FlowIds,
    out: PerSwitch,
}

impl Translation<'_> {
    fn on(&mut self, switch: SwitchId) -> &mut Objects {
        self.out.entry(switch).or_default()
    }

    fn missing(&self, switch: SwitchId, what: &'static str) -> TranslateError {
        TranslateError::Missing {
            flow: self.flow.id.clone(),
            switch,
            what,
        }
    }

    fn transit_vlan(&self, switch: SwitchId) -> Result<u16, TranslateError> {
        self.ids
            .transit_vlan
            .ok_or_else(|| self.missing(switch, "transit VLAN"))
    }

    /// The meter of a role; none if the flow's bandwidth is unlimited.
    fn meter(&self, switch: SwitchId, role: &MeterRole) -> Result<Option<u32>, TranslateError> {
        if self.flow.bandwidth_kbps == 0 {
            return Ok(None);
        }
        match self.ids.meter(switch, role) {
            Some(id) => Ok(Some(id)),
            None => Err(self.missing(switch, "meter")),
        }
    }

    fn meters(&mut self) {
        let rate = self.flow.bandwidth_kbps;
        if rate == 0 {
            return;
        }
        // Five per cent above the rate, rounded; at the end of the range it is the rate.
        let burst = u32::try_from((u64::from(rate) * 105 + 50) / 100).unwrap_or(rate);
        for m in &self.ids.meters {
            let meter = Meter {
                id: m.id,
                unit: MeterUnit::Kbps,
                rate,
                burst,
            };
            self.out.entry(m.switch).or_default().put_meter(meter);
        }
    }

    /// Where a direction goes on from its ingress switch.
    fn uplink(&self, passages: &[Passage]) -> Result<Option<Uplink>, TranslateError> {
        match passages.first() {
            None => Ok(None),
            Some(p) => Ok(Some(Uplink {
                port: p.from.port,
                vlan: self.transit_vlan(p.from.switch)?,
            })),
        }
    }

    /// The actions that send a packet with the tags `current` through an exit: by its group if it has one.
    fn leave(&self, switch: SwitchId, exit: &Exit, current: &[u16], direct: (Vec<u16>, OutPort)) -> Vec<Action> {
        let (tags, last) = match self.ids.group(switch, &GroupRole::Exit(*exit)) {
            Some(group) => (exit.handed_over(), Action::Group(group)),
            None => (direct.0, Action::Output(direct.1)),
        };
        let mut actions = rewrite(current, &tags);
        actions.push(last);
        actions
    }

    fn ingress(&mut self, leg: &Leg, passages: &[Passage]) -> Result<(), TranslateError> {
        let switch = leg.from.switch;
        let Some(exit) = Exit::at(self.flow, leg.direction, switch) else {
            return Err(TranslateError::Route(self.flow.id.clone()));
        };
        let direct = match self.uplink(passages)? {
            Some(up) => (vec![up.vlan], OutPort::Port(up.port)),
            None => (tags_of(&leg.to), out_port(Some(leg.from), leg.to.port)),
        };
        let ingress = Rule {
            key: ingress_key(&leg.from),
            meter: self.meter(switch, &MeterRole::Ingress(leg.direction))?,
            apply: self.leave(switch, &exit, &tags_after_pre_ingress(&leg.from), direct),
            write_metadata: passages.is_empty().then(one_switch_metadata),
            goto: Some(table::POST_INGRESS),
            reset_counts: true,
            ..rule(flow_cookie(leg.direction, self.ids.effective_id))
        };
        let objects = self.on(switch);
        entrance(&leg.from, objects);
        objects.put_rule(ingress);
        Ok(())
    }

    fn transit_and_egress(&mut self, leg: &Leg, passages: &[Passage]) -> Result<(), TranslateError> {
        let cookie = flow_cookie(leg.direction, self.ids.effective_id);
        for (i, passage) in passages.iter().enumerate() {
            let at = passage.to;
            let vlan = self.transit_vlan(at.switch)?;
            let rule = match passages.get(i + 1) {
                Some(next) => Rule {
                    key: link_key(table::TRANSIT, at.port, vlan),
                    apply: vec![Action::Output(if next.from.port == at.port {
                        OutPort::InPort
                    } else {
                        OutPort::Port(next.from.port)
                    })],
                    ..rule(cookie)
                },
                None => {
                    let Some(exit) = Exit::at(self.flow, leg.direction, at.switch) else {
                        return Err(TranslateError::Route(self.flow.id.clone()));
                    };
                    let direct = (tags_of(&leg.to), OutPort::Port(leg.to.port));
                    Rule {
                        key: link_key(table::EGRESS, at.port, vlan),
                        apply: self.leave(at.switch, &exit, &[vlan], direct),
                        ..rule(cookie)
                    }
                }
            };
            self.on(at.switch).put_rule(rule);
        }
        Ok(())
    }

    fn joins(&mut self) -> Result<(), TranslateError> {
        for (point, join) in &self.flow.joins {
            let switch = join.switch;
            let Some(leg) = self.flow.leg_from(switch) else {
                return Err(self.missing(switch, "end of the flow for its join point"));
            };
            let Some(effective_id) = self.ids.joins.get(point) else {
                return Err(self.missing(switch, "effective id of a join point"));
            };
            let Some(group) = self.ids.join_group(point, join) else {
                return Err(self.missing(switch, "group of a join point"));
            };
            let direction = match join.delivery {
                JoinDelivery::Local => leg.direction.opposite(),
                _ => leg.direction,
            };
            let rule = Rule {
                key: ingress_key(&join.sink),
                meter: self.meter(switch, &join_meter(point, join, &leg))?,
                apply: vec![Action::Group(group)],
                reset_counts: true,
                ..rule(join_cookie(direction, *effective_id))
            };
            let objects = self.on(switch);
            entrance(&join.sink, objects);
            objects.put_rule(rule);
        }
        Ok(())
    }

    fn groups(&mut self, route: &Route) -> Result<(), TranslateError> {
        for group in &self.ids.groups {
            let switch = group.switch;
            let (kind, buckets) = match &group.role {
                GroupRole::Exit(exit) => {
                    let uplink = self.uplink(&route.along(exit.direction))?;
                    let mut copies: Vec<Outlet> = exit.flow_copy(uplink).into_iter().collect();
                    copies.extend(exit.copies(self.flow, switch));
                    (GroupKind::All, self.buckets(switch, &copies)?)
                }
                GroupRole::Join { point, sink } => {
                    let Some(leg) = self.flow.leg_from(switch) else {
                        return Err(self.missing(switch, "end of the flow for a join point's group"));
                    };
                    let uplink = self.uplink(&route.along(leg.direction))?;
                    let copies = join_slot_copies(self.flow, &leg, point, sink, uplink);
                    (GroupKind::All, self.buckets(switch, &copies)?)
                }
                GroupRole::Chain(bucket) => (GroupKind::Indirect, vec![bucket.clone()]),
            };
            let group = Group {
                id: group.id,
                kind,
                buckets,
            };
            self.out.entry(switch).or_default().put_group(group);
        }
        Ok(())
    }

    fn buckets(&self, switch: SwitchId, copies: &[Outlet]) -> Result<Vec<Bucket>, TranslateError> {
        let chain_id = |chain: &Bucket| self.ids.group(switch, &GroupRole::Chain(chain.clone()));
        let found: Option<Vec<Bucket>> = copies.iter().map(|c| c.bucket(chain_id)).collect();
        found.ok_or_else(|| self.missing(switch, "second group of a bucket"))
    }
}
