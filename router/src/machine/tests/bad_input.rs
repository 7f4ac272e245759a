//! Records that are wrong, of another version or in the wrong place: each is refused or told with its cause, and what comes
//! behind is done.

use super::*;

const S1: SwitchId = SwitchId(1);

/// An event of the region as it stands on Kafka, with its next position, to be made wrong.
fn event(bench: &mut Bench, at: usize, partition: i32) -> Value {
    let seq = bench.next_seq(at, partition).0;
    json!({
        "region": bench.speakers[at].region, "epoch": bench.speakers[at].epoch, "seq": seq, "at_ms": 1,
        "kind": "port_changed", "switch": S1, "port": { "port": 1, "up": false },
    })
}

fn command(id: &str, switch: SwitchId) -> Value {
    json!({
        "correlation_id": id, "requester": "service", "deadline_ms": START_MS + 60_000,
        "kind": "switch_snapshot", "switch": switch,
    })
}

impl Bench {
    fn write(&mut self, topic: &Topic, partition: i32, key: &str, payload: &str) {
        self.key = Some(key.as_bytes().to_vec());
        self.read(topic.clone(), partition, payload.as_bytes().to_vec());
        self.drain();
    }

    fn forget_what_was_said(&mut self) {
        self.said.clear();
        self.asked.clear();
        self.counted.clear();
        self.facts.clear();
    }

    fn dead_letters(&self) -> Vec<&Value> {
        let letters = self.said.iter().filter(|(topic, _)| *topic == Topic::DeadLetter);
        letters.map(|(_, letter)| letter).collect()
    }

    fn reply(&self, id: &str) -> Option<&Value> {
        let replies = self.said.iter().filter(|(topic, _)| *topic == Topic::Replies);
        replies.map(|(_, reply)| reply).find(|r| r["correlation_id"] == id)
    }

    fn port_1_is_up(&self) -> bool {
        let switch = self.router.presence.switch(S1).expect("known");
        switch.state().expect("told").ports[0].up
    }
}

#[test]
fn a_kind_of_a_newer_version_is_counted_and_is_no_gap() {
    let mut bench = Bench::new();
    bench.forget_what_was_said();
    let (east, partition) = (Topic::RegionEvents(region("east")), partition_of(S1));
    for _ in 0..3 {
        let mut sung = event(&mut bench, 0, partition);
        sung["kind"] = json!("sang");
        sung["loudness"] = json!({ "db": 90 });
        bench.write(&east, partition, &S1.to_string(), &sung.to_string());
    }
    let port = event(&mut bench, 0, partition);
    bench.write(&east, partition, &S1.to_string(), &port.to_string());
    assert!(!bench.port_1_is_up(), "what comes behind counts");
    bench.run(Duration::from_secs(5));
    let sang = ("records_unknown_kind_total".to_owned(), "sang".to_owned());
    assert_eq!(bench.counted.get(&sang), Some(&3));
    assert_eq!((bench.asked.len(), bench.dead_letters().len()), (0, 0));
}

#[test]
fn fields_of_a_newer_version_are_passed_over_and_those_an_older_one_lacks_have_defaults() {
    let mut bench = Bench::new();
    bench.forget_what_was_said();
    let (east, partition) = (Topic::RegionEvents(region("east")), partition_of(S1));
    let mut newer = event(&mut bench, 0, partition);
    newer["of_the_future"] = json!([{ "x": 1 }]);
    newer["port"]["of_the_future"] = json!(null);
    bench.write(&east, partition, &S1.to_string(), &newer.to_string());
    assert!(!bench.port_1_is_up());
    let mut older = event(&mut bench, 0, partition);
    older["kind"] = json!("heartbeat");
    older["switches"] = json!(4);
    bench.write(&east, partition, "east", &older.to_string());
    assert_eq!((bench.asked.len(), bench.dead_letters().len()), (0, 0));
}

#[test]
fn what_cannot_be_read_is_a_dead_letter_with_its_place_and_the_region_tells_everything_again() {
    let mut bench = Bench::new();
    let (east, partition) = (Topic::RegionEvents(region("east")), partition_of(S1));
    for wrong in [
        // A word that this version does not know, inside of a kind that it knows, is no unknown kind.
        json!({ "kind": "switch_changed", "state": { "role": "observer" } }),
        json!({ "kind": "port_changed", "port": "one" }),
    ] {
        bench.forget_what_was_said();
        let mut bad = event(&mut bench, 0, partition);
        for (name, value) in wrong.as_object().expect("an object") {
            bad[name] = value.clone();
        }
        let offset = bench.offset + 1;
        bench.write(&east, partition, &S1.to_string(), &bad.to_string());
        let letters = bench.dead_letters();
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert_eq!(letters[0]["topic"], "skerry.v1.events.east");
        assert_eq!(letters[0]["partition"], partition);
        assert_eq!(letters[0]["offset"], offset);
        assert_eq!(letters[0]["payload"], bad.to_string());
        assert_eq!(
            bench.asked.len(),
            1,
            "once: the position was heard, so nothing is missing behind it"
        );
    }
    bench.forget_what_was_said();
    bench.run(Duration::from_secs(20));
    assert_eq!(bench.asked.len(), 0, "the snapshot was whole");
}

#[test]
fn a_region_whose_snapshots_cannot_be_read_is_asked_less_and_less_often() {
    let mut bench = Bench::new();
    bench.forget_what_was_said();
    bench.garbled = Some(S1);
    bench.run(Duration::from_secs(61));
    bench.forget_what_was_said();
    bench.run(Duration::from_secs(50));
    // East and west, after 1, 2, 4, 8, 16 and again 16 s; the next sync is 60 s away.
    assert!((6..=14).contains(&bench.asked.len()), "{} times", bench.asked.len());
    bench.garbled = None;
    bench.run(Duration::from_secs(30));
    bench.forget_what_was_said();
    bench.run(Duration::from_secs(20));
    assert_eq!(bench.asked.len(), 0);
}

#[test]
fn an_event_or_command_with_another_key_or_partition_is_refused_with_the_cause() {
    let mut bench = Bench::new();
    bench.forget_what_was_said();
    let (east, partition) = (Topic::RegionEvents(region("east")), partition_of(S1));
    let other = (partition + 1) % PARTITIONS;
    let right = S1.to_string();
    let bad = event(&mut bench, 0, partition);
    bench.write(&east, partition, "somebody", &bad.to_string());
    let bad = event(&mut bench, 0, other);
    bench.write(&east, other, &right, &bad.to_string());
    assert!(bench.port_1_is_up(), "neither counts");
    bench.write(&Topic::Commands, partition, "", &command("key", S1).to_string());
    bench.write(&Topic::Commands, other, &right, &command("partition", S1).to_string());
    let well = bench.offset + 1;
    bench.write(&Topic::Commands, partition, &right, &command("well", S1).to_string());
    let causes: Vec<&str> = bench
        .dead_letters()
        .iter()
        .map(|l| l["cause"].as_str().expect("a text"))
        .collect();
    assert_eq!(causes.len(), 4, "{causes:?}");
    assert!(causes[0].starts_with("key: it is \"somebody\""), "{causes:?}");
    assert!(
        causes[1].starts_with("partition: switch 00:00:00:00:00:00:00:01"),
        "{causes:?}"
    );
    for (id, outcome) in [("key", "rejected"), ("partition", "rejected"), ("well", "applied")] {
        let reply = bench.reply(id).unwrap_or_else(|| panic!("no answer to {id}"));
        assert_eq!(reply["outcome"], outcome, "{reply}");
    }
    assert_eq!(bench.committed.get(&partition), Some(&(well + 1)));
}

#[test]
fn a_command_that_cannot_be_read_is_refused_when_it_can_be_seen_who_waits() {
    let mut bench = Bench::new();
    bench.forget_what_was_said();
    let mut newer = command("newer", S1);
    newer["kind"] = json!("reticulate");
    let mut wrong = command("wrong", S1);
    wrong["deadline_ms"] = json!("soon");
    let mut inner = command("inner", S1);
    inner["kind"] = json!("apply");
    inner["put"] = json!({ "meters": [{ "id": 1, "unit": "furlongs", "rate": 1, "burst": 1 }] });
    for (bad, cause) in [(newer, "reticulate"), (wrong, "soon"), (inner, "")] {
        let id = bad["correlation_id"].as_str().expect("a name").to_owned();
        bench.write(&Topic::Commands, partition_of(S1), &S1.to_string(), &bad.to_string());
        let reply = bench.reply(&id).unwrap_or_else(|| panic!("no answer to {id}"));
        assert_eq!(
            (&reply["outcome"], &reply["cause"]["kind"]),
            (&json!("rejected"), &json!("malformed"))
        );
        assert_eq!(reply["switch"], S1.to_string());
        assert!(
            reply["cause"]["detail"].as_str().is_some_and(|d| d.contains(cause)),
            "{reply}"
        );
    }
    // Nobody can be seen: only the dead letter tells.
    for bad in ["", "not json", "[1]", "{\"correlation_id\":\"x\"}", "{\"kind\":1}"] {
        bench.write(&Topic::Commands, 0, "", bad);
    }
    assert_eq!(bench.dead_letters().len(), 2 + 5);
    assert_eq!(
        bench.committed.get(&0),
        Some(&(bench.offset + 1)),
        "nothing is read again"
    );
}

#[test]
fn a_region_on_anothers_topic_is_a_dead_letter_also_with_measurements() {
    let mut bench = Bench::new();
    bench.forget_what_was_said();
    let mut foreign = event(&mut bench, 0, 0);
    foreign["region"] = json!("north");
    bench.write(&Topic::RegionEvents(region("east")), 0, "", &foreign.to_string());
    let latency = json!({
        "region": "north", "epoch": 1, "seq": 1, "at_ms": 1, "kind": "flow_latency", "flow": "f", "latency_ns": 5,
    });
    bench.write(&Topic::Latency(region("east")), 0, "", &latency.to_string());
    let letters = bench.dead_letters();
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert!(
        letters
            .iter()
            .all(|l| l["cause"].as_str().is_some_and(|c| c.contains("north")))
    );
}

#[test]
fn two_speakers_of_one_region_are_told_with_their_names_and_do_not_flap_the_network() {
    let mut bench = Bench::new();
    bench.events.clear();
    bench.forget_what_was_said();
    let terms = |bench: &Bench| -> Vec<Term> {
        let switches = bench.router.presence.switches().values();
        switches.map(skerry_router_core::presence::Switch::term).collect()
    };
    // A second process with the same name began earlier and reaches the same switches.
    let second = Speaker {
        region: region("east"),
        epoch: Epoch(0),
        seq: BTreeMap::new(),
        alive: true,
        full: false,
    };
    bench.speakers.push(second);
    let before = terms(&bench);
    bench.snapshot(2, "start".parse().expect("a name"));
    for _ in 0..120 {
        for (at, name) in [(0, "edge-1 10.0.0.1:6653"), (2, "edge-2 10.0.0.2:6653")] {
            let speaker = name.to_owned();
            let (switches, coalesced) = (4, 0);
            let beat = RegionEventBody::Heartbeat {
                switches,
                coalesced,
                speaker,
            };
            bench.tell(at, None, beat);
        }
        bench.run(Duration::from_millis(500));
    }
    assert_eq!(terms(&bench), before);
    let flaps: Vec<_> = bench
        .events
        .iter()
        .filter(|e| !matches!(e.event, VirtualEventBody::LinkChanged { .. }))
        .collect();
    assert!(flaps.is_empty(), "{flaps:?}");
    let told: Vec<&String> = bench.facts.iter().filter(|f| f.contains("two speakers")).collect();
    assert!((1..=2).contains(&told.len()), "in a minute: {told:?}");
    let names = ["epoch 1 (edge-1 10.0.0.1:6653)", "epoch 0 (edge-2 10.0.0.2:6653)"];
    let last = told.last().expect("there is one");
    assert!(names.iter().all(|n| last.contains(n)), "{told:?}");
    let regions = bench.ask(ApiRequest::Regions).body;
    assert_eq!(regions[0]["twin"], "epoch 0 (edge-2 10.0.0.2:6653)", "{regions}");
    // What is asked of the region is asked of one of them: the other refuses what bears an epoch that is not its own.
    bench.speakers.pop();
    bench.run(Duration::from_secs(15));
    assert_eq!(bench.ask(ApiRequest::Regions).body[0]["twin"], Value::Null);
}

#[test]
fn whatever_is_asked_of_a_region_bears_the_epoch_of_the_speaker_that_is_followed() {
    let mut bench = Bench::new();
    let asked = |bench: &mut Bench, id: &str| -> Vec<Option<Epoch>> {
        let command = command(id, S1).to_string();
        bench.read(Topic::Commands, partition_of(S1), command.into_bytes());
        let mut epochs = Vec::new();
        while let Some(output) = bench.router.poll_output() {
            if let Output::Publish {
                topic: Topic::RegionCommands(_),
                payload,
                ..
            } = output
            {
                let Decoded::Message(command) = decode::<Command>(&payload) else {
                    panic!("not a command")
                };
                epochs.push(command.epoch);
            }
        }
        epochs
    };
    assert_eq!(asked(&mut bench, "one"), [Some(Epoch(1))]);
    // Another process speaks for the region from now on.
    bench.speakers[0].epoch = Epoch(7);
    bench.speakers[0].seq.clear();
    for switch in bench.switches.values_mut() {
        (switch.master, switch.term) = (None, None);
    }
    bench.connect(0);
    bench.speakers[1].alive = false;
    bench.run(Duration::from_secs(4));
    assert_eq!(bench.active_in("east"), SWITCHES as usize);
    assert_eq!(asked(&mut bench, "two"), [Some(Epoch(7))]);
}
