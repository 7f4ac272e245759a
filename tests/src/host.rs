//! A host: a namespace, an interface on a switch's port, and the packet tool on it; or one of `skerry sim`, which
//! understands the same requests.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::lab::Lab;
use crate::packet::{Arrived, Kind, Request, Sent, Stream, Tag, Totals};
use crate::process::Process;
use crate::tool::Tool;
use crate::wait;

/// A running packet tool on an interface. Dropping it ends it.
pub struct Host {
    name: String,
    tool: Arc<Tool>,
    /// Its name in a program that is many hosts; none: the program is this one.
    one_of: Option<String>,
}

/// What became of numbered packets that were answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Packets sent.
    pub sent: u64,
    /// Packets without an answer.
    pub lost: u64,
    /// The answers.
    pub answers: Arrived,
}

impl Host {
    /// Starts the packet tool on `interface` in `netns`, as the host with IPv4 address
    /// `from` that sends to `to`; MAC addresses follow from these.
    ///
    /// # Errors
    /// No such interface, or the program is not built.
    pub fn start(lab: &Lab, netns: &str, interface: &str, from: &str, to: &str) -> Result<Host> {
        let args = [interface, "--from", from, "--to", to].map(str::to_owned);
        let label = format!("packets-{netns}-{interface}");
        let (tool, _ready) = Tool::start(lab, netns, "skerry-packets", &label, &args)?;
        Ok(Host {
            name: netns.to_owned(),
            tool: Arc::new(tool),
            one_of: None,
        })
    }

    /// The host that a running `skerry sim` calls `host`.
    pub fn simulated(sim: &Arc<Tool>, host: &str) -> Host {
        Host {
            name: format!("host {host}"),
            tool: sim.clone(),
            one_of: Some(host.to_owned()),
        }
    }

    /// Its namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tool's process.
    pub fn process(&self) -> &Process {
        self.tool.process()
    }

    fn answer(&self, request: &Request) -> Result<Value> {
        let mut question = serde_json::to_value(request)?;
        if let (Some(host), Some(fields)) = (&self.one_of, question.as_object_mut()) {
            fields.insert("host".to_owned(), host.as_str().into());
        }
        self.tool.ask(&question.to_string())
    }

    fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T> {
        serde_json::from_value(self.answer(request)?).with_context(|| format!("{request:?}"))
    }

    /// Starts a stream; its number must be new.
    ///
    /// # Errors
    /// The number was used, or the stream cannot be sent.
    pub fn send_stream(&self, stream: Stream) -> Result<Sent> {
        self.ask(&Request::Send(stream))
    }

    /// How far a stream is. Of two marks, one after something began and one before it
    /// ends, the packets from the first one's `begun` to the second one's `next`
    /// (exclusive) were all sent in between.
    ///
    /// # Errors
    /// No such stream.
    pub fn mark(&self, stream: u32) -> Result<Sent> {
        self.ask(&Request::Mark { stream })
    }

    /// Ends a stream and gives how many packets it had.
    ///
    /// # Errors
    /// No such stream, or the interface refused a packet.
    pub fn stop(&self, stream: u32) -> Result<u64> {
        self.ask::<Sent>(&Request::Stop { stream }).map(|sent| sent.next)
    }

    /// Waits until a stream with a count has sent all, and gives how many packets it had.
    ///
    /// # Errors
    /// It did not end in time.
    pub fn finish(&self, stream: u32, deadline: Duration) -> Result<u64> {
        wait::until(
            &format!("{}: end of stream {stream}", self.name),
            deadline,
            || match self.mark(stream) {
                Ok(sent) if sent.ended => Ok(()),
                seen => Err(format!("{seen:?}")),
            },
        )?;
        self.stop(stream)
    }

    /// All that arrived of a stream: one entry for each kind and tags seen.
    ///
    /// # Errors
    /// The tool ended.
    pub fn arrivals(&self, stream: u32) -> Result<Vec<Arrived>> {
        let mut answer = self.answer(&Request::Received { stream })?;
        Ok(serde_json::from_value(answer["arrived"].take())?)
    }

    /// What arrived of a stream with exactly these tags (nothing: an empty entry).
    ///
    /// # Errors
    /// The tool ended.
    pub fn received(&self, stream: u32, kind: Kind, tags: &[Tag]) -> Result<Arrived> {
        let mut all = self.arrivals(stream)?.into_iter();
        let found = all.find(|arrived| arrived.kind == kind && arrived.tags == tags);
        Ok(found.unwrap_or_else(|| Arrived {
            kind,
            tags: tags.to_vec(),
            ..Arrived::default()
        }))
    }

    /// Waits until all numbers of `0..sent` arrived, or nothing more of them came for
    /// `quiet`, and gives what arrived. Loss is the caller's to judge.
    ///
    /// # Errors
    /// The tool ended, or packets come for ever.
    pub fn settled(&self, stream: u32, kind: Kind, tags: &[Tag], sent: u64, quiet: Duration) -> Result<Arrived> {
        let mut last = (u64::MAX, std::time::Instant::now());
        wait::until(&format!("{}: stream {stream}", self.name), wait::DEADLINE, || {
            let arrived = self
                .received(stream, kind, tags)
                .map_err(|error| format!("{error:#}"))?;
            if arrived.received != last.0 {
                last = (arrived.received, std::time::Instant::now());
            }
            if arrived.numbers.count_in(0..sent) == sent || last.1.elapsed() >= quiet {
                Ok(arrived)
            } else {
                Err(format!("{} of {sent} received", arrived.received))
            }
        })
    }

    /// Answers packets that ask for it from now on, or no longer.
    ///
    /// # Errors
    /// The tool ended.
    pub fn echo(&self, on: bool) -> Result<()> {
        self.answer(&Request::Echo { on }).map(drop)
    }

    /// Sends `count` packets that ask for an answer and waits for the answers, which come
    /// with the same tags. The far host must [`Host::echo`].
    ///
    /// # Errors
    /// The stream number was used, or packets cannot be sent. Loss is no error.
    pub fn ping(&self, stream: u32, tags: &[Tag], count: u64, rate: u32) -> Result<Ping> {
        let asked = Stream {
            ask: true,
            ..Stream::new(stream, tags, rate).count(count)
        };
        self.send_stream(asked)?;
        let takes = Duration::from_secs(count / u64::from(rate.max(1)));
        let sent = self.finish(stream, takes + wait::DEADLINE)?;
        // Longer than any delay a scenario sets, there and back.
        let quiet = Duration::from_secs(2);
        let answers = self.settled(stream, Kind::Answer, tags, sent, quiet)?;
        Ok(Ping {
            sent,
            lost: sent - answers.numbers.count_in(0..sent),
            answers,
        })
    }

    /// What arrived at the interface at all.
    ///
    /// # Errors
    /// The tool ended.
    pub fn totals(&self) -> Result<Totals> {
        self.ask(&Request::Totals)
    }

    /// Forgets what arrived so far.
    ///
    /// # Errors
    /// The tool ended.
    pub fn reset(&self) -> Result<()> {
        self.answer(&Request::Reset).map(drop)
    }
}
