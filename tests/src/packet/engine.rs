//! The program `skerry-packets`: one interface, its streams, and what arrives there.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::frame::{Kind, Packet, Parsed};
use super::sender::{Addresses, Sender};
use super::seqset::Insert;
use super::{Arrived, Request, Tag, Totals};
use crate::sys;

/// Streams a host may send in its life; each is remembered for `mark`.
const STREAMS_MAX: usize = 1_000;

/// Combinations of stream, kind and tags that are counted. More than a scenario has by
/// far; packets of further ones are counted as `not_kept`.
const COUNTED_MAX: usize = 4_096;

/// Times that are kept for the median of each.
pub const TIMES_MAX: usize = 20_000;

/// Room for frames that arrive while this program is kept from running: some 10,000.
const RECEIVE_BUFFER: i32 = 16 << 20;

type Key = (u32, Kind, Vec<Tag>);

/// What arrived so far.
#[derive(Default)]
struct Counts {
    arrived: HashMap<Key, Counted>,
    totals: Totals,
    echo: bool,
}

#[derive(Default)]
struct Counted {
    arrived: Arrived,
    times_ns: Vec<u64>,
    highest: u64,
}

impl Counts {
    fn take(&mut self, packet: &Packet, good: bool, now_ns: u64) {
        let key = (packet.stream, packet.kind, packet.tags.clone());
        if !self.arrived.contains_key(&key) && self.arrived.len() >= COUNTED_MAX {
            self.totals.not_kept += 1;
            return;
        }
        self.totals.ours += 1;
        let Counted {
            arrived,
            times_ns,
            highest,
        } = self.arrived.entry(key).or_default();
        arrived.kind = packet.kind;
        arrived.received += 1;
        if !good {
            arrived.wrong_payload += 1;
            return;
        }
        match arrived.numbers.insert(packet.number) {
            Insert::New => {}
            Insert::Duplicate => arrived.duplicates += 1,
            Insert::Refused => self.totals.not_kept += 1,
        }
        arrived.reordered += u64::from(packet.number < *highest);
        *highest = packet.number.max(*highest);
        let time_ns = now_ns.saturating_sub(packet.sent_ns);
        arrived.min_ns = if times_ns.is_empty() {
            time_ns
        } else {
            arrived.min_ns.min(time_ns)
        };
        arrived.max_ns = arrived.max_ns.max(time_ns);
        if times_ns.len() < TIMES_MAX {
            times_ns.push(time_ns);
        }
    }

    fn received(&self, stream: u32) -> Vec<Arrived> {
        let of_stream = self.arrived.iter().filter(|((key, ..), _)| *key == stream);
        let mut list: Vec<Arrived> = of_stream
            .map(|((_, _, tags), counted)| {
                let mut times = counted.times_ns.clone();
                times.sort_unstable();
                let median_ns = times.get(times.len() / 2).copied().unwrap_or(0);
                Arrived {
                    tags: tags.clone(),
                    median_ns,
                    ..counted.arrived.clone()
                }
            })
            .collect();
        list.sort_by(|a, b| (a.kind, &a.tags).cmp(&(b.kind, &b.tags)));
        list
    }
}

/// The program's state.
pub struct Engine {
    interface: String,
    addresses: Addresses,
    senders: HashMap<u32, Sender>,
    counts: Arc<Mutex<Counts>>,
}

impl Engine {
    /// Starts receiving on an interface.
    ///
    /// # Errors
    /// No such interface, or no right to.
    pub fn start(interface: &str, addresses: Addresses) -> Result<Engine> {
        let counts = Arc::new(Mutex::new(Counts::default()));
        let incoming = sys::receiving_socket(interface, RECEIVE_BUFFER).context(interface.to_owned())?;
        let outgoing = sys::sending_socket(interface)?;
        let shared = counts.clone();
        std::thread::spawn(move || {
            let (mut frame, mut echo) = (Vec::new(), Vec::new());
            loop {
                match sys::receive_frame(&incoming, &mut frame) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    // The interface is down for a while; what comes after counts again.
                    Err(error) if matches!(error.raw_os_error(), Some(libc::ENETDOWN | libc::EINTR)) => continue,
                    Err(error) => {
                        eprintln!("receiving: {error}");
                        std::process::exit(1);
                    }
                }
                let now_ns = sys::monotonic_ns();
                let mut counts = lock(&shared);
                match Packet::parse(&frame) {
                    Parsed::Other => counts.totals.others += 1,
                    Parsed::Wrong(packet) => counts.take(&packet, false, now_ns),
                    Parsed::Good(packet) => {
                        counts.take(&packet, true, now_ns);
                        if counts.echo && packet.kind == Kind::Ask {
                            packet.answer().build(&mut echo);
                            match (&outgoing).write_all(&echo) {
                                Ok(()) => counts.totals.echoed += 1,
                                Err(_) => counts.totals.echo_failed += 1,
                            }
                        }
                    }
                }
            }
        });
        Ok(Engine {
            interface: interface.to_owned(),
            addresses,
            senders: HashMap::new(),
            counts,
        })
    }

    /// Does what is asked; `None` ends the program.
    ///
    /// # Errors
    /// The stream is unknown, used already, or cannot be sent.
    pub fn handle(&mut self, request: Request) -> Result<Option<Value>> {
        let answer = match request {
            Request::Send(stream) => {
                ensure!(
                    !self.senders.contains_key(&stream.stream),
                    "stream {} was sent already",
                    stream.stream
                );
                ensure!(self.senders.len() < STREAMS_MAX, "more than {STREAMS_MAX} streams");
                let number = stream.stream;
                let sender = Sender::start(&self.interface, self.addresses, stream)?;
                let sent = sender.sent();
                self.senders.insert(number, sender);
                json!(sent)
            }
            Request::Mark { stream } => json!(self.sender(stream)?.sent()),
            Request::Stop { stream } => json!(self.sender(stream)?.stop()?),
            Request::Received { stream } => json!({"arrived": lock(&self.counts).received(stream)}),
            Request::Totals => json!(lock(&self.counts).totals),
            Request::Echo { on } => {
                lock(&self.counts).echo = on;
                json!({"echo": on})
            }
            Request::Reset => {
                let mut counts = lock(&self.counts);
                *counts = Counts {
                    echo: counts.echo,
                    ..Counts::default()
                };
                json!({"ok": true})
            }
            Request::Quit => return Ok(None),
        };
        Ok(Some(answer))
    }

    fn sender(&mut self, stream: u32) -> Result<&mut Sender> {
        self.senders
            .get_mut(&stream)
            .with_context(|| format!("stream {stream} was never sent"))
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program: interface and addresses as given, requests on standard input, answers on
/// standard output.
///
/// # Errors
/// The interface cannot be used, or standard output is closed.
pub fn serve(interface: &str, addresses: Addresses) -> Result<()> {
    let mut engine = Engine::start(interface, addresses)?;
    let mut output = io::stdout();
    writeln!(output, "{}", json!({"ready": true}))?;
    for line in io::stdin().lines() {
        let request = serde_json::from_str(&line?).context("request");
        let answer = match request.and_then(|request| engine.handle(request)) {
            Ok(Some(answer)) => answer,
            Ok(None) => break,
            Err(error) => json!({"error": format!("{error:#}")}),
        };
        writeln!(output, "{answer}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::frame::LENGTH_MIN;

    fn packet(number: u64) -> Packet {
        Packet {
            macs: [[2; 6]; 2],
            tags: vec![Tag::c(7)],
            addresses: [[10, 0, 0, 1], [10, 0, 0, 2]],
            stream: 1,
            kind: Kind::Data,
            number,
            sent_ns: 100,
            length: LENGTH_MIN,
        }
    }

    #[test]
    fn loss_duplicates_order_and_wrong_payload_are_told_apart() {
        let mut counts = Counts::default();
        for number in [0, 1, 3, 2, 3, 6] {
            counts.take(&packet(number), true, 100 + number);
        }
        counts.take(&packet(5), false, 200);
        let arrived = counts.received(1).remove(0);
        assert_eq!(
            (
                arrived.received,
                arrived.duplicates,
                arrived.wrong_payload,
                arrived.reordered
            ),
            (7, 1, 1, 1)
        );
        assert_eq!(arrived.numbers.missing_in(0..8), [4..6, 7..8]);
        assert_eq!((arrived.min_ns, arrived.median_ns, arrived.max_ns), (0, 3, 6));
        assert_eq!(arrived.tags, [Tag::c(7)]);
        assert!(counts.received(2).is_empty());
    }

    #[test]
    fn too_many_streams_are_counted_and_not_kept() {
        let mut counts = Counts::default();
        for stream in 0..COUNTED_MAX as u32 + 3 {
            counts.take(&Packet { stream, ..packet(0) }, true, 100);
        }
        assert_eq!((counts.totals.ours, counts.totals.not_kept), (COUNTED_MAX as u64, 3));
    }
}
