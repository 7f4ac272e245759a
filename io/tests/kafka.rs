//! The drivers against a broker in this process: order, fates, ends, commits, and a broker that comes back elsewhere.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use skerry_bus::Topic;
use skerry_bus::topic::{PARTITIONS_TRIAL, partition_of};
use skerry_io::kafka::{
    Begin, Consumer, ConsumerEvent, KafkaSettings, Producer, ProducerEvent, ProducerEvents, Reading, Record, SendError,
};

type Broker = MockCluster<'static, DefaultProducerContext>;

/// A test that waits longer has found a fault; the machine is shared with others.
const PATIENCE: Duration = Duration::from_secs(30);

fn settings(bootstrap: &str) -> KafkaSettings {
    KafkaSettings {
        bootstrap: bootstrap.to_owned(),
        partitions: PARTITIONS_TRIAL,
        fetch_wait_max_ms: 5,
        ..KafkaSettings::default()
    }
}

fn broker() -> (Broker, KafkaSettings) {
    let broker = Broker::new(1).expect("a broker in this process");
    let settings = settings(&broker.bootstrap_servers());
    (broker, settings)
}

fn reading(topics: Vec<(Topic, Begin)>) -> Reading {
    Reading {
        client_id: "test".into(),
        group: "test".into(),
        topics,
    }
}

/// The first event for which `pick` gives something.
fn wait<T>(events: &mut ProducerEvents, mut pick: impl FnMut(ProducerEvent) -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    while let Some(event) = events.blocking_recv() {
        assert!(Instant::now() < until, "waited too long, last {event:?}");
        if let Some(found) = pick(event) {
            return found;
        }
    }
    panic!("the producer ended");
}

fn up(events: &mut ProducerEvents) {
    wait(events, |e| (e == ProducerEvent::Up).then_some(()));
}

fn next(consumer: &mut Consumer) -> ConsumerEvent {
    consumer.blocking_recv().expect("the consumer reads on")
}

fn next_record(consumer: &mut Consumer) -> Record {
    let until = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < until, "no record came");
        if let ConsumerEvent::Record(record) = next(consumer) {
            return record;
        }
    }
}

/// Wait until all partitions of a number of topics are caught up, and give the records that came before.
fn caught_up(consumer: &mut Consumer, partitions: usize) -> Vec<Record> {
    let until = Instant::now() + PATIENCE;
    let mut ends = BTreeSet::new();
    let mut records = Vec::new();
    while ends.len() < partitions {
        assert!(Instant::now() < until, "caught up: {ends:?}");
        match next(consumer) {
            ConsumerEvent::CaughtUp { topic, partition } => drop(ends.insert((topic, partition))),
            ConsumerEvent::Behind { topic, partition } => drop(ends.remove(&(topic, partition))),
            ConsumerEvent::Record(record) => records.push(record),
            ConsumerEvent::NewLog => {}
            ConsumerEvent::Unreadable { cause, .. } => panic!("{cause}"),
        }
    }
    records
}

#[test]
fn messages_of_a_key_arrive_in_order_whole_and_with_their_fate() {
    let (_broker, settings) = broker();
    let (producer, mut events) = Producer::start(&settings, "p", vec![Topic::Events, Topic::Commands]).expect("starts");
    up(&mut events);
    let mut consumer = Consumer::start(
        &settings,
        reading(vec![
            (Topic::Events, Begin::Earliest),
            (Topic::Commands, Begin::Earliest),
        ]),
    )
    .expect("starts");
    let before = skerry_io::wall_clock_ms();
    let large = format!("{{\"large\":\"{}\"}}", "x".repeat(1_200_000)).into_bytes();
    let mut token = 0;
    for n in 0..500_u32 {
        for topic in [Topic::Events, Topic::Commands] {
            let key = format!("key-{}", n % 7);
            let payload = if n == 250 {
                large.clone()
            } else {
                format!("{{\"n\":{n}}}").into_bytes()
            };
            let partition = partition_of(&key, PARTITIONS_TRIAL);
            token += 1;
            producer
                .send(&topic, partition, &key, payload, Some(token))
                .expect("taken");
        }
    }
    let mut told = BTreeSet::new();
    wait(&mut events, |event| match event {
        ProducerEvent::Delivered { token, broker_ms } => {
            assert!(broker_ms >= before, "{broker_ms} is no time of now");
            assert!(told.insert(token), "{token} was told twice");
            (told.len() == 1000).then_some(())
        }
        other => panic!("{other:?}"),
    });
    let records = caught_up(&mut consumer, 2 * PARTITIONS_TRIAL as usize);
    assert_eq!(records.len(), 1000);
    for topic in [Topic::Events, Topic::Commands] {
        for key in 0..7_u32 {
            let key = format!("key-{key}");
            let got: Vec<_> = records
                .iter()
                .filter(|r| r.topic == topic && r.key == key.as_bytes())
                .map(|r| &r.payload)
                .collect();
            let sent: Vec<_> = (0..500_u32)
                .filter(|n| format!("key-{}", n % 7) == key)
                .map(|n| {
                    if n == 250 {
                        large.clone()
                    } else {
                        format!("{{\"n\":{n}}}").into_bytes()
                    }
                })
                .collect();
            assert!(got.iter().copied().eq(sent.iter()), "{topic} {key} is out of order");
        }
    }
    assert!(records.iter().all(|r| r.timestamp_ms >= before));
    producer.close(PATIENCE);
}

#[test]
fn reading_goes_on_after_what_was_committed_and_latest_sees_only_what_is_new() {
    let (_broker, settings) = broker();
    let (producer, mut events) = Producer::start(&settings, "p", vec![Topic::Commands]).expect("starts");
    up(&mut events);
    for n in 1..=10_u64 {
        producer
            .send(&Topic::Commands, 2, "k", n.to_string().into_bytes(), Some(n))
            .expect("taken");
    }
    wait(&mut events, |e| {
        matches!(e, ProducerEvent::Delivered { token: 10, .. }).then_some(())
    });
    let committed = || Consumer::start(&settings, reading(vec![(Topic::Commands, Begin::Committed)])).expect("starts");
    let mut consumer = committed();
    let records = caught_up(&mut consumer, 4);
    assert_eq!(records.len(), 10, "nothing is committed, so all is read");
    consumer.committer().commit(&Topic::Commands, 2, 7);
    drop(consumer);

    let mut consumer = committed();
    assert_eq!(
        caught_up(&mut consumer, 4).iter().map(|r| r.offset).collect::<Vec<_>>(),
        [7, 8, 9]
    );

    let mut latest = Consumer::start(&settings, reading(vec![(Topic::Commands, Begin::Latest)])).expect("starts");
    assert!(caught_up(&mut latest, 4).is_empty());
    producer
        .send(&Topic::Commands, 2, "k", b"new".to_vec(), None)
        .expect("taken");
    assert_eq!(next_record(&mut latest).payload, b"new");
    assert_eq!(next_record(&mut consumer).payload, b"new");
}

#[test]
fn what_was_not_handed_over_is_not_committed() {
    let (_broker, settings) = broker();
    let (producer, mut events) = Producer::start(&settings, "t", vec![Topic::Commands]).expect("starts");
    up(&mut events);
    let send = |partition, payload: &str| {
        producer
            .send(&Topic::Commands, partition, "k", payload.as_bytes().to_vec(), None)
            .expect("taken");
    };
    let reading = || reading(vec![(Topic::Commands, Begin::Committed)]);

    let mut consumer = Consumer::start(&settings, reading()).expect("starts");
    let committer = consumer.committer();
    // As an answer does that belongs to the log of a broker that is gone.
    committer.commit(&Topic::Commands, 1, 2);
    send(0, "one");
    assert_eq!(next_record(&mut consumer).payload, b"one");
    committer.commit(&Topic::Commands, 0, 1);
    drop(consumer);

    for payload in ["two", "three", "four"] {
        send(1, payload);
    }
    let mut consumer = Consumer::start(&settings, reading()).expect("starts");
    // What was committed of the other partition may have come too late to be stored; it is not what is looked at.
    let mut read = || loop {
        let record = next_record(&mut consumer);
        if record.partition == 1 {
            return String::from_utf8_lossy(&record.payload).into_owned();
        }
    };
    assert_eq!([read(), read(), read()], ["two", "three", "four"]);
}

#[test]
fn a_topic_with_another_number_of_partitions_is_refused() {
    let (broker, settings) = broker();
    broker.create_topic("skerry.v1.events", 6, 1).expect("a topic");
    let (producer, mut events) = Producer::start(&settings, "p", vec![Topic::Commands, Topic::Events]).expect("starts");
    let reason = wait(&mut events, |e| match e {
        ProducerEvent::Unfit { reason } => Some(reason),
        ProducerEvent::Up => panic!("it is not fit"),
        _ => None,
    });
    assert!(
        reason.starts_with("topic skerry.v1.events has 6 partitions and kafka.partitions is 4"),
        "{reason}"
    );
    assert_eq!(
        producer.send(&Topic::Events, 0, "k", vec![], None),
        Err(SendError::Away)
    );
}

struct AddressFile(PathBuf);

impl AddressFile {
    fn new(name: &str) -> Self {
        AddressFile(std::env::temp_dir().join(format!("skerry-io-{name}-{}", std::process::id())))
    }
    fn write(&self, broker: &Broker) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, broker.bootstrap_servers()).expect("a temporary file");
        std::fs::rename(new, &self.0).expect("it is ours");
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_broker_that_comes_back_at_another_address_is_found() {
    let file = AddressFile::new("address");
    let settings = settings(&format!("file:{}", file.0.display()));
    // Both are started before there is a broker at all.
    let (producer, mut events) = Producer::start(&settings, "p", vec![Topic::Commands]).expect("starts");
    let mut consumer = Consumer::start(&settings, reading(vec![(Topic::Commands, Begin::Latest)])).expect("starts");
    wait(&mut events, |e| matches!(e, ProducerEvent::Down { .. }).then_some(()));
    assert_eq!(
        producer.send(&Topic::Commands, 0, "k", vec![], Some(1)),
        Err(SendError::Away)
    );

    let broker = Broker::new(1).expect("a broker");
    file.write(&broker);
    up(&mut events);
    caught_up(&mut consumer, 4);
    producer
        .send(&Topic::Commands, 0, "k", b"one".to_vec(), Some(2))
        .expect("taken");
    assert_eq!(next_record(&mut consumer).payload, b"one");

    drop(broker);
    wait(&mut events, |e| matches!(e, ProducerEvent::Down { .. }).then_some(()));
    let broker = Broker::new(1).expect("a broker");
    file.write(&broker);
    let back = Instant::now();
    up(&mut events);
    println!("broker back at another address: producer up after {:?}", back.elapsed());
    producer
        .send(&Topic::Commands, 3, "k", b"two".to_vec(), Some(3))
        .expect("taken");
    let (record, behind) = record_after(&mut consumer);
    println!("consumer has the first record after {:?}", back.elapsed());
    assert_eq!(
        (record.payload.as_slice(), record.partition, record.offset),
        (b"two".as_slice(), 3, 0)
    );
    assert!(
        behind >= 1,
        "with a lost connection it is not known any more that all was read"
    );
}

/// The next record, and how many partitions were said to be behind before it.
fn record_after(consumer: &mut Consumer) -> (Record, usize) {
    let mut behind = 0;
    loop {
        match next(consumer) {
            ConsumerEvent::Record(record) => return (record, behind),
            ConsumerEvent::Behind { .. } => behind += 1,
            ConsumerEvent::CaughtUp { .. } | ConsumerEvent::NewLog => {}
            ConsumerEvent::Unreadable { cause, .. } => panic!("{cause}"),
        }
    }
}

#[test]
fn a_group_whose_coordinator_moves_for_a_while_is_read_nevertheless() {
    let (broker, settings) = broker();
    let (producer, mut events) = Producer::start(&settings, "p", vec![Topic::Commands]).expect("starts");
    up(&mut events);
    producer
        .send(&Topic::Commands, 0, "k", b"one".to_vec(), Some(1))
        .expect("taken");
    wait(&mut events, |e| {
        matches!(e, ProducerEvent::Delivered { .. }).then_some(())
    });
    // More often than the library asks before it gives up.
    let moved = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR; 8];
    broker.request_errors(RDKafkaApiKey::OffsetFetch, &moved);
    let mut consumer = Consumer::start(&settings, reading(vec![(Topic::Commands, Begin::Committed)])).expect("starts");
    let (record, ends) = std::sync::mpsc::channel();
    // It would wait for ever otherwise: the test waits for so long at most.
    std::thread::spawn(move || record.send(next_record(&mut consumer).payload));
    assert_eq!(ends.recv_timeout(PATIENCE).as_deref(), Ok(&b"one"[..]));
}

#[test]
fn a_producer_without_a_broker_ends_without_waiting() {
    let settings = settings("127.0.0.1:1");
    let (producer, mut events) = Producer::start(&settings, "p", vec![Topic::Commands]).expect("starts");
    wait(&mut events, |e| matches!(e, ProducerEvent::Down { .. }).then_some(()));
    let consumer = Consumer::start(&settings, reading(vec![(Topic::Commands, Begin::Latest)])).expect("starts");
    let begin = Instant::now();
    drop(consumer);
    producer.close(Duration::from_millis(200));
    println!("ended in {:?}", begin.elapsed());
    assert!(begin.elapsed() < PATIENCE);
}

#[test]
fn a_consumer_whose_broker_is_gone_ends_with_offsets_uncommitted() {
    let (broker, settings) = broker();
    let mut consumer = Consumer::start(&settings, reading(vec![(Topic::Commands, Begin::Committed)])).expect("starts");
    caught_up(&mut consumer, 4);
    drop(broker);
    while !matches!(next(&mut consumer), ConsumerEvent::Behind { .. }) {}
    consumer.committer().commit(&Topic::Commands, 0, 1);
    let begin = Instant::now();
    drop(consumer);
    println!("ended in {:?}", begin.elapsed());
    assert!(begin.elapsed() < PATIENCE / 3, "ended after {:?}", begin.elapsed());
}

#[test]
fn the_way_through_the_trial_broker_is_measured() {
    let (_broker, settings) = broker();
    let (producer, mut events) = Producer::start(&settings, "p", vec![Topic::Commands]).expect("starts");
    up(&mut events);
    let mut consumer = Consumer::start(&settings, reading(vec![(Topic::Commands, Begin::Latest)])).expect("starts");
    caught_up(&mut consumer, 4);
    let mut ways = Vec::new();
    let mut behind = 0;
    for n in 0..300_u64 {
        let sent = Instant::now();
        producer
            .send(&Topic::Commands, (n % 4) as i32, "k", vec![b'x'; 200], Some(n))
            .expect("taken");
        let (record, said) = record_after(&mut consumer);
        assert_eq!(record.payload.len(), 200);
        ways.push(sent.elapsed());
        behind += said;
        wait(&mut events, |e| {
            matches!(e, ProducerEvent::Delivered { .. }).then_some(())
        });
    }
    ways.sort();
    println!(
        "produce to consume: p50 {:?}, p90 {:?}, p99 {:?}, max {:?}",
        ways[150], ways[270], ways[297], ways[299]
    );
    // Reading on takes nothing back. A machine that stands still for long may, which is not the rule.
    assert!(behind < 150, "{behind} times behind in 300 records");
}
