//! What is asked on standard input, and the figures.

use std::time::Instant;

use ofproto::MessageType;
use serde_json::{Value, json};
use skerry_bus::PortNo;

use super::{Output, World};
use crate::load::manner::Manner;
use crate::load::options;
use crate::load::request::Request;
use crate::load::tally::Tally;
use crate::sim::switch::Switch;

impl World {
    pub(super) fn asked(&mut self, now: Instant, request: Request) {
        let name = request.name();
        let line = match self.done(now, request) {
            Ok(answer) => json!({ "answer": name, "result": answer }),
            Err(error) => json!({ "answer": name, "error": error }),
        };
        self.outputs.push_back(Output::Say(line));
        if name == "quit" {
            self.end(now);
        }
    }

    fn done(&mut self, now: Instant, request: Request) -> Result<Value, String> {
        match request {
            Request::Status => return Ok(self.figures(now)),
            Request::Reset => {
                self.tally = Tally::new(now);
            }
            Request::Echo { in_flight, every_ms } => self.set_echo(now, in_flight, every_ms)?,
            Request::PacketIn { rate, in_flight } => {
                let rate = Some(rate).filter(|rate| *rate != 0.0);
                let in_flight = Some(in_flight).filter(|count| *count != 0);
                self.set_packet_ins(now, options::packet_ins(rate, in_flight)?);
            }
            Request::Flood {
                switch,
                rate,
                count,
                to,
            } => {
                if rate != 0.0 {
                    options::rate("rate", rate)?;
                }
                self.flood(now, switch, rate, count, to)?;
            }
            Request::Flap { rate } => {
                let rate = Some(rate).filter(|rate| *rate != 0.0);
                self.set_flap(now, rate.map(|rate| options::rate("rate", rate)).transpose()?);
            }
            Request::Port { switch, port, up } => {
                let index = self.index(switch)?;
                if !(1..=self.plan.ports).contains(&port) {
                    return Err(format!("no port {port}"));
                }
                self.carry(now, index, PortNo(port), up);
            }
            Request::Silence { switch } => {
                for line in self.lines_of(switch)? {
                    self.silence(now, line);
                }
            }
            Request::Close { switch } => {
                for line in self.lines_of(switch)? {
                    self.cut(now, line, "asked to hang up");
                }
            }
            Request::Dump { switch } => {
                let index = self.index(switch)?;
                return self
                    .bodies
                    .get(index)
                    .map(|body| body.switch.dump())
                    .ok_or_else(String::new);
            }
            Request::Quit => {}
        }
        Ok(json!({}))
    }

    /// The index of a well-behaved switch.
    pub(super) fn index(&self, switch: u64) -> Result<usize, String> {
        let index = switch
            .checked_sub(self.plan.first_id)
            .and_then(|index| usize::try_from(index).ok());
        index
            .filter(|index| *index < self.plan.switches)
            .ok_or_else(|| format!("no switch {switch}"))
    }

    /// The connections that a well-behaved switch has.
    fn lines_of(&self, switch: u64) -> Result<Vec<usize>, String> {
        let index = self.index(switch)?;
        let is_it = |line: &usize| {
            let at = &self.lines[*line];
            at.switch == index && at.manner == Manner::Good && at.is_up()
        };
        Ok((0..self.lines.len()).filter(is_it).collect())
    }

    /// The figures so far.
    fn figures(&self, now: Instant) -> Value {
        let mut told = self.tally.told(now);
        told.insert("connections".to_owned(), self.milestones.told());
        let held = |of: fn(&Switch) -> usize| self.bodies.iter().map(|body| of(&body.switch)).sum::<usize>();
        told.insert("rules_held".to_owned(), held(Switch::rules).into());
        Value::Object(told)
    }

    pub(super) fn watch(&mut self, now: Instant) {
        let line = json!({
            "second": (now - self.start).as_secs(),
            "connections": self.milestones.now(),
            "sent": self.tally.out.total(),
            "received": self.tally.inn.total(),
            "packet_ins": self.tally.out.of(MessageType::PACKET_IN),
            "packet_outs": self.tally.inn.of(MessageType::PACKET_OUT),
            "echoes": self.tally.echo.count(),
            "answers": self.tally.packet_ins.answers.count(),
        });
        self.outputs.push_back(Output::Say(line));
    }

    pub(super) fn end(&mut self, now: Instant) {
        let report = self.figures(now);
        self.outputs.push_back(Output::Say(json!({ "report": report })));
        self.outputs
            .push_back(Output::Quit(self.milestones.were_all_handshaken()));
    }
}
