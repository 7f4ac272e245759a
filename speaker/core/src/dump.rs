//! Reading what a switch holds: three multipart requests at once, put together from their parts.

use ofproto::{
    Body, ErrorMsg, FlowStats, FlowStatsRequest, GroupDesc, MeterConfig, MeterId, MeterRequest, MultipartReply,
    MultipartReplyBody, MultipartRequest, MultipartRequestBody, Reassembly, ReassemblyLimits,
};

use crate::known::{Known, Ours};
use crate::wire::Wire;

/// What one dump may take: some 200,000 rules. A switch that tells more is not dumped.
const LIMITS: ReassemblyLimits = ReassemblyLimits {
    replies_max: 3,
    parts_max: 8_192,
    bytes_max: 48 << 20,
};

/// A dump under way.
#[derive(Debug)]
pub(crate) struct Dump {
    ours: Ours,
    flows_xid: u32,
    groups_xid: u32,
    meters_xid: u32,
    flows: Option<Vec<FlowStats>>,
    groups: Option<Vec<GroupDesc>>,
    meters: Option<Vec<MeterConfig>>,
    reassembly: Reassembly,
}

/// What a message means for the dump.
#[derive(Debug)]
pub(crate) enum Progress {
    /// It is not about this dump.
    NotMine,
    /// More is to come.
    More,
    /// The dump is whole.
    Whole(Box<Known>),
    /// It cannot be done.
    Error(ErrorMsg, &'static str),
    /// What the switch tells cannot be taken.
    Refused(String),
}

impl Dump {
    /// Ask for everything.
    pub(crate) fn start(ours: Ours, wire: &mut Wire) -> Self {
        let mut ask = |body| wire.send_short(Body::MultipartRequest(MultipartRequest::new(body)));
        Dump {
            ours,
            flows_xid: ask(MultipartRequestBody::Flow(FlowStatsRequest::all())),
            groups_xid: ask(MultipartRequestBody::GroupDesc),
            meters_xid: ask(MultipartRequestBody::MeterConfig(MeterRequest {
                meter_id: MeterId::ALL,
            })),
            flows: None,
            groups: None,
            meters: None,
            reassembly: Reassembly::new(LIMITS),
        }
    }

    fn is_mine(&self, xid: u32) -> bool {
        xid == self.flows_xid || xid == self.groups_xid || xid == self.meters_xid
    }

    /// A multipart reply came.
    pub(crate) fn reply(&mut self, xid: u32, reply: MultipartReply, frame_len: usize) -> Progress {
        if !self.is_mine(xid) {
            return Progress::NotMine;
        }
        match self.reassembly.accept(xid, reply, frame_len) {
            Ok(None) => return Progress::More,
            Ok(Some(MultipartReplyBody::Flow(flows))) if xid == self.flows_xid => self.flows = Some(flows),
            Ok(Some(MultipartReplyBody::GroupDesc(groups))) if xid == self.groups_xid => self.groups = Some(groups),
            Ok(Some(MultipartReplyBody::MeterConfig(meters))) if xid == self.meters_xid => self.meters = Some(meters),
            Ok(Some(other)) => {
                return Progress::Refused(format!("the dump was answered with {}", other.kind()));
            }
            Err(error) => return Progress::Refused(format!("the dump is too large: {error}")),
        }
        self.progress()
    }

    /// An error came. Switches without groups or meters say so with an error: they hold none.
    pub(crate) fn error(&mut self, xid: u32, error: &ErrorMsg) -> Progress {
        if xid == self.flows_xid {
            return Progress::Error(error.clone(), "dump of rules");
        } else if xid == self.groups_xid {
            self.groups = Some(Vec::new());
        } else if xid == self.meters_xid {
            self.meters = Some(Vec::new());
        } else {
            return Progress::NotMine;
        }
        self.progress()
    }

    fn progress(&mut self) -> Progress {
        match (&self.flows, &self.groups, &self.meters) {
            (Some(flows), Some(groups), Some(meters)) => {
                Progress::Whole(Box::new(Known::read(self.ours, flows, groups, meters)))
            }
            _ => Progress::More,
        }
    }
}
