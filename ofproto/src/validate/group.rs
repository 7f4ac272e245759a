//! Groups (sections 6.5, 7.3.4.2, 7.3.5.9 and 7.3.5.10).

use super::action::{self, Place};
use super::headers::Headers;
use super::{Refusal, RefusalCause, refuse_if};
use crate::action::Action;
use crate::error_msg::GroupModFailedCode;
use crate::group::{Bucket, GroupDesc, GroupMod, GroupModCommand, GroupStatsRequest, GroupType};
use crate::number::{GroupId, PortNo};

impl GroupId {
    /// Whether a group can have this number (section 7.3.4.2): they end at OFPG_MAX.
    pub fn can_exist(self) -> bool {
        self <= GroupId::MAX
    }
}

impl GroupMod {
    /// Whether a switch would take it (section 6.5): command, type and number that can be,
    /// and buckets as the type has them.
    ///
    /// # Errors
    /// What is refused first, with a code of OFPET_GROUP_MOD_FAILED, or of OFPET_BAD_ACTION
    /// for the buckets' actions.
    pub fn validate(&self) -> Result<(), Refusal> {
        const STRUCTURE: &str = "ofp_group_mod";
        let deletes = self.command == GroupModCommand::DELETE;
        self.buckets.iter().try_for_each(Bucket::validate)?;
        refuse_if(
            deletes && !self.buckets.is_empty(),
            STRUCTURE,
            GroupModFailedCode::INVALID_GROUP,
            RefusalCause::BucketCount(self.buckets.len()),
        )?;
        refuse_if(
            self.command.name().is_none(),
            STRUCTURE,
            GroupModFailedCode::BAD_COMMAND,
            RefusalCause::UnknownCommand(u32::from(self.command.0)),
        )?;
        let all = deletes && self.group_id == GroupId::ALL;
        refuse_if(
            !(self.group_id.can_exist() || all),
            STRUCTURE,
            GroupModFailedCode::INVALID_GROUP,
            RefusalCause::Group(self.group_id),
        )?;
        if deletes {
            return known(STRUCTURE, self.kind);
        }
        buckets(STRUCTURE, self.kind, self.group_id, &self.buckets)
    }
}

impl GroupDesc {
    /// Whether a switch would take such a group (section 7.3.5.10).
    ///
    /// # Errors
    /// As [`GroupMod::validate`].
    pub fn validate(&self) -> Result<(), Refusal> {
        self.buckets.iter().try_for_each(Bucket::validate)?;
        buckets("ofp_group_desc", self.kind, self.group_id, &self.buckets)
    }
}

impl Bucket {
    /// Whether a switch would take it in some group (section 7.3.4.2). Whether it fits the
    /// group's type is for [`GroupMod::validate`] to say.
    ///
    /// # Errors
    /// What is refused first, with a code of OFPET_GROUP_MOD_FAILED, or of OFPET_BAD_ACTION
    /// for its actions.
    pub fn validate(&self) -> Result<(), Refusal> {
        const STRUCTURE: &str = "ofp_bucket";
        let (port, group) = (self.watch_port, self.watch_group);
        refuse_if(
            !port.is_standard() && !matches!(port, PortNo::ANY | PortNo::LOCAL),
            STRUCTURE,
            GroupModFailedCode::BAD_WATCH,
            RefusalCause::Port(port),
        )?;
        refuse_if(
            !group.can_exist() && group != GroupId::ANY,
            STRUCTURE,
            GroupModFailedCode::BAD_WATCH,
            RefusalCause::Group(group),
        )?;
        // No match says which packets come here.
        action::list(&self.actions, Place::Entry, &mut Headers::unknown())
    }

    fn watches(&self) -> bool {
        self.watch_port != PortNo::ANY || self.watch_group != GroupId::ANY
    }
}

fn known(structure: &'static str, kind: GroupType) -> Result<(), Refusal> {
    refuse_if(
        kind.name().is_none(),
        structure,
        GroupModFailedCode::BAD_TYPE,
        RefusalCause::UnknownType(u32::from(kind.0)),
    )
}

/// Whether these buckets make a group of this type and number.
fn buckets(structure: &'static str, kind: GroupType, own: GroupId, buckets: &[Bucket]) -> Result<(), Refusal> {
    known(structure, kind)?;
    refuse_if(
        kind == GroupType::INDIRECT && buckets.len() != 1,
        structure,
        GroupModFailedCode::INVALID_GROUP,
        RefusalCause::BucketCount(buckets.len()),
    )?;
    for bucket in buckets {
        refuse_if(
            bucket.weight != 0 && kind != GroupType::SELECT,
            structure,
            GroupModFailedCode::INVALID_GROUP,
            RefusalCause::Weight(bucket.weight),
        )?;
        refuse_if(
            kind == GroupType::FF && !bucket.watches(),
            structure,
            GroupModFailedCode::INVALID_GROUP,
            RefusalCause::NothingWatched,
        )?;
        refuse_if(
            bucket.actions.iter().any(|action| *action == Action::Group(own)),
            structure,
            GroupModFailedCode::LOOP,
            RefusalCause::Loop(own),
        )?;
    }
    Ok(())
}

impl GroupStatsRequest {
    /// Whether a switch would take it (section 7.3.5.9).
    ///
    /// # Errors
    /// A number that no group has, with OFPGMFC_UNKNOWN_GROUP.
    pub fn validate(&self) -> Result<(), Refusal> {
        refuse_if(
            !self.group_id.can_exist() && self.group_id != GroupId::ALL,
            "ofp_group_stats_request",
            GroupModFailedCode::UNKNOWN_GROUP,
            RefusalCause::Group(self.group_id),
        )
    }
}
