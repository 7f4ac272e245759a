//! Groups: modification, description, counters, features.

use super::action::Actions;
use super::line::{Count, Duration, PARTS_MAX, list};
use super::word::{Command, Flags, Lower, lower, lower_flags};
use crate::group::{
    Bucket, BucketCounter, GroupDesc, GroupFeatures, GroupMod, GroupStats, GroupStatsRequest, GroupType,
};
use crate::number::{GroupId, PortNo};
use core::fmt::{self, Display, Formatter};

/// `weight:10,watch_port:1,actions=output:1`, without what is not set.
impl Display for Bucket {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            weight,
            watch_port,
            watch_group,
            actions,
        } = self;
        if *weight != 0 {
            write!(f, "weight:{weight},")?;
        }
        if *watch_port != PortNo::ANY {
            write!(f, "watch_port:{},", super::word::Upper(*watch_port))?;
        }
        if *watch_group != GroupId::ANY {
            write!(f, "watch_group:{},", super::word::Upper(*watch_group))?;
        }
        write!(f, "actions={}", Actions(actions))
    }
}

/// `group_id=9,type=all,bucket=..,bucket=..`, as `ovs-ofctl add-group` takes it.
fn group(f: &mut Formatter<'_>, id: GroupId, kind: GroupType, buckets: &[Bucket]) -> fmt::Result {
    write!(f, "group_id={},type={}", Lower(id), Lower(kind))?;
    if !buckets.is_empty() {
        f.write_str(",")?;
    }
    list(f, buckets, PARTS_MAX, ",", |f, bucket| write!(f, "bucket={bucket}"))
}

impl Display for GroupMod {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            kind,
            group_id,
            buckets,
        } = self;
        write!(f, "{} ", Command(*command))?;
        group(f, *group_id, *kind, buckets)
    }
}

impl Display for GroupDesc {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            group_id,
            buckets,
        } = self;
        group(f, *group_id, *kind, buckets)
    }
}

impl Display for GroupStatsRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { group_id } = self;
        write!(f, "group_id={}", Lower(*group_id))
    }
}

impl Display for BucketCounter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            packet_count,
            byte_count,
        } = self;
        write!(
            f,
            "packet_count={},byte_count={}",
            Count(*packet_count),
            Count(*byte_count)
        )
    }
}

impl Display for GroupStats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            group_id,
            ref_count,
            packet_count,
            byte_count,
            duration_sec,
            duration_nsec,
            bucket_stats,
        } = self;
        let duration = Duration {
            sec: *duration_sec,
            nsec: *duration_nsec,
        };
        let (packets, bytes) = (Count(*packet_count), Count(*byte_count));
        write!(
            f,
            "group_id={},duration={duration},ref_count={ref_count},packet_count={packets},byte_count={bytes}",
            Lower(*group_id)
        )?;
        if !bucket_stats.is_empty() {
            f.write_str(",")?;
        }
        list(f, bucket_stats.iter().enumerate(), PARTS_MAX, ",", |f, (at, bucket)| {
            write!(f, "bucket{at}:{bucket}")
        })
    }
}

/// The types in the order of the arrays of `struct ofp_group_features`.
const TYPES: [GroupType; 4] = [GroupType::ALL, GroupType::SELECT, GroupType::INDIRECT, GroupType::FF];

impl Display for GroupFeatures {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            types,
            capabilities,
            max_groups,
            actions,
        } = self;
        write!(
            f,
            "types: {} capabilities: {}",
            lower_flags(*types, "0"),
            lower_flags(*capabilities, "0")
        )?;
        for ((kind, max), actions) in TYPES.iter().zip(max_groups).zip(actions) {
            let actions = Flags {
                flags: *actions,
                between: " ",
                none: "(none)",
                style: lower,
            };
            write!(f, "; {}: max_groups={max:#x} actions: {actions}", Lower(*kind))?;
        }
        Ok(())
    }
}
