//! When it was quiet for long enough: tables equal intent, and the router's picture equals the switches'.
//!
//! Intent is added up here from what services asked and how each command was answered, not taken from the router: what was
//! answered `applied` stands, what was answered `failed` may stand, everything else does not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use skerry_bus::objects::Objects;
use skerry_bus::{Outcome, PortNo, Topic};
use skerry_router::machine::api::ApiRequest;
use skerry_switch::ConnId;

use super::Verdict;
use super::answers::Answers;
use crate::event::Event;
use crate::load::{self, Asked, SLOTS, What};
use crate::log::Group;
use crate::time::{MS, Ns, broker_ms};
use crate::world::World;

/// How long the store may take before the router's answer to a question can leave.
const AGAIN: Ns = 5 * MS;

/// A record that came so long ago, in milliseconds, is answered and committed.
const LATE_MS: u64 = 2_000;

/// What may stand at a place; none: nothing.
type Allowed = BTreeSet<Option<usize>>;

/// What may stand at each place of a switch, by what was asked in which order and how it was answered.
fn intent(answers: &Answers, asked: &[Asked], order: &[usize], switch: usize) -> Vec<Allowed> {
    let mut places: Vec<Allowed> = vec![[None].into(); usize::from(SLOTS)];
    let mut seen = BTreeSet::new();
    for n in order {
        let n = load::meant(asked, *n).number;
        let again = !seen.insert(n);
        let command = &asked[n];
        let What::Apply { put, remove } = &command.what else {
            continue;
        };
        if command.switch != switch {
            continue;
        }
        let outcomes = answers
            .courses
            .get(&n)
            .map(|course| course.answers.as_slice())
            .unwrap_or_default();
        let certain = outcomes.contains(&Outcome::Applied) && !again;
        // A command that comes again may be done again, when nobody remembers its answer any more.
        let possible = again || certain || outcomes.contains(&Outcome::Failed);
        if !possible {
            continue;
        }
        // What is put counts over what is removed by the same command.
        let mut change: BTreeMap<u16, Option<usize>> = remove.iter().map(|slot| (*slot, None)).collect();
        change.extend(put.iter().map(|slot| (*slot, Some(n))));
        for (slot, value) in change {
            let place = &mut places[usize::from(slot)];
            if certain {
                place.clear();
            }
            place.insert(value);
        }
    }
    places
}

impl World {
    /// It was quiet: everything must be as wanted.
    pub(crate) fn look(&mut self) {
        let verdict = self.judge.answers.all_answered(self.now);
        self.judge.hold("answers", verdict);
        let verdict = self.judge.queues.balance();
        self.judge.hold("queues", verdict);
        let verdict = self.all_committed();
        self.judge.hold("commits", verdict);
        let questions = [ApiRequest::Switches, ApiRequest::Links, ApiRequest::Regions];
        let mut views = Vec::new();
        for question in questions {
            match self.ask_router(0, question) {
                Some(answer) => views.push(answer.body),
                // The store works on something: the answer is held behind it.
                None if self.now < self.scenario.end() => {
                    return self.agenda.put(self.now + AGAIN, Event::Look);
                }
                None => return self.fail("settled", "the router does not answer".to_owned()),
            }
        }
        for switch in 0..self.switches.len() {
            let verdict = self.tables_equal_intent(switch);
            self.judge.hold("tables", verdict);
            let verdict = self.picture_equals_switch(switch, &views[0]);
            self.judge.hold("picture", verdict);
        }
        let verdict = self.links_equal_cables(&views[1]);
        self.judge.hold("links", verdict);
        for region in array(&views[2]) {
            if region["state"] != "live" {
                self.fail("picture", format!("region {} is {}", region["region"], region["state"]));
            }
        }
        if self.judge.failure.is_some() {
            let now = self.now;
            for view in views {
                self.trace.line(now, || format!("the router's view: {view}"));
            }
        }
    }

    /// Everything that was asked is answered, so everything is committed.
    fn all_committed(&self) -> Verdict {
        let regions = self.scenario.regions.iter().enumerate();
        let mut topics = vec![(Topic::Commands, Group::Routers)];
        topics.extend(regions.map(|(n, region)| (Topic::RegionCommands(region.clone()), Group::Speaker(n))));
        for (topic, group) in topics {
            for tp in self.log.of_topic(&topic) {
                let (committed, end) = (self.log.committed(group, tp), self.log.end(tp));
                // What came within the last moments may still be under way, above all questions and network syncs.
                let open = self
                    .log
                    .record(tp, committed)
                    .map(|record| broker_ms(self.now) - record.ms);
                // Whether an answer is late is judged elsewhere.
                let waits = group == Group::Routers && self.judge.answers.is_open(tp, committed);
                if waits {
                    continue;
                }
                if let Some(ms) = open.filter(|ms| *ms > LATE_MS) {
                    let partition = self.log.partition(tp);
                    return Err(format!(
                        "{topic} partition {partition}: {committed} of {end} are committed, and the next one came {ms} ms ago"
                    ));
                }
            }
        }
        Ok(())
    }

    fn tables_equal_intent(&self, switch: usize) -> Verdict {
        let host = &self.switches[switch];
        let allowed = intent(&self.judge.answers, &self.asked, self.judge.answers.in_order(), switch);
        let mut stands = host.machine.objects().clone();
        let mut places: BTreeMap<u16, usize> = BTreeMap::new();
        let marked: Vec<_> = stands
            .rules
            .values()
            .filter_map(|rule| Some((rule.key.clone(), load::mark_of(rule)?)))
            .collect();
        for (key, (slot, number)) in marked {
            let mut objects = Objects::new();
            load::put(&mut objects, slot, number);
            if stands.rules.remove(&key).as_ref() != objects.rules.get(&key) {
                return Err(format!("{}: rule {key} is not as c{number} wanted it", host.id));
            }
            for (id, group) in &objects.groups {
                if stands.groups.remove(id).as_ref() != Some(group) {
                    return Err(format!("{}: group {id} is not as c{number} wanted it", host.id));
                }
            }
            places.insert(slot, number);
        }
        for (slot, allowed) in allowed.iter().enumerate() {
            let number = places.get(&(slot as u16)).copied();
            if !allowed.contains(&number) {
                let name = |number: &Option<usize>| number.map_or("nothing".to_owned(), |n| format!("c{n}"));
                let allowed: Vec<String> = allowed.iter().map(name).collect();
                return Err(format!(
                    "{}: at place {slot} stands {}, and intent is {}",
                    host.id,
                    name(&number),
                    allowed.join(" or ")
                ));
            }
        }
        // What is left is what the switch needs whatever services ask.
        let ports = self
            .wiring
            .keys()
            .filter(|(of, _)| *of == switch)
            .map(|(_, port)| PortNo(*port));
        let wanted = skerry_network::service_objects(host.id, ports);
        if stands.rules != wanted.rules || stands.groups != wanted.groups {
            let difference = super::generations::difference(&wanted, &stands);
            return Err(format!("{}: of the service's objects {difference}", host.id));
        }
        Ok(())
    }

    fn picture_equals_switch(&self, switch: usize, views: &Value) -> Verdict {
        let host = &self.switches[switch];
        let name = host.id.to_string();
        let Some(view) = array(views).iter().find(|view| view["switch_id"] == name.as_str()) else {
            return Err(format!("{name}: the router does not know it"));
        };
        let Some(master) = host.master() else {
            return Err(format!(
                "{name}: no region is MASTER; the router shows {} active",
                view["active_region"]
            ));
        };
        let region = self.scenario.regions[self.conns[master].speaker].to_string();
        if view["active_region"] != region.as_str() {
            return Err(format!(
                "{name}: {region} is MASTER, and the router shows {}",
                view["active_region"]
            ));
        }
        if view["term"] != self.conns[master].term.unwrap_or(0) {
            let held = self.conns[master].term;
            return Err(format!(
                "{name}: {region} is MASTER with {held:?}, and the router shows {}",
                view["term"]
            ));
        }
        if view["generation_wanted"] != view["generation_applied"] {
            return Err(format!(
                "{name}: generation {} is wanted and {} is applied: {}",
                view["generation_wanted"], view["generation_applied"], view["apply_error"]
            ));
        }
        let reach = |conn: &&usize| self.switches[switch].machine.is_open(ConnId(**conn as u64));
        let mut open: Vec<String> = host
            .conns
            .iter()
            .flatten()
            .filter(reach)
            .map(|conn| self.scenario.regions[self.conns[*conn].speaker].to_string())
            .collect();
        open.sort();
        let mut shown: Vec<String> = array(&view["availability"])
            .iter()
            .filter_map(|of| Some(of["region"].as_str()?.to_owned()))
            .collect();
        shown.sort();
        if open != shown {
            return Err(format!(
                "{name}: it is connected to {open:?}, and the router shows {shown:?}"
            ));
        }
        for (port, up) in host.machine.ports() {
            let of = array(&view["ports"]).iter().find(|of| of["port"] == port.0);
            if of.is_none_or(|of| of["up"] != up) {
                return Err(format!("{name}: port {port} is up: {up}, and the router shows {of:?}"));
            }
        }
        Ok(())
    }

    fn links_equal_cables(&self, views: &Value) -> Verdict {
        let up: Vec<&Value> = array(views).iter().filter(|view| view["state"] == "up").collect();
        if up.len() != self.scenario.cables.len() {
            let shown: Vec<String> = array(views)
                .iter()
                .map(|view| format!("{} {} ({})", view["link_id"], view["state"], view["reason"]))
                .collect();
            let cables = self.scenario.cables.len();
            return Err(format!(
                "there are {cables} cables, and the router shows {}",
                shown.join(", ")
            ));
        }
        Ok(())
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
