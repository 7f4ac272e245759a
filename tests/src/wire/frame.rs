//! One OpenFlow message of a capture, and what the scenarios ask of it.

use anyhow::Result;
use bytes::Bytes;
use ofproto::Message;

use super::Moment;

/// Types of OpenFlow 1.3 messages that are looked for here (`enum ofp_type`).
pub mod kind {
    /// OFPT_ERROR.
    pub const ERROR: u8 = 1;
    /// OFPT_ECHO_REPLY.
    pub const ECHO_REPLY: u8 = 3;
    /// OFPT_EXPERIMENTER.
    pub const EXPERIMENTER: u8 = 4;
    /// OFPT_FEATURES_REPLY.
    pub const FEATURES_REPLY: u8 = 6;
    /// OFPT_PACKET_OUT.
    pub const PACKET_OUT: u8 = 13;
    /// OFPT_FLOW_MOD.
    pub const FLOW_MOD: u8 = 14;
    /// OFPT_GROUP_MOD.
    pub const GROUP_MOD: u8 = 15;
    /// OFPT_MULTIPART_REPLY.
    pub const MULTIPART_REPLY: u8 = 19;
    /// OFPT_BARRIER_REQUEST.
    pub const BARRIER_REQUEST: u8 = 20;
    /// OFPT_BARRIER_REPLY.
    pub const BARRIER_REPLY: u8 = 21;
    /// OFPT_ROLE_REQUEST.
    pub const ROLE_REQUEST: u8 = 24;
    /// OFPT_ROLE_REPLY.
    pub const ROLE_REPLY: u8 = 25;
    /// OFPT_METER_MOD.
    pub const METER_MOD: u8 = 29;
}

/// OFPET_BAD_REQUEST, OFPBRC_IS_SLAVE: a slave tried to write.
pub const IS_SLAVE: (u16, u16) = (1, 10);

/// OFPET_ROLE_REQUEST_FAILED, OFPRRFC_STALE: the generation id is an old one.
pub const STALE: (u16, u16) = (11, 0);

/// One OpenFlow message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When its last byte was seen.
    pub at: Moment,
    /// Index in [`Wire::connections`].
    pub connection: usize,
    /// Who sent it.
    pub from_switch: bool,
    /// All of it, with the header.
    pub bytes: Bytes,
    /// The bundle that it was put into, if it came so; the message that put it there is a frame of its own, before it.
    pub bundle: Option<u32>,
}

impl Frame {
    /// Its type, see [`kind`].
    pub fn kind(&self) -> u8 {
        self.bytes[1]
    }

    /// Its transaction id.
    pub fn xid(&self) -> u32 {
        u32::from_be_bytes([self.bytes[4], self.bytes[5], self.bytes[6], self.bytes[7]])
    }

    /// Its decoded form.
    ///
    /// # Errors
    /// It is malformed; the error says where.
    pub fn message(&self) -> Result<Message> {
        Message::decode(&self.bytes).map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// Type and code, if it is an error message.
    pub fn error(&self) -> Option<(u16, u16)> {
        let is_error = self.kind() == kind::ERROR && self.from_switch;
        is_error.then(|| Some((self.u16_at(8)?, self.u16_at(10)?))).flatten()
    }

    /// What it does to which group, if it is a group mod.
    pub fn group_mod(&self) -> Option<GroupMod> {
        if self.kind() != kind::GROUP_MOD {
            return None;
        }
        let group_id = u32::from(self.u16_at(12)?) << 16 | u32::from(self.u16_at(14)?);
        let command = match self.u16_at(8)? {
            0 => GroupCommand::Add,
            1 => GroupCommand::Modify,
            2 => GroupCommand::Delete,
            other => GroupCommand::Other(other),
        };
        Some(GroupMod {
            at: self.at,
            connection: self.connection,
            command,
            group_type: self.bytes[10],
            group_id,
        })
    }

    /// Whether it changes the switch: rules, groups, meters, or a packet sent.
    pub fn is_write(&self) -> bool {
        let writes = [kind::FLOW_MOD, kind::GROUP_MOD, kind::METER_MOD, kind::PACKET_OUT];
        !self.from_switch && writes.contains(&self.kind())
    }

    /// Whether it answers a request, so that its xid is that of the request.
    pub(super) fn is_answer(&self) -> bool {
        let answers = [
            kind::ERROR,
            kind::ECHO_REPLY,
            kind::MULTIPART_REPLY,
            kind::BARRIER_REPLY,
            kind::ROLE_REPLY,
        ];
        self.from_switch && answers.contains(&self.kind())
    }

    /// The generation id, if it is a switch's word that the controller is MASTER now.
    pub fn master_reply(&self) -> Option<u64> {
        // ofp_role_request: header 8, role 4 (2 is OFPCR_ROLE_MASTER), padding 4, generation id 8.
        let is_master =
            self.from_switch && self.kind() == kind::ROLE_REPLY && self.bytes.get(8..12) == Some(&[0, 0, 0, 2]);
        let generation = self.bytes.get(16..24).filter(|_| is_master)?;
        Some(generation.iter().fold(0, |id, byte| id << 8 | u64::from(*byte)))
    }

    pub(super) fn u16_at(&self, at: usize) -> Option<u16> {
        Some(u16::from_be_bytes([*self.bytes.get(at)?, *self.bytes.get(at + 1)?]))
    }
}

/// What a switch said to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing yet, to this frame or a later one.
    Open,
    /// An error, of this type and code.
    Error((u16, u16)),
    /// A later frame was answered, this one was not: the switch had nothing against it. Also when the connection ended.
    NoError,
}

/// A group mod that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupMod {
    /// When.
    pub at: Moment,
    /// Index in [`Wire::connections`].
    pub connection: usize,
    /// What it does.
    pub command: GroupCommand,
    /// 0 is ALL (`enum ofp_group_type`).
    pub group_type: u8,
    /// The group; 0xfffffffc in a DELETE means all.
    pub group_id: u32,
}

/// `enum ofp_group_mod_command`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupCommand {
    /// OFPGC_ADD.
    Add,
    /// OFPGC_MODIFY.
    Modify,
    /// OFPGC_DELETE.
    Delete,
    /// None of the protocol's.
    Other(u16),
}
