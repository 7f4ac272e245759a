//! What services put on switches by commands stays wanted when the router restarts.

use skerry_bus::objects::ObjectKeys;
use skerry_bus::topic::partition_of;
use skerry_bus::{Group, Rule};

use super::*;

const SWITCH: SwitchId = SwitchId(2);

fn objects(rules: std::ops::Range<u16>) -> Objects {
    let mut objects = Objects::new();
    for priority in rules {
        objects.put_rule(
            serde_json::from_value::<Rule>(json!({"table": 5, "priority": priority, "cookie": "0x40000000000000aa"}))
                .expect("a rule"),
        );
    }
    let group = json!({"id": 77, "kind": "all", "buckets": []});
    objects.put_group(serde_json::from_value::<Group>(group).expect("a group"));
    objects
}

impl Bench {
    fn apply(&mut self, id: &str, put: Objects, remove: ObjectKeys) {
        let command = Command {
            correlation_id: id.parse().expect("an id"),
            requester: "service".into(),
            deadline_ms: self.ms() + 5_000,
            owner_epoch: None,
            region: None,
            epoch: None,
            body: CommandBody::Apply {
                switch: SWITCH,
                put,
                remove,
            },
        };
        let partition = partition_of(&SWITCH.to_string(), PARTITIONS);
        self.read(Topic::Commands, partition, encode(&command));
        self.run(Duration::from_secs(1));
    }

    fn stands(&self) -> (usize, bool) {
        let objects = &self.switches[&SWITCH].objects;
        let rules = objects.rules.values().filter(|r| r.cookie.0 & 0xff == 0xaa).count();
        (rules, objects.groups.contains_key(&77))
    }
}

#[test]
fn what_a_service_put_on_a_switch_stays_there_when_the_router_restarts() {
    let mut bench = Bench::new();
    bench.apply("a", objects(100..110), ObjectKeys::default());
    bench.apply("b", Objects::new(), objects(107..110).keys());
    assert_eq!(bench.stands(), (7, false));
    bench.apply("c", objects(100..103), ObjectKeys::default());
    assert_eq!(bench.stands(), (7, true));

    let writes = bench.switches[&SWITCH].history.len();
    bench.restart();
    bench.run(Duration::from_secs(5));
    assert!(
        bench.switches[&SWITCH].history.len() > writes,
        "the new router has said what shall stand"
    );
    assert_eq!(bench.stands(), (7, true));

    bench.apply("d", Objects::new(), objects(100..110).keys());
    assert_eq!(bench.stands(), (0, false));
    bench.restart();
    bench.run(Duration::from_secs(5));
    assert_eq!(bench.stands(), (0, false));
    assert!(
        !bench.store.keys().any(|(kind, _)| kind == "object"),
        "{:?}",
        bench.store
    );
}

#[test]
fn what_a_switch_refused_of_a_service_is_not_wanted_after_a_restart() {
    let mut bench = Bench::new();
    bench.apply("a", objects(100..101), ObjectKeys::default());
    for speaker in &mut bench.speakers {
        speaker.full = true;
    }
    let mut refused = objects(100..101);
    let rule = json!({"table": 5, "priority": 200, "cookie": "0x00000000000000aa"});
    refused.put_rule(serde_json::from_value::<Rule>(rule).expect("a rule"));
    bench.apply("b", refused, ObjectKeys::default());
    assert_eq!(bench.stands(), (1, true));
    for speaker in &mut bench.speakers {
        speaker.full = false;
    }
    bench.restart();
    bench.run(Duration::from_secs(5));
    assert_eq!(bench.stands(), (1, true));
}
