//! Switches and the cables between them.

use std::time::Instant;

use skerry_bus::PortNo;
use skerry_network::Packet;

use super::{Timer, World};
use crate::sim::switch;

/// Packets on links at a time. More is a storm; further ones are dropped and counted.
const UNDER_WAY_MAX: usize = 200_000;

impl World {
    pub(super) fn tell(&mut self, now: Instant, switch: usize, input: switch::Input) {
        let Some(body) = self.bodies.get_mut(switch) else {
            return;
        };
        body.switch.handle_input(now, input);
        self.drain(now, switch);
    }

    /// Does what a switch wants, and wakes it when it says.
    fn drain(&mut self, now: Instant, switch: usize) {
        while let Some(output) = self.bodies[switch].switch.poll_output() {
            match output {
                switch::Output::Write(conn, frame) => {
                    if let Some(line) = self.up(conn) {
                        self.says(now, line, &frame);
                    }
                }
                switch::Output::Close(conn, reason) => {
                    if let Some(line) = self.up(conn) {
                        self.close(now, line, &reason);
                    }
                }
                switch::Output::Packet(port, packet) => self.enter(now, switch, port, packet),
            }
        }
        let body = &mut self.bodies[switch];
        if let Some((due, _)) = body.switch.poll_timeout()
            && body.wake.is_none_or(|wake| due < wake)
        {
            body.wake = Some(due);
            self.at(due, Timer::Switch(switch));
        }
    }

    pub(super) fn wake(&mut self, now: Instant, switch: usize) {
        let body = &mut self.bodies[switch];
        // A timer that an earlier one has overtaken.
        if body.wake.is_none_or(|wake| wake > now) {
            return;
        }
        body.wake = None;
        body.switch.handle_timeout(now);
        self.drain(now, switch);
    }

    /// A packet leaves a port.
    fn enter(&mut self, now: Instant, switch: usize, port: PortNo, packet: Packet) {
        let Some((to, at)) = self.wiring.peer(switch, port) else {
            return;
        };
        if self.under_way.len() >= UNDER_WAY_MAX {
            self.tally.packets_dropped += 1;
            return;
        }
        self.under_way.push_back((now + self.plan.link_delay, to, at, packet));
    }

    /// Packets come out of their cables.
    pub(super) fn arrivals(&mut self, now: Instant) {
        while self.under_way.front().is_some_and(|(due, ..)| *due <= now) {
            if let Some((_, switch, port, packet)) = self.under_way.pop_front() {
                self.tally.packets_carried += 1;
                self.tell(now, switch, switch::Input::Packet(port, packet));
            }
        }
    }

    /// A cable is taken out or put in: both ends learn it. A port without a cable stands for itself.
    pub(super) fn carry(&mut self, now: Instant, switch: usize, port: PortNo, up: bool) {
        let ends = [Some((switch, port)), self.wiring.peer(switch, port)];
        for (switch, port) in ends.into_iter().flatten() {
            self.tell(now, switch, switch::Input::Carrier(port, up));
        }
    }
}
