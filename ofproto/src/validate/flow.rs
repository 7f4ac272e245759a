//! Rules (sections 6.4, 7.3.4.1, 7.3.5.2 and 7.3.5.3): their modification, and what is asked
//! and told about them.

use super::headers::Headers;
use super::{Refusal, RefusalCause, instruction, refuse_if};
use crate::error_msg::{BadActionCode, FlowModFailedCode};
use crate::flow::{FlowMod, FlowModCommand, FlowRemoved, FlowStats, FlowStatsRequest};
use crate::number::{GroupId, PortNo, TableId};

impl FlowMod {
    /// Whether a switch would take it (section 6.4): command, flags and table that can be,
    /// and a match and instructions that fit together.
    ///
    /// # Errors
    /// What is refused first, with a code of OFPET_FLOW_MOD_FAILED, OFPET_BAD_MATCH,
    /// OFPET_BAD_INSTRUCTION or OFPET_BAD_ACTION.
    pub fn validate(&self) -> Result<(), Refusal> {
        const STRUCTURE: &str = "ofp_flow_mod";
        let headers = Headers::promised_by(&self.matching)?;
        let command = self.command;
        refuse_if(
            command.name().is_none(),
            STRUCTURE,
            FlowModFailedCode::BAD_COMMAND,
            RefusalCause::UnknownCommand(u32::from(command.0)),
        )?;
        // Only what is deleted can be deleted from all tables at once, and only then
        // something is chosen by where it goes.
        let deletes = matches!(command, FlowModCommand::DELETE | FlowModCommand::DELETE_STRICT);
        refuse_if(
            self.table_id > TableId::MAX && !deletes,
            STRUCTURE,
            FlowModFailedCode::BAD_TABLE_ID,
            RefusalCause::Table(self.table_id),
        )?;
        if deletes {
            chosen_by(STRUCTURE, self.out_port, self.out_group)?;
        }
        let flags = self.flags.unknown();
        refuse_if(
            flags != 0,
            STRUCTURE,
            FlowModFailedCode::BAD_FLAGS,
            RefusalCause::UnknownFlags(u32::from(flags)),
        )?;
        instruction::list(&self.instructions, self.table_id, headers)
    }
}

/// Rules that are chosen by the port or group they send to.
fn chosen_by(structure: &'static str, port: PortNo, group: GroupId) -> Result<(), Refusal> {
    refuse_if(
        !port.is_standard() && port.name().is_none(),
        structure,
        BadActionCode::BAD_OUT_PORT,
        RefusalCause::Port(port),
    )?;
    refuse_if(
        !group.can_exist() && group.name().is_none(),
        structure,
        BadActionCode::BAD_OUT_GROUP,
        RefusalCause::Group(group),
    )
}

impl FlowStatsRequest {
    /// Whether a switch would take it (sections 7.3.5.2 and 7.3.5.3).
    ///
    /// # Errors
    /// What is refused first, with a code of OFPET_BAD_MATCH or OFPET_BAD_ACTION.
    pub fn validate(&self) -> Result<(), Refusal> {
        chosen_by("ofp_flow_stats_request", self.out_port, self.out_group)?;
        self.matching.validate()
    }
}

impl FlowStats {
    /// Whether a switch would take such a rule (section 7.3.5.2).
    ///
    /// # Errors
    /// As [`FlowMod::validate`].
    pub fn validate(&self) -> Result<(), Refusal> {
        let headers = Headers::promised_by(&self.matching)?;
        instruction::list(&self.instructions, self.table_id, headers)
    }
}

impl FlowRemoved {
    /// Whether a switch would take the match of the rule that ended (section 7.4.2).
    ///
    /// # Errors
    /// As [`Match::validate`](crate::Match::validate).
    pub fn validate(&self) -> Result<(), Refusal> {
        self.matching.validate()
    }
}
