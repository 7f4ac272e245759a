//! Faults as they begin and end. Several of a kind may lie over each other: what is down stays down until the last is over.

use skerry_bus::PortNo;
use skerry_bus::objects::Mac;
use skerry_network::Packet;
use skerry_switch::Input;

use crate::client::{ClientId, Who};
use crate::event::Event;
use crate::fault::Kind;
use crate::time::{MS, Ns};
use crate::world::World;

impl World {
    pub(crate) fn is_stopped(&self, who: Who) -> bool {
        match who {
            Who::Speaker(n) => self.speakers[n].stopped > 0,
            Who::Router(n) => self.routers[n].stopped > 0,
        }
    }

    pub(crate) fn deferred(&mut self, who: Who) -> &mut Vec<Event> {
        match who {
            Who::Speaker(n) => &mut self.speakers[n].deferred,
            Who::Router(n) => &mut self.routers[n].deferred,
        }
    }

    pub(crate) fn cut(&self, who: Who) -> u32 {
        match who {
            Who::Speaker(n) => self.speakers[n].cut,
            Who::Router(n) => self.routers[n].cut,
        }
    }

    pub(crate) fn slow(&self, who: Who) -> Ns {
        match who {
            Who::Speaker(n) => self.speakers[n].slow,
            Who::Router(n) => self.routers[n].slow,
        }
    }

    /// Since when nothing keeps a process from its work; none: something does.
    pub(crate) fn well_since(&self, who: Who) -> Option<Ns> {
        let (runs, stopped) = match who {
            Who::Speaker(n) => (self.speakers[n].machine.is_some(), self.speakers[n].stopped),
            Who::Router(n) => (
                self.routers[n].process.is_some() && self.routers[n].store_slow == 0,
                self.routers[n].stopped,
            ),
        };
        let well = runs && stopped == 0 && self.cut(who) == 0 && self.away == 0 && self.slow(who) == 0;
        well.then(|| self.troubled.get(&who).copied().unwrap_or(0))
    }

    /// Something about a process changed.
    fn troubled(&mut self, kind: Kind) {
        let now = self.now;
        let all = match kind {
            Kind::Killed(who) | Kind::KilledLate(who) | Kind::Stopped(who) | Kind::Cut(who) | Kind::Slow(who, _) => {
                vec![who]
            }
            Kind::LogAway => self.everybody(),
            Kind::StoreSlow(_) => vec![Who::Router(0)],
            _ => Vec::new(),
        };
        self.troubled.extend(all.into_iter().map(|who| (who, now)));
    }

    fn client_of(&self, who: Who) -> Option<ClientId> {
        match who {
            Who::Speaker(n) => self.speakers[n].machine.as_ref().map(|(_, client)| *client),
            Who::Router(n) => self.routers[n].process.as_ref().map(|process| process.client),
        }
    }

    fn down(&mut self, who: Who) -> &mut u32 {
        match who {
            Who::Speaker(n) => &mut self.speakers[n].down,
            Who::Router(n) => &mut self.routers[n].down,
        }
    }

    /// A process starts, unless it runs or is kept from it.
    pub(crate) fn start(&mut self, who: Who) {
        if *self.down(who) > 0 || self.client_of(who).is_some() {
            return;
        }
        match who {
            Who::Speaker(n) => self.start_speaker(n),
            Who::Router(n) => self.start_router(n),
        }
    }

    fn kill(&mut self, who: Who, late: bool) {
        *self.down(who) += 1;
        match who {
            Who::Speaker(n) => self.end_speaker(n, late),
            Who::Router(n) => self.end_router(n, late),
        }
    }

    fn may_start(&mut self, who: Who) {
        *self.down(who) -= 1;
        self.start(who);
    }

    fn stop(&mut self, who: Who) {
        let now = self.now;
        let (stopped, at, due) = match who {
            Who::Speaker(n) => {
                let host = &mut self.speakers[n];
                (&mut host.stopped, &mut host.stopped_at, &mut host.due)
            }
            Who::Router(n) => {
                let host = &mut self.routers[n];
                (&mut host.stopped, &mut host.stopped_at, &mut host.due)
            }
        };
        if *stopped == 0 {
            *at = now;
        }
        *stopped += 1;
        *due = Ns::MAX;
        if let Who::Router(_) = who {
            self.judge.router_stopped();
        }
    }

    /// A process goes on: it sees at once what came meanwhile, and its clock has jumped.
    fn go_on(&mut self, who: Who) {
        let now = self.now;
        let (stopped, since, deferred) = match who {
            Who::Speaker(n) => {
                let host = &mut self.speakers[n];
                (&mut host.stopped, host.stopped_at, &mut host.deferred)
            }
            Who::Router(n) => {
                let host = &mut self.routers[n];
                (&mut host.stopped, host.stopped_at, &mut host.deferred)
            }
        };
        *stopped -= 1;
        if *stopped > 0 {
            return;
        }
        let deferred = std::mem::take(deferred);
        let Some(client) = self.client_of(who) else { return };
        if now - since > World::STALL {
            self.broke(client);
        }
        for event in deferred {
            self.happen(event);
        }
        match who {
            Who::Speaker(n) => self.wake_speaker(n),
            Who::Router(n) => {
                self.judge.router_goes_on();
                self.wake_router(n);
            }
        }
    }

    fn cut_off(&mut self, who: Who) {
        let before = self.cut(who);
        match who {
            Who::Speaker(n) => self.speakers[n].cut += 1,
            Who::Router(n) => self.routers[n].cut += 1,
        }
        if let Some(client) = self.client_of(who)
            && before == 0
            && self.away == 0
        {
            self.lost_log(client);
        }
        self.judge_impaired(who);
    }

    fn reach_again(&mut self, who: Who) {
        match who {
            Who::Speaker(n) => self.speakers[n].cut -= 1,
            Who::Router(n) => self.routers[n].cut -= 1,
        }
        if let Some(client) = self.client_of(who)
            && self.reaches(client)
        {
            self.found_log(client);
        }
        self.judge_impaired(who);
    }

    fn judge_impaired(&mut self, who: Who) {
        if let Who::Router(n) = who {
            let well = self.away == 0 && self.routers[n].cut == 0;
            self.judge.router_hears(well);
        }
    }

    fn everybody(&self) -> Vec<Who> {
        let speakers = (0..self.speakers.len()).map(Who::Speaker);
        speakers.chain((0..self.routers.len()).map(Who::Router)).collect()
    }

    /// Whether a port sees its cable.
    pub(crate) fn carries(&self, switch: usize, port: u32) -> bool {
        let unplugged = |cable: usize| {
            let of = self.faults.iter();
            let mut now = of.filter(|fault| fault.at <= self.now && self.now < fault.until);
            now.any(|fault| fault.kind == Kind::Unplugged(cable))
        };
        let wired = self.wiring.get(&(switch, port));
        !wired.is_some_and(|(cable, ..)| unplugged(*cable)) && !self.port_is_down(switch, port)
    }

    fn port_is_down(&self, switch: usize, port: u32) -> bool {
        let of = self.faults.iter();
        let mut now = of.filter(|fault| fault.at <= self.now && self.now < fault.until);
        now.any(|fault| fault.kind == Kind::PortDown(switch, PortNo(port)))
    }

    fn tell_carrier(&mut self, switch: usize, port: u32) {
        if self.switches[switch].down == 0 {
            let up = self.carries(switch, port);
            self.tell_switch(switch, Input::Carrier(PortNo(port), up));
        }
    }

    /// A fault begins.
    pub(crate) fn fault(&mut self, n: usize) {
        let kind = self.faults[n].kind;
        let now = self.now;
        self.trace.line(now, || format!("fault {n} begins: {kind:?}"));
        self.troubled(kind);
        match kind {
            Kind::Killed(who) => self.kill(who, false),
            Kind::KilledLate(who) => self.kill(who, true),
            Kind::Stopped(who) => self.stop(who),
            Kind::Cut(who) => self.cut_off(who),
            Kind::LogAway => {
                let reached: Vec<ClientId> = self
                    .everybody()
                    .into_iter()
                    .filter_map(|who| self.client_of(who))
                    .collect();
                let reached: Vec<ClientId> = reached.into_iter().filter(|client| self.reaches(*client)).collect();
                self.away += 1;
                for client in reached {
                    self.lost_log(client);
                }
                self.judge_impaired(Who::Router(0));
            }
            Kind::Slow(who, by) => self.set_slow(who, by),
            Kind::Rebooted(switch) => self.reboot_begins(switch),
            Kind::Disconnected(switch, home) => {
                if let Some(conn) = self.switches[switch].conns[home] {
                    self.tell_switch(switch, Input::Closed(skerry_switch::ConnId(conn as u64)));
                    self.hang_up_at_switch(conn);
                }
            }
            Kind::Alone(switch) => {
                let conns: Vec<usize> = self.switches[switch].conns.iter().flatten().copied().collect();
                for conn in conns {
                    self.tell_switch(switch, Input::Closed(skerry_switch::ConnId(conn as u64)));
                    self.hang_up_at_switch(conn);
                }
            }
            Kind::Left(switch, home) => {
                self.switches[switch].homes.retain(|of| *of != home);
                if let Some(conn) = self.switches[switch].conns[home] {
                    self.tell_switch(switch, Input::Closed(skerry_switch::ConnId(conn as u64)));
                    self.hang_up_at_switch(conn);
                }
            }
            Kind::Silent(cable) => self.cable_faults[cable] += 1,
            Kind::Unplugged(cable) => {
                self.cable_faults[cable] += 1;
                self.cable_seen(cable);
            }
            Kind::PortDown(switch, port) => self.tell_carrier(switch, port.0),
            Kind::DiskSlow(speaker, by) => self.speakers[speaker].disk_slow = by,
            Kind::DiskBroken(speaker) => self.speakers[speaker].disk.broken = true,
            Kind::StoreSlow(by) => self.set_store_slow(by),
            Kind::Forged(switch, port) => self.forge(switch, port),
        }
    }

    /// A fault is over.
    pub(crate) fn heal(&mut self, n: usize) {
        let kind = self.faults[n].kind;
        let now = self.now;
        self.trace.line(now, || format!("fault {n} is over: {kind:?}"));
        self.troubled(kind);
        match kind {
            Kind::Killed(who) | Kind::KilledLate(who) => self.may_start(who),
            Kind::Stopped(who) => self.go_on(who),
            Kind::Cut(who) => self.reach_again(who),
            Kind::LogAway => {
                self.away -= 1;
                if self.away == 0 {
                    for client in self
                        .everybody()
                        .into_iter()
                        .filter_map(|who| self.client_of(who))
                        .collect::<Vec<_>>()
                    {
                        if self.reaches(client) {
                            self.found_log(client);
                        }
                    }
                }
                self.judge_impaired(Who::Router(0));
            }
            Kind::Slow(who, _) => self.set_slow(who, 0),
            Kind::Rebooted(switch) => self.reboot_ends(switch),
            Kind::Disconnected(..) | Kind::Alone(_) | Kind::Left(..) | Kind::Forged(..) => {}
            Kind::Silent(cable) => self.cable_faults[cable] -= 1,
            Kind::Unplugged(cable) => {
                self.cable_faults[cable] -= 1;
                self.cable_seen(cable);
            }
            Kind::PortDown(switch, port) => self.tell_carrier(switch, port.0),
            Kind::DiskSlow(speaker, _) => self.disk_goes_on(speaker),
            Kind::DiskBroken(speaker) => self.speakers[speaker].disk.broken = false,
            Kind::StoreSlow(_) => self.set_store_slow(0),
        }
    }

    fn set_slow(&mut self, who: Who, by: Ns) {
        match who {
            Who::Speaker(n) => self.speakers[n].slow = by,
            Who::Router(n) => {
                self.routers[n].slow = by;
                self.judge.router_slow(by);
            }
        }
    }

    fn set_store_slow(&mut self, by: Ns) {
        self.routers[0].store_slow = by;
        self.judge.router_store_slow(by);
    }

    fn cable_seen(&mut self, cable: usize) {
        let cable = self.scenario.cables[cable];
        for (switch, port) in [cable.a, cable.b] {
            self.tell_carrier(switch, port.0);
        }
    }

    /// A discovery packet that nobody signed comes in at a port: it says that it left another one.
    fn forge(&mut self, switch: usize, port: PortNo) {
        let from = self.random.below(self.switches.len() as u64) as usize;
        let text: Vec<u8> = (0..120).map(|_| self.random.below(256) as u8).collect();
        let packet = Box::new(Packet {
            eth_src: Mac(self.switches[from].id.mac()),
            eth_dst: skerry_network::layout::DISCOVERY_MAC,
            tags: Vec::new(),
            eth_type: 0x0800,
            ip_proto: Some(17),
            udp: Some((
                skerry_network::layout::DISCOVERY_UDP,
                skerry_network::layout::DISCOVERY_UDP,
            )),
            payload: text,
        });
        let at = self.now + MS;
        self.agenda.put(
            at,
            Event::Packet {
                switch,
                port,
                packet,
                cable: None,
            },
        );
    }
}
