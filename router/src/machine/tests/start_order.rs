//! With the network sync off, whoever starts later asks for what it missed: the order does not matter.

use super::*;

/// What can start, in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Router,
    East,
    West,
    Switches,
    Kafka,
}

use Part::{East, Kafka, Router as TheRouter, Switches, West};

impl Bench {
    /// Nothing has started.
    fn nothing_yet() -> Self {
        let mut bench = Bench::bare();
        bench.deaf = true;
        bench.switches.clear();
        for speaker in &mut bench.speakers {
            speaker.alive = false;
        }
        bench
    }

    fn router_hears(&mut self, started: &[Part]) {
        self.deaf = !(started.contains(&TheRouter) && started.contains(&Kafka));
    }

    fn start(&mut self, part: Part, started: &[Part]) {
        match part {
            TheRouter => {
                self.router = Router::new(config(), Vec::new(), self.now).expect("nothing is stored");
                let patch = FeaturesPatch {
                    network_sync: Some(false),
                    sla_reactions: None,
                };
                self.router_hears(started);
                let answer = self.ask(ApiRequest::PatchFeatures(patch));
                assert_eq!(answer.body["network_sync"], false);
                if started.contains(&Kafka) {
                    self.kafka_comes();
                }
            }
            Kafka => {
                self.router_hears(started);
                if started.contains(&TheRouter) {
                    self.kafka_comes();
                }
                // Speakers tell everything when Kafka comes.
                for at in 0..2 {
                    if self.speakers[at].alive {
                        self.connect(at);
                    }
                }
            }
            East | West => {
                let at = usize::from(part == West);
                self.speakers[at].alive = true;
                self.connect(at);
            }
            Switches => {
                self.switches = (1..=SWITCHES).map(|s| (SwitchId(s), Switch::default())).collect();
                for at in 0..2 {
                    for switch in 1..=SWITCHES {
                        if self.speakers[at].alive {
                            let state = self.state(at, SwitchId(switch));
                            self.tell(at, None, RegionEventBody::SwitchConnected { state });
                        }
                    }
                }
            }
        }
    }

    fn kafka_comes(&mut self) {
        let now = self.now;
        self.router.handle_input(now, Input::Bus { up: true });
        let clock = BrokerClock::new(now, self.ms());
        self.router.handle_input(now, Input::Clock(clock));
        self.everything_is_caught_up();
    }
}

fn orders() -> Vec<Vec<Part>> {
    fn with(rest: &[Part], so_far: &mut Vec<Part>, all: &mut Vec<Vec<Part>>) {
        if rest.is_empty() {
            all.push(so_far.clone());
        }
        for part in rest {
            let others: Vec<Part> = rest.iter().filter(|p| *p != part).copied().collect();
            so_far.push(*part);
            with(&others, so_far, all);
            so_far.pop();
        }
    }
    let mut all = Vec::new();
    with(&[TheRouter, East, West, Switches, Kafka], &mut Vec::new(), &mut all);
    assert_eq!(all.len(), 120);
    all
}

#[test]
fn every_order_of_router_speakers_switches_and_kafka_ends_the_same() {
    for order in orders() {
        let mut bench = Bench::nothing_yet();
        let mut started = Vec::new();
        for part in &order {
            started.push(*part);
            bench.start(*part, &started);
            bench.run(Duration::from_secs(2));
        }
        bench.run(Duration::from_secs(4));
        for switch in 1..=SWITCHES {
            let sight = bench.router.presence.switch(SwitchId(switch));
            let sight = sight.unwrap_or_else(|| panic!("{order:?}: switch {switch} is not known"));
            let regions: Vec<&str> = sight.reaches().keys().map(Region::as_str).collect();
            assert_eq!(
                (sight.is_confirmed(), &regions[..]),
                (true, &["east", "west"][..]),
                "{order:?}"
            );
        }
        let status = bench.ask(ApiRequest::Status).body;
        let seen = (
            &status["switches_connected"],
            &status["links_up"],
            &status["regions_live"],
        );
        assert_eq!(seen, (&json!(SWITCHES), &json!(SWITCHES), &json!(2)), "{order:?}");
    }
}

#[test]
fn a_service_that_asks_too_early_is_told_so_at_once_and_is_served_later() {
    let ask = |bench: &mut Bench, id: &str| {
        let command = json!({
            "correlation_id": id, "requester": "service", "deadline_ms": START_MS + 600_000,
            "kind": "switch_snapshot", "switch": SwitchId(1),
        });
        let partition = partition_of(SwitchId(1));
        bench.said.clear();
        bench.read(Topic::Commands, partition, command.to_string().into_bytes());
        bench.drain();
        let replies = bench.said.iter().filter(|(topic, _)| *topic == Topic::Replies);
        replies.map(|(_, reply)| reply["outcome"].clone()).collect::<Vec<_>>()
    };
    let mut bench = Bench::nothing_yet();
    let mut started = Vec::new();
    for part in [Kafka, TheRouter, East, West, Switches] {
        if started.contains(&TheRouter) {
            assert_eq!(ask(&mut bench, &format!("{part:?}")), ["rejected"]);
        }
        started.push(part);
        bench.start(part, &started);
        bench.run(Duration::from_secs(2));
    }
    assert_eq!(ask(&mut bench, "late"), ["applied"]);
}

#[test]
fn the_sync_asks_all_regions_at_its_interval_and_not_while_it_is_off() {
    let mut bench = Bench::new();
    bench.asked.clear();
    bench.run(Duration::from_secs(121));
    assert_eq!(bench.asked.len(), 4, "two regions, two intervals: {:?}", bench.asked);
    let toggle = |on| {
        ApiRequest::PatchFeatures(FeaturesPatch {
            network_sync: Some(on),
            sla_reactions: None,
        })
    };
    bench.ask(toggle(false));
    bench.restart();
    bench.run(Duration::from_secs(3));
    bench.asked.clear();
    bench.run(Duration::from_secs(200));
    assert_eq!(bench.asked.len(), 0, "off, also after a restart");
    bench.ask(toggle(true));
    bench.run(Duration::from_secs(61));
    assert_eq!(bench.asked.len(), 2);
}
