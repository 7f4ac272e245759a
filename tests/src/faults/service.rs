//! A service on Kafka as any other: it sends commands, and notes every answer to each of them. It judges nothing while it runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use skerry_bus::objects::{Match, ObjectKeys, Objects, Rule, RuleKey};
use skerry_bus::topic::partition_of;
use skerry_bus::{
    Command, CommandBody, Cookie, CorrelationId, Decoded, Generation, Outcome, PortNo, Reply, ReplyBody, SwitchId,
    Topic, decode, encode,
};
use skerry_io::kafka::{Begin, Consumer, ConsumerEvent, KafkaSettings, Producer, ProducerEvent, Reading};

use crate::wait;

/// Our name among requesters.
const REQUESTER: &str = "faults";
/// An answer may come so much after its deadline: it goes through Kafka, and this machine is shared.
pub const GRACE: Duration = Duration::from_secs(5);
/// Where the rules of this service are: a table and ports that no packet here has.
const TABLE: u8 = 5;
const PRIORITY: u16 = 9;
const PORT: u32 = 20_000;
/// Bit 63 makes them ours.
const COOKIE: u64 = 0x8000_0000_0fa0_0000;

/// An answer as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When.
    pub at: Instant,
    /// How the command ended.
    pub outcome: Outcome,
    /// The generation that has it.
    pub generation: Option<Generation>,
    /// Why, if it did not succeed.
    pub cause: String,
}

/// A command that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When it was handed to Kafka's client.
    pub at: Instant,
    /// When it has to be answered.
    pub deadline: Instant,
    /// The switch.
    pub switch: SwitchId,
    /// What was answered, in the order it was read.
    pub answers: Vec<Answer>,
}

impl Sent {
    /// When it was first said to be applied.
    pub fn applied(&self) -> Option<Instant> {
        let applied = self.answers.iter().find(|a| a.outcome == Outcome::Applied)?;
        Some(applied.at)
    }
}

/// What became of all commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many were sent.
    pub commands: usize,
    /// Of those, without an answer by their deadline and [`GRACE`].
    pub unanswered: Vec<String>,
    /// With answers that say different things.
    pub contradicted: Vec<String>,
    /// How many ended in which way, by their first answer.
    pub outcomes: BTreeMap<String, usize>,
}

type Book = Arc<Mutex<BTreeMap<CorrelationId, Sent>>>;

/// The service.
pub struct Service {
    producer: Arc<Producer>,
    book: Book,
    numbers: Arc<AtomicU64>,
    partitions: i32,
    deadline: Duration,
}

/// Commands that go on until it is dropped.
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Connects. Its commands have this long to be answered.
    ///
    /// # Errors
    /// There is no thread to be had, or the address cannot be one.
    pub fn start(settings: &KafkaSettings, deadline: Duration) -> Result<Service> {
        let reading = Reading {
            client_id: "skerry-faults".into(),
            group: "skerry-faults".into(),
            topics: vec![(Topic::Replies, Begin::Latest)],
        };
        let (producer, mut fates) = Producer::start(settings, "skerry-faults", vec![Topic::Commands])?;
        let mut consumer = Consumer::start(settings, reading)?;
        let book = Book::default();
        let (ears, given_up) = (book.clone(), book.clone());
        // Both end with their channels, when this process ends the clients.
        std::thread::Builder::new()
            .name("faults-answers".into())
            .spawn(move || {
                while let Some(event) = consumer.blocking_recv() {
                    if let ConsumerEvent::Record(record) = event {
                        hear(&ears, &record.payload);
                    }
                }
            })?;
        std::thread::Builder::new().name("faults-fates".into()).spawn(move || {
            while let Some(fate) = fates.blocking_recv() {
                // What Kafka never took was never asked.
                if let ProducerEvent::NotDelivered { token, .. } = fate
                    && let Ok(id) = name(token)
                {
                    given_up.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                }
            }
        })?;
        Ok(Service {
            producer: Arc::new(producer),
            book,
            numbers: Arc::default(),
            partitions: settings.partitions,
            deadline,
        })
    }

    fn book(&self) -> MutexGuard<'_, BTreeMap<CorrelationId, Sent>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces this service's one rule on a switch, and gives the name under which the answer comes.
    ///
    /// # Errors
    /// Kafka's client takes nothing for as long as is waited for anything here.
    pub fn send(&self, switch: SwitchId) -> Result<CorrelationId> {
        let sender = self.sender();
        wait::until("Kafka to take a command", wait::DEADLINE, || {
            sender.send(switch, rules(1))
        })
    }

    /// The same with so many rules, which keep a switch busy for a while.
    ///
    /// # Errors
    /// As [`Service::send`].
    pub fn send_many(&self, switch: SwitchId, count: u32) -> Result<CorrelationId> {
        let sender = self.sender();
        wait::until("Kafka to take a command", wait::DEADLINE, || {
            sender.send(switch, rules(count))
        })
    }

    fn sender(&self) -> Sender {
        Sender {
            producer: self.producer.clone(),
            book: self.book.clone(),
            numbers: self.numbers.clone(),
            partitions: self.partitions,
            deadline: self.deadline,
        }
    }

    /// From now on one command each `every` to these switches, in turn. While Kafka is away none is sent.
    pub fn load(&self, switches: Vec<SwitchId>, every: Duration) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, seen) = (self.sender(), stop.clone());
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            let mut turn: u32 = 0;
            for switch in switches.iter().cycle() {
                if seen.load(Ordering::Relaxed) {
                    return;
                }
                // What cannot be sent now is not sent: nobody answers what was never taken.
                let _ = sender.send(*switch, rules(1));
                turn += 1;
                let next = start + every * turn;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Load {
            stop,
            thread: Some(thread),
        }
    }

    /// What was sent so far.
    pub fn sent(&self) -> Vec<Sent> {
        self.book().values().cloned().collect()
    }

    /// Waits until a command is answered, and gives its first answer.
    ///
    /// # Errors
    /// It is not, by its deadline.
    pub fn answered(&self, id: &CorrelationId) -> Result<Answer> {
        wait::until(&format!("the answer to {id}"), self.deadline + GRACE, || {
            let book = self.book();
            let first = book.get(id).and_then(|sent| sent.answers.first());
            first.cloned().ok_or_else(|| "nothing".to_owned())
        })
    }

    /// Waits until each of these takes a command again, sending further ones to those that do not.
    ///
    /// # Errors
    /// One does not.
    pub fn all_apply(&self, switches: &[SwitchId]) -> Result<()> {
        for switch in switches {
            wait::until(&format!("{switch} to take a command"), wait::DEADLINE * 2, || {
                let answer = self.send(*switch).and_then(|id| self.answered(&id));
                match answer {
                    Ok(answer) if answer.outcome == Outcome::Applied => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })?;
        }
        Ok(())
    }

    /// Waits until all are answered or past their deadline, and says what became of them.
    ///
    /// # Errors
    /// The program was asked to end.
    pub fn verdict(&self) -> Result<Verdict> {
        let open = || {
            let now = Instant::now();
            let waits = |sent: &&Sent| sent.answers.is_empty() && now < sent.deadline + GRACE;
            self.book().values().filter(waits).count()
        };
        wait::until("all answers", self.deadline + GRACE * 2, || match open() {
            0 => Ok(()),
            open => Err(format!("{open} commands wait")),
        })?;
        let mut verdict = Verdict::default();
        for (id, sent) in &*self.book() {
            verdict.commands += 1;
            let Some(first) = sent.answers.first() else {
                verdict.unanswered.push(id.to_string());
                continue;
            };
            *verdict
                .outcomes
                .entry(format!("{:?}", first.outcome).to_lowercase())
                .or_default() += 1;
            // A command that is done again, because whoever answered it died, stands in a later generation.
            if sent.answers.iter().any(|answer| answer.outcome != first.outcome) {
                verdict.contradicted.push(format!("{id}: {:?}", sent.answers));
            }
        }
        Ok(verdict)
    }
}

impl Verdict {
    /// Each command had one answer.
    ///
    /// # Errors
    /// One had none, or two.
    pub fn check(&self) -> Result<()> {
        let first = |of: &[String]| of.iter().take(5).cloned().collect::<Vec<_>>();
        ensure!(
            self.unanswered.is_empty(),
            "{} unanswered: {:?}",
            self.unanswered.len(),
            first(&self.unanswered)
        );
        ensure!(
            self.contradicted.is_empty(),
            "{} answered twice in different ways: {:?}",
            self.contradicted.len(),
            first(&self.contradicted)
        );
        Ok(())
    }
}

/// What sends, from any thread.
struct Sender {
    producer: Arc<Producer>,
    book: Book,
    numbers: Arc<AtomicU64>,
    partitions: i32,
    deadline: Duration,
}

impl Sender {
    fn send(&self, switch: SwitchId, mut put: Objects) -> Result<CorrelationId, String> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        // Another cookie each time, so that there is something to write.
        for rule in put.rules.values_mut() {
            rule.cookie = Cookie(COOKIE | (number & 0xf_ffff));
        }
        let id = name(number)?;
        let command = Command {
            correlation_id: id.clone(),
            requester: REQUESTER.into(),
            deadline_ms: skerry_io::wall_clock_ms() + self.deadline.as_millis() as u64,
            owner_epoch: None,
            region: None,
            epoch: None,
            body: CommandBody::Apply {
                switch,
                put,
                remove: ObjectKeys::default(),
            },
        };
        let (key, now) = (switch.to_string(), Instant::now());
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        self.producer
            .send(
                &Topic::Commands,
                partition_of(&key, self.partitions),
                &key,
                encode(&command),
                Some(number),
            )
            .map_err(|error| error.to_string())?;
        let sent = Sent {
            at: now,
            deadline: now + self.deadline,
            switch,
            answers: Vec::new(),
        };
        book.insert(id.clone(), sent);
        Ok(id)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The name of a command by its number, which is its token with Kafka's client too.
fn name(number: u64) -> Result<CorrelationId, String> {
    let name = format!("faults-{}-{number}", std::process::id());
    name.parse().map_err(|error| format!("{error}"))
}

fn rules(count: u32) -> Objects {
    let mut objects = Objects::new();
    for number in 0..count {
        objects.put_rule(Rule {
            key: RuleKey {
                table: TABLE,
                priority: PRIORITY,
                matches: Match {
                    in_port: Some(PortNo(PORT + number)),
                    ..Match::default()
                },
            },
            cookie: Cookie(COOKIE),
            meter: None,
            apply: Vec::new(),
            write_metadata: None,
            goto: None,
            reset_counts: false,
        });
    }
    objects
}

fn hear(book: &Book, payload: &[u8]) {
    let now = Instant::now();
    let Decoded::Message(Reply {
        correlation_id,
        body: ReplyBody::SwitchResult { result, .. },
    }) = decode(payload)
    else {
        return;
    };
    let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sent) = book.get_mut(&correlation_id) {
        sent.answers.push(Answer {
            at: now,
            outcome: result.outcome,
            generation: result.generation,
            cause: result.cause.map(|cause| cause.to_string()).unwrap_or_default(),
        });
    }
}
