//! Rules (sections 6.4, 7.3.4.1, 7.3.5.2 and 7.3.5.3): their modification, and what is asked
//! and told about them.

use super::headers::Headers;
use super::{Refusal, RefusalCause, instruction, refuse_if};
use crate::error_msg::{BadActionCode, FlowModFailedCode};
use crate::flow::{FlowMod, FlowModCommand, FlowModFlags, FlowRemoved, FlowStats, FlowStatsRequest};
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
        // Only what is deleted can be deleted from all tables at once, and only then
        // something is chosen by where it goes.
        let deletes = matches!(command, FlowModCommand::DELETE | FlowModCommand::DELETE_STRICT);
        refuse_if(
            self.table_id > TableId::MAX && !deletes,
            STRUCTURE,
            FlowModFailedCode::BAD_TABLE_ID,
            RefusalCause::Table(self.table_id),
        )?;
        refuse_if(
            command.name().is_none(),
            STRUCTURE,
            FlowModFailedCode::BAD_COMMAND,
            RefusalCause::UnknownCommand(u32::from(command.0)),
        )?;
        if deletes {
            chosen_by(STRUCTURE, self.out_port, self.out_group)?;
        }
        known(STRUCTURE, self.flags)?;
        // What is deleted from all tables is in none of them.
        let table = (self.table_id <= TableId::MAX).then_some(self.table_id);
        instruction::list(&self.instructions, table, headers)
    }
}

/// Flags that have a meaning.
fn known(structure: &'static str, flags: FlowModFlags) -> Result<(), Refusal> {
    let unknown = flags.unknown();
    refuse_if(
        unknown != 0,
        structure,
        FlowModFailedCode::BAD_FLAGS,
        RefusalCause::UnknownFlags(u32::from(unknown)),
    )
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
    /// Whether its match, its flags and its instructions can be (section 7.3.5.2). Whether they fit
    /// together was judged when the rule was made.
    ///
    /// # Errors
    /// What is wrong first, with a code as of [`FlowMod::validate`].
    pub fn validate(&self) -> Result<(), Refusal> {
        self.matching.validate()?;
        known("ofp_flow_stats", self.flags)?;
        instruction::list(&self.instructions, None, Headers::unknown())
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
