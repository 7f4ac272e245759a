//! Groups (sections 6.5, 7.3.4.2, 7.3.5.9 and 7.3.5.10).

use super::action;
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
            self.kind.name().is_none(),
            STRUCTURE,
            GroupModFailedCode::BAD_TYPE,
            RefusalCause::UnknownType(u32::from(self.kind.0)),
        )?;
        refuse_if(
            self.kind == GroupType::INDIRECT && !deletes && self.buckets.len() != 1,
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
        self.buckets.iter().try_for_each(|bucket| self.judge(bucket))
    }

    /// Whether the bucket fits the group.
    fn judge(&self, bucket: &Bucket) -> Result<(), Refusal> {
        const STRUCTURE: &str = "ofp_bucket";
        refuse_if(
            bucket.weight != 0 && self.kind != GroupType::SELECT,
            STRUCTURE,
            GroupModFailedCode::INVALID_GROUP,
            RefusalCause::Weight(bucket.weight),
        )?;
        refuse_if(
            self.kind == GroupType::FF && !bucket.watches(),
            STRUCTURE,
            GroupModFailedCode::INVALID_GROUP,
            RefusalCause::NothingWatched,
        )?;
        let own = Action::Group(self.group_id);
        refuse_if(
            bucket.actions.contains(&own),
            STRUCTURE,
            GroupModFailedCode::LOOP,
            RefusalCause::Loop(self.group_id),
        )
    }
}

impl GroupDesc {
    /// Whether its buckets can be (section 7.3.5.10). Whether they fit the group was judged
    /// when it was made.
    ///
    /// # Errors
    /// As [`Bucket::validate`].
    pub fn validate(&self) -> Result<(), Refusal> {
        self.buckets.iter().try_for_each(Bucket::validate)
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
        action::set(&self.actions)
    }

    fn watches(&self) -> bool {
        self.watch_port != PortNo::ANY || self.watch_group != GroupId::ANY
    }
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
