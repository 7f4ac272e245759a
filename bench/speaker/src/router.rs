//! The router's part, as far as a speaker needs one: it gives roles, asks for rules, and notes when it heard what.
//!
//! A router of its own would be measured too; and what it decides is known here beforehand.

use anyhow::{Context, Result, ensure};
use skerry_bus::{
    Command, CommandBody, CommandResult, CorrelationId, Decoded, DesiredChange, Generation, Outcome, Region,
    RegionEvent, RegionEventBody, SwitchId, Term, Topic, decode, encode, topic,
};
use skerry_io::kafka::{Begin, Consumer, ConsumerEvent, KafkaSettings, Producer, Reading, SendError};
use skerry_tests::wait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a command may take. None here is ever that late; it bounds what a broken one costs.
const COMMAND_MAX: Duration = Duration::from_secs(60);
/// Topics begin empty or are read to their end at once.
const CAUGHT_UP_MAX: Duration = Duration::from_secs(60);

/// What was heard of the region.
#[derive(Default)]
struct Heard {
    /// Partitions read to their end.
    caught_up: BTreeSet<i32>,
    heartbeats: u64,
    /// Epoch of the speaker that spoke last.
    epoch: u64,
    /// When each switch was announced, by the speaker that speaks now.
    announced: BTreeMap<SwitchId, Instant>,
    /// Answers, with the moment they were read.
    results: BTreeMap<CorrelationId, (Instant, CommandResult)>,
}

/// One that speaks for the region's router.
pub struct Router {
    region: Region,
    partitions: i32,
    producer: Option<Producer>,
    heard: Arc<Mutex<Heard>>,
}

/// Names of commands are not used twice in one run, whichever router gives them.
static COMMANDS: AtomicU64 = AtomicU64::new(0);

impl Router {
    /// Connects, and reads the region's events from their present end on.
    ///
    /// # Errors
    /// Kafka is not reached.
    pub fn start(settings: &KafkaSettings, region: &str) -> Result<Router> {
        let region: Region = region.parse()?;
        let commands = Topic::RegionCommands(region.clone());
        let (producer, mut fates) = Producer::start(settings, "skerry-bench", vec![commands])?;
        let reading = Reading {
            client_id: "skerry-bench".to_owned(),
            group: "skerry-bench".to_owned(),
            topics: vec![(Topic::RegionEvents(region.clone()), Begin::Latest)],
        };
        let mut consumer = Consumer::start(settings, reading)?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let ears = heard.clone();
        // Both threads end with the process, as the router does.
        std::thread::Builder::new()
            .name("router-ears".to_owned())
            .spawn(move || {
                while let Some(event) = consumer.blocking_recv() {
                    hear(&mut lock(&ears), event);
                }
            })?;
        std::thread::Builder::new()
            .name("router-fates".to_owned())
            .spawn(move || while fates.blocking_recv().is_some() {})?;
        let router = Router {
            region,
            partitions: settings.partitions,
            producer: Some(producer),
            heard,
        };
        wait::until("the events topic to be read to its end", CAUGHT_UP_MAX, || {
            let read = lock(&router.heard).caught_up.len();
            if i32::try_from(read).is_ok_and(|read| read >= router.partitions) {
                Ok(())
            } else {
                Err(format!("{read} of {} partitions", router.partitions))
            }
        })?;
        Ok(router)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.heard)
    }

    /// The epoch of the speaker that spoke last; 0 if none did.
    pub fn epoch(&self) -> u64 {
        self.heard().epoch
    }

    /// Waits for a heartbeat of a speaker that is younger than this epoch: Kafka is up for it.
    ///
    /// # Errors
    /// It says nothing.
    pub fn wait_for_speaker(&self, before: u64) -> Result<()> {
        wait::until("a new speaker's heartbeat", CAUGHT_UP_MAX, || {
            let heard = self.heard();
            if heard.epoch > before && heard.heartbeats > 0 {
                Ok(())
            } else {
                Err(format!("epoch {}, {} heartbeats", heard.epoch, heard.heartbeats))
            }
        })
    }

    /// Waits until so many switches are announced; the moment the last of them was.
    ///
    /// # Errors
    /// They are not in time.
    pub fn wait_announced(&self, count: usize, within: Duration) -> Result<Instant> {
        wait::until(&format!("{count} switches announced"), within, || {
            let heard = self.heard();
            let mut moments: Vec<Instant> = heard.announced.values().copied().collect();
            moments.sort_unstable();
            match moments.get(count.saturating_sub(1)) {
                Some(last) => Ok(*last),
                None => Err(format!("{}", moments.len())),
            }
        })
    }

    /// Asks something of a switch; the name under which the answer comes, and when it was said.
    ///
    /// # Errors
    /// Kafka does not take it.
    pub fn command(&self, switch: SwitchId, body: CommandBody) -> Result<(CorrelationId, Instant)> {
        let number = COMMANDS.fetch_add(1, Ordering::Relaxed);
        let correlation_id: CorrelationId = format!("bench-{}-{number}", std::process::id()).parse()?;
        let command = Command {
            correlation_id: correlation_id.clone(),
            requester: "skerry-bench".to_owned(),
            deadline_ms: skerry_io::wall_clock_ms() + COMMAND_MAX.as_millis() as u64,
            owner_epoch: None,
            region: None,
            epoch: None,
            body,
        };
        let key = switch.to_string();
        let partition = topic::partition_of(&key, self.partitions);
        let topic = Topic::RegionCommands(self.region.clone());
        let producer = self.producer.as_ref().context("a router that has not ended")?;
        // Encoding counts for the speaker's side: nobody applies rules who has not written them down.
        let said = Instant::now();
        let payload = encode(&command);
        let mut sent = producer.send(&topic, partition, &key, payload.clone(), None);
        if matches!(sent, Err(SendError::Away | SendError::Full)) {
            sent = wait::until("Kafka to take a command", wait::DEADLINE, || {
                match producer.send(&topic, partition, &key, payload.clone(), None) {
                    Err(error @ (SendError::Away | SendError::Full)) => Err(error.to_string()),
                    sent => Ok(sent),
                }
            })?;
        }
        sent?;
        Ok((correlation_id, said))
    }

    /// Makes the region active for a switch.
    ///
    /// # Errors
    /// Kafka does not take it.
    pub fn activate(&self, switch: SwitchId, term: u64) -> Result<CorrelationId> {
        let body = CommandBody::Activate {
            switch,
            term: Term(term),
        };
        self.command(switch, body).map(|(name, _)| name)
    }

    /// Says what shall stand on a switch.
    ///
    /// # Errors
    /// Kafka does not take it.
    pub fn desire(
        &self,
        switch: SwitchId,
        term: u64,
        generation: u64,
        change: DesiredChange,
    ) -> Result<(CorrelationId, Instant)> {
        let body = CommandBody::Desired {
            switch,
            term: Term(term),
            generation: Generation(generation),
            change,
        };
        self.command(switch, body)
    }

    /// Waits for the answers to commands, all of which must be `applied`; when each was read, in the order of the names.
    ///
    /// # Errors
    /// One is missing or is another answer.
    pub fn applied(&self, names: &[CorrelationId], within: Duration) -> Result<Vec<Instant>> {
        let what = format!("the answers to {} commands", names.len());
        wait::until(&what, within, || {
            let heard = self.heard();
            let missing = names.iter().filter(|name| !heard.results.contains_key(*name)).count();
            if missing == 0 {
                Ok(())
            } else {
                Err(format!("{missing} missing"))
            }
        })?;
        let mut heard = self.heard();
        names
            .iter()
            .map(|name| {
                let (moment, result) = heard.results.remove(name).context("it was there")?;
                ensure!(result.outcome == Outcome::Applied, "{name} ended {result:?}");
                Ok(moment)
            })
            .collect()
    }

    /// Forgets which switches were announced: the next are counted from none.
    pub fn forget_switches(&self) {
        self.heard().announced.clear();
    }

    /// Switches that are announced now.
    pub fn announced(&self) -> usize {
        self.heard().announced.len()
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        /// Nothing that matters is under way any more.
        const FLUSH_MAX: Duration = Duration::from_secs(1);
        if let Some(producer) = self.producer.take() {
            producer.close(FLUSH_MAX);
        }
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hear(heard: &mut Heard, event: ConsumerEvent) {
    let now = Instant::now();
    let record = match event {
        ConsumerEvent::Record(record) => record,
        ConsumerEvent::CaughtUp { partition, .. } => {
            heard.caught_up.insert(partition);
            return;
        }
        ConsumerEvent::Behind { .. } | ConsumerEvent::Unreadable { .. } | ConsumerEvent::NewLog => return,
    };
    let Decoded::Message(RegionEvent {
        epoch,
        correlation_id,
        body,
        ..
    }) = decode(&record.payload)
    else {
        return;
    };
    if epoch.0 < heard.epoch {
        // The last words of one that is ended.
        return;
    }
    if epoch.0 > heard.epoch {
        heard.epoch = epoch.0;
        heard.heartbeats = 0;
        heard.announced.clear();
    }
    match body {
        RegionEventBody::Heartbeat { .. } => heard.heartbeats += 1,
        RegionEventBody::SwitchConnected { state } | RegionEventBody::SnapshotSwitch { state, .. } => {
            heard.announced.entry(state.switch).or_insert(now);
        }
        RegionEventBody::SwitchDisconnected { switch, .. } => {
            heard.announced.remove(&switch);
        }
        RegionEventBody::CommandResult { result } => {
            if let Some(name) = correlation_id {
                heard.results.entry(name).or_insert((now, result));
            }
        }
        _ => {}
    }
}
