//! What a switch tells when it is asked for a lot: descriptions, dumps and counters, in parts that fit messages.

use std::time::Instant;

use ofproto::{
    ActionTypes, AggregateStats, BadRequestCode, Capabilities, Desc, FeaturesReply, FixedText, FlowStats,
    GroupCapabilities, GroupDesc, GroupFeatures, GroupId, GroupStats, GroupTypes, MeterBandStats, MeterBandTypes,
    MeterCapabilities, MeterConfig, MeterFeatures, MeterId, MeterStats, MultipartReply, MultipartReplyBody,
    MultipartReplyFlags, MultipartRequest, MultipartRequestBody, TableId, TableStats,
};

use super::tables::{Filter, GROUPS_MAX, METERS_MAX, named_groups};
use super::{Refusal, Switch, TABLES};

/// Bytes of one part at the most: a message can have 65,535, headers included.
const PART_BYTES: usize = 60_000;

/// What a rule takes at the most beside its match and actions, and a bucket.
const RULE_BYTES: usize = 56 + 8 + 72;
const BUCKET_BYTES: usize = 16;
/// The longest action here: an IPv6 address to set.
const ACTION_BYTES: usize = 24;

fn rule_bytes(rule: &FlowStats) -> usize {
    let actions: usize = rule
        .instructions
        .iter()
        .map(|instruction| match instruction {
            ofproto::Instruction::ApplyActions(actions) | ofproto::Instruction::WriteActions(actions) => actions.len(),
            _ => 0,
        })
        .sum();
    RULE_BYTES + rule.matching.as_bytes().len() + ACTION_BYTES * actions
}

fn group_bytes(group: &GroupDesc) -> usize {
    let buckets = group
        .buckets
        .iter()
        .map(|b| BUCKET_BYTES + ACTION_BYTES * b.actions.len());
    8 + buckets.sum::<usize>()
}

/// Cuts a list into parts; nothing is one empty part.
fn parts<T>(
    items: Vec<T>,
    bytes: impl Fn(&T) -> usize,
    body: impl Fn(Vec<T>) -> MultipartReplyBody,
) -> Vec<MultipartReply> {
    let mut lists = vec![Vec::new()];
    let mut used = 0;
    for item in items {
        let more = bytes(&item);
        if used + more > PART_BYTES {
            lists.push(Vec::new());
            used = 0;
        }
        used += more;
        lists.last_mut().expect("there is one from the start").push(item);
    }
    let last = lists.len() - 1;
    let part = |(at, list)| MultipartReply {
        flags: if at == last {
            MultipartReplyFlags::NONE
        } else {
            MultipartReplyFlags::MORE
        },
        body: body(list),
    };
    lists.into_iter().enumerate().map(part).collect()
}

impl Switch {
    /// OFPT_FEATURES_REPLY.
    pub(super) fn features(&self) -> FeaturesReply {
        FeaturesReply {
            datapath_id: self.id.0,
            n_buffers: 0,
            n_tables: TABLES,
            auxiliary_id: 0,
            capabilities: Capabilities::FLOW_STATS
                | Capabilities::TABLE_STATS
                | Capabilities::PORT_STATS
                | Capabilities::GROUP_STATS,
            reserved: 0,
        }
    }

    /// OFPT_MULTIPART_REQUEST.
    ///
    /// # Errors
    /// Something that the simulator does not tell, or a request in more than one part.
    pub(super) fn multipart(&self, now: Instant, request: &MultipartRequest) -> Result<Vec<MultipartReply>, Refusal> {
        use MultipartReplyBody as Reply;
        if request.more() {
            return Err(Refusal::request(BadRequestCode::MULTIPART_BUFFER_OVERFLOW));
        }
        let whole = |body| Ok(vec![MultipartReply::new(body)]);
        match &request.body {
            MultipartRequestBody::Desc => whole(Reply::Desc(Box::new(Desc {
                mfr_desc: FixedText::new("Skerry"),
                hw_desc: FixedText::new("simulated switch"),
                sw_desc: FixedText::new(env!("CARGO_PKG_VERSION")),
                serial_num: FixedText::new(&self.id.0.to_string()),
                dp_desc: FixedText::new(&format!("s{}", self.id.0)),
            }))),
            MultipartRequestBody::Flow(asked) => {
                let filter = Filter::of_request(asked)?;
                let rules = self.tables.rules(&filter).map(|held| held.stats(now)).collect();
                Ok(parts(rules, rule_bytes, Reply::Flow))
            }
            MultipartRequestBody::Aggregate(asked) => {
                let filter = Filter::of_request(asked)?;
                let count = self.tables.rules(&filter).count();
                whole(Reply::Aggregate(AggregateStats {
                    packet_count: 0,
                    byte_count: 0,
                    flow_count: u32::try_from(count).unwrap_or(u32::MAX),
                }))
            }
            MultipartRequestBody::Table => whole(Reply::Table(self.table_stats())),
            MultipartRequestBody::PortStats(asked) => {
                let stats = self.ports.stats(asked.port_no);
                if stats.is_empty() && asked.port_no != ofproto::PortNo::ANY {
                    return Err(Refusal::request(BadRequestCode::BAD_PORT));
                }
                Ok(parts(stats, |_| 112, Reply::PortStats))
            }
            // There are no queues, which is an answer.
            MultipartRequestBody::Queue(_) => whole(Reply::Queue(Vec::new())),
            MultipartRequestBody::Group(asked) => {
                let groups = self.tables.groups().values();
                let wanted = groups.filter(|g| asked.group_id == GroupId::ALL || asked.group_id == g.group_id);
                let stats: Vec<GroupStats> = wanted.map(|group| self.group_stats(group)).collect();
                Ok(parts(stats, |s| 40 + 16 * s.bucket_stats.len(), Reply::Group))
            }
            MultipartRequestBody::GroupDesc => {
                let groups = self.tables.groups().values().cloned().collect();
                Ok(parts(groups, group_bytes, Reply::GroupDesc))
            }
            MultipartRequestBody::GroupFeatures => whole(Reply::GroupFeatures(group_features())),
            MultipartRequestBody::Meter(asked) => {
                let stats: Vec<MeterStats> = self.meters(asked.meter_id).map(|m| self.meter_stats(m)).collect();
                Ok(parts(stats, |_| 56, Reply::Meter))
            }
            MultipartRequestBody::MeterConfig(asked) => {
                let meters: Vec<MeterConfig> = self.meters(asked.meter_id).cloned().collect();
                Ok(parts(meters, |_| 24, Reply::MeterConfig))
            }
            MultipartRequestBody::MeterFeatures => whole(Reply::MeterFeatures(MeterFeatures {
                max_meter: METERS_MAX as u32,
                band_types: MeterBandTypes::DROP,
                capabilities: MeterCapabilities::KBPS
                    | MeterCapabilities::PKTPS
                    | MeterCapabilities::BURST
                    | MeterCapabilities::STATS,
                max_bands: 1,
                max_color: 0,
            })),
            MultipartRequestBody::PortDesc => Ok(parts(self.ports.descriptions(), |_| 64, Reply::PortDesc)),
            MultipartRequestBody::Experimenter(_) => Err(Refusal::request(BadRequestCode::BAD_EXPERIMENTER)),
            // Table features would be a promise about matches and actions of each table.
            MultipartRequestBody::TableFeatures(_) | MultipartRequestBody::Unknown { .. } => {
                Err(Refusal::request(BadRequestCode::BAD_MULTIPART))
            }
        }
    }

    fn meters(&self, wanted: MeterId) -> impl Iterator<Item = &MeterConfig> {
        let meters = self.tables.meters().values();
        meters.filter(move |meter| wanted == MeterId::ALL || meter.meter_id == wanted)
    }

    fn table_stats(&self) -> Vec<TableStats> {
        let mut active = [0u32; TABLES as usize];
        for held in self.tables.all_rules() {
            if let Some(count) = active.get_mut(usize::from(held.table())) {
                *count += 1;
            }
        }
        let tables = (0..TABLES).zip(active);
        tables
            .map(|(table, active_count)| TableStats {
                table_id: TableId(table),
                active_count,
                lookup_count: 0,
                matched_count: 0,
            })
            .collect()
    }

    fn group_stats(&self, group: &GroupDesc) -> GroupStats {
        let id = group.group_id;
        let rules = self.tables.all_rules().filter(|held| held.names_group(id)).count();
        let groups = self.tables.groups().values();
        let groups = groups
            .filter(|other| named_groups(other).any(|named| named == id.0))
            .count();
        let none = ofproto::BucketCounter {
            packet_count: 0,
            byte_count: 0,
        };
        GroupStats {
            group_id: id,
            ref_count: u32::try_from(rules + groups).unwrap_or(u32::MAX),
            packet_count: 0,
            byte_count: 0,
            duration_sec: 0,
            duration_nsec: 0,
            bucket_stats: vec![none; group.buckets.len()],
        }
    }

    fn meter_stats(&self, meter: &MeterConfig) -> MeterStats {
        let users = self
            .tables
            .all_rules()
            .filter(|held| held.meter() == Some(meter.meter_id))
            .count();
        MeterStats {
            meter_id: meter.meter_id,
            flow_count: u32::try_from(users).unwrap_or(u32::MAX),
            packet_in_count: 0,
            byte_in_count: 0,
            duration_sec: 0,
            duration_nsec: 0,
            band_stats: vec![MeterBandStats {
                packet_band_count: 0,
                byte_band_count: 0,
            }],
        }
    }
}

fn group_features() -> GroupFeatures {
    let actions = ActionTypes::OUTPUT
        | ActionTypes::PUSH_VLAN
        | ActionTypes::POP_VLAN
        | ActionTypes::GROUP
        | ActionTypes::SET_FIELD;
    let none = ActionTypes::NONE;
    GroupFeatures {
        types: GroupTypes::ALL | GroupTypes::INDIRECT,
        capabilities: GroupCapabilities::CHAINING | GroupCapabilities::CHAINING_CHECKS,
        // By type: ALL, SELECT, INDIRECT, FF.
        max_groups: [GROUPS_MAX as u32, 0, GROUPS_MAX as u32, 0],
        actions: [actions, none, actions, none],
    }
}
