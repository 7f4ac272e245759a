//! What the reader of the wire sees is what a controller really sent and got.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use ofproto::Framer;
use skerry_tests::lab::{End, Lab};
use skerry_tests::ovs::{Controllers, Ovs};
use skerry_tests::wait::DEADLINE;
use skerry_tests::wire::{GroupCommand, IS_SLAVE, STALE, Wire, kind, now};

use crate::Need::{Capture, Ovs as OpenVSwitch, Root};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[Test(
    "wire::refused_writes_and_changed_groups_are_seen",
    &[Root, OpenVSwitch, Capture],
    refused_writes_and_changed_groups_are_seen,
)];

/// The least of a controller: says bytes, waits for bytes.
struct Controller {
    stream: TcpStream,
    framer: Framer,
}

/// OpenFlow's numbers that only this controller says.
const HELLO: u8 = 0;
const ECHO_REQUEST: u8 = 2;
const ECHO_REPLY: u8 = 3;
const FEATURES_REQUEST: u8 = 5;
const ROLE_REPLY: u8 = 25;
const MASTER: u32 = 2;
const SLAVE: u32 = 3;

impl Controller {
    fn accept(listener: &TcpListener) -> Result<Controller> {
        let (stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let mut controller = Controller {
            stream,
            framer: Framer::new(),
        };
        controller.say(HELLO, 0, &[])?;
        controller.expect(HELLO, None)?;
        controller.say(FEATURES_REQUEST, 1, &[])?;
        controller.expect(kind::FEATURES_REPLY, Some(1))?;
        Ok(controller)
    }

    fn say(&mut self, kind: u8, xid: u32, body: &[u8]) -> Result<()> {
        let mut frame = vec![4, kind];
        frame.extend((8 + body.len() as u16).to_be_bytes());
        frame.extend(xid.to_be_bytes());
        frame.extend(body);
        Ok(self.stream.write_all(&frame)?)
    }

    fn expect(&mut self, kind: u8, xid: Option<u32>) -> Result<Bytes> {
        loop {
            while let Some(frame) = self.framer.next_frame()? {
                let (seen, number) = (frame[1], u32::from_be_bytes(frame[4..8].try_into()?));
                if seen == kind && xid.is_none_or(|xid| xid == number) {
                    return Ok(frame);
                }
                if seen == ECHO_REQUEST {
                    self.say(ECHO_REPLY, number, &frame[8..])?;
                }
            }
            let mut bytes = [0; 4_096];
            let length = self
                .stream
                .read(&mut bytes)
                .with_context(|| format!("waiting for type {kind}"))?;
            ensure!(length > 0, "the switch closed the connection instead of type {kind}");
            self.framer.push(&bytes[..length]);
        }
    }

    fn ask_role(&mut self, xid: u32, role: u32, generation: u64) -> Result<()> {
        let mut body = role.to_be_bytes().to_vec();
        body.extend([0; 4]);
        body.extend(generation.to_be_bytes());
        self.say(kind::ROLE_REQUEST, xid, &body)
    }

    /// A group of type ALL without buckets; commands as in `enum ofp_group_mod_command`.
    fn mod_group(&mut self, xid: u32, command: u8, group_id: u8) -> Result<()> {
        self.say(kind::GROUP_MOD, xid, &[0, command, 0, 0, 0, 0, 0, group_id])
    }
}

fn refused_writes_and_changed_groups_are_seen() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    lab.add_netns("switches")?;
    lab.add_netns("control")?;
    let (control, switches) = (End::new("control", "switches"), End::new("switches", "control"));
    lab.veth(
        control.with_address("10.77.0.1/24"),
        switches.with_address("10.77.0.2/24"),
    )?;
    let mut wire = Wire::start(&lab, "control", "switches", &[6653, 6654])?;
    let ports = [6653, 6654];
    let listeners = ports.map(|port| {
        let address = SocketAddr::from(([10, 77, 0, 1], port));
        lab.within("control", || TcpListener::bind(address))
            .and_then(|listener| Ok(listener?))
    });
    let [first, second] = listeners;
    let (first, second) = (first?, second?);
    let ovs = Ovs::start(&lab, "switches")?;
    ovs.add_bridge(
        "s1",
        0xd1,
        &Controllers::new(["tcp:10.77.0.1:6653", "tcp:10.77.0.1:6654"]),
    )?;
    let (mut east, mut west) = (Controller::accept(&first)?, Controller::accept(&second)?);
    ovs.wait_connected("s1", 2)?;

    east.ask_role(10, MASTER, 5)?;
    east.expect(ROLE_REPLY, Some(10))?;
    west.ask_role(10, SLAVE, 5)?;
    west.expect(ROLE_REPLY, Some(10))?;
    let begin = now();
    west.mod_group(11, 0, 9)?;
    west.expect(kind::ERROR, Some(11))?;
    west.ask_role(12, MASTER, 4)?;
    west.expect(kind::ERROR, Some(12))?;
    east.mod_group(13, 0, 9)?;
    east.mod_group(14, 1, 9)?;
    east.say(kind::BARRIER_REQUEST, 15, &[])?;
    east.expect(kind::BARRIER_REPLY, Some(15))?;

    wire.wait_for("the barrier's reply", |heard| {
        let replies = heard
            .between(begin, Some(0xd1), Some(6653))
            .filter(|frame| frame.kind() == kind::BARRIER_REPLY);
        if replies.count() == 1 {
            Ok(())
        } else {
            Err(format!("{:?}", heard.connections()))
        }
    })?;
    let heard = wire.stop()?;
    let refused = heard.errors(begin, IS_SLAVE);
    ensure!(
        refused.len() == 1 && refused[0].xid() == 11 && heard.connection(refused[0]).controller.port() == 6654,
        "{refused:?}"
    );
    let stale = heard.errors(begin, STALE);
    ensure!(stale.len() == 1 && stale[0].xid() == 12, "{stale:?}");
    let writes: Vec<_> = heard
        .between(begin, Some(0xd1), None)
        .filter(|frame| frame.is_write())
        .collect();
    ensure!(
        writes.len() == 3 && heard.error_for(writes[0]) == Some(IS_SLAVE),
        "{writes:?}"
    );
    let mods = heard.group_mods(begin, 0xd1, Some(9));
    let commands: Vec<GroupCommand> = mods.iter().map(|sent| sent.command).collect();
    // The first is west's, which was refused.
    ensure!(
        commands == [GroupCommand::Add, GroupCommand::Add, GroupCommand::Modify],
        "{mods:?}"
    );
    let done = heard.barrier_reply(writes[2]).context("no barrier reply")?;
    ensure!(done.xid() == 15 && done.at >= writes[2].at, "{done:?}");
    ensure!(heard.barrier_reply(writes[0]).is_none(), "west sent no barrier");
    ensure!(
        heard.connections().iter().all(|one| one.unreadable.is_none()),
        "{:?}",
        heard.connections()
    );
    Ok(())
}
