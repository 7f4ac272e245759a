//! Writes of controllers after another one was told that it is MASTER: how many were tried, and what the switch said.
//!
//! It is seen from outside the switch, by what goes over its connections, so a switch that took one would be found out.

use ofproto::{HEADER_LEN, Header, MessageType};

use super::World;

/// The ONF's number in experimenter messages, and its bundle control message (ONF extension 230).
const ONF: u32 = 0x4f4e_4600;
const BUNDLE_CONTROL: u32 = 2_300;
/// OFPBCT_COMMIT_REQUEST: what a bundle holds is written by its commit.
const COMMIT: u16 = 4;
/// OFPCR_ROLE_MASTER.
const MASTER: u32 = 2;

/// A write that should be refused.
#[derive(Debug)]
pub(super) struct Late {
    line: usize,
    xid: u32,
    refused: bool,
}

impl World {
    /// A frame is about to be looked at by the switch.
    pub(super) fn before(&mut self, line: usize, header: Header, frame: &[u8]) {
        let master = self.bodies.get(self.lines[line].switch).and_then(|body| body.master);
        if master.is_some_and(|master| master != line) && writes(header.kind, frame) {
            self.late = Some(Late {
                line,
                xid: header.xid,
                refused: false,
            });
        }
    }

    /// The switch has looked at it.
    pub(super) fn after(&mut self) {
        if let Some(late) = self.late.take() {
            self.tally.late_tried += 1;
            self.tally.late_accepted += u64::from(!late.refused);
        }
    }

    /// The switch says something to a controller.
    pub(super) fn said(&mut self, line: usize, header: Header, frame: &[u8]) {
        match header.kind {
            MessageType::ERROR => {
                if let Some(late) = self.late.as_mut().filter(|l| l.line == line && l.xid == header.xid) {
                    late.refused = true;
                }
            }
            MessageType::ROLE_REPLY if number(frame, HEADER_LEN) == Some(MASTER) => {
                if let Some(body) = self.bodies.get_mut(self.lines[line].switch) {
                    body.master = Some(line);
                }
            }
            _ => {}
        }
    }
}

/// Whether a message changes what a switch holds or sends packets.
fn writes(kind: MessageType, frame: &[u8]) -> bool {
    match kind {
        MessageType::FLOW_MOD
        | MessageType::GROUP_MOD
        | MessageType::METER_MOD
        | MessageType::PORT_MOD
        | MessageType::TABLE_MOD
        | MessageType::PACKET_OUT => true,
        MessageType::EXPERIMENTER => {
            let control =
                number(frame, HEADER_LEN) == Some(ONF) && number(frame, HEADER_LEN + 4) == Some(BUNDLE_CONTROL);
            let what = frame
                .get(HEADER_LEN + 12..)
                .and_then(<[u8]>::first_chunk)
                .map(|b| u16::from_be_bytes(*b));
            control && what == Some(COMMIT)
        }
        _ => false,
    }
}

fn number(frame: &[u8], at: usize) -> Option<u32> {
    frame.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}
