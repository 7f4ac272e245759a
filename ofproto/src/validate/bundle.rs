//! Bundles (the ONF's EXT-230, and OpenFlow 1.4): what is done with one, and what is added.

use super::{Code, Refusal, RefusalCause, refuse, refuse_if};
use crate::bundle::{BundleAdd, BundleControl, BundleFlags, BundleProp};
use crate::error_msg::{BundleFailedCode, ErrorMsg, ErrorType};
use crate::header::{Header, MessageType};

/// A code of bundles in some version of the protocol.
struct InVersion(u8, BundleFailedCode);

impl Code for InVersion {
    fn answer(self) -> (ErrorType, u16) {
        ErrorMsg::bundle_answer(self.0, self.1)
    }
}

impl BundleControl {
    /// Whether a switch would take it from a message of this version: a known request or
    /// reply, flags with a meaning, no property that nobody knows.
    ///
    /// # Errors
    /// OFPBFC_BAD_TYPE, OFPBFC_BAD_FLAGS or OFPBFC_UNKNOWN.
    pub fn validate(&self, version: u8) -> Result<(), Refusal> {
        const STRUCTURE: &str = "ofp_bundle_ctrl_msg";
        refuse_if(
            self.kind.name().is_none(),
            STRUCTURE,
            InVersion(version, BundleFailedCode::BAD_TYPE),
            RefusalCause::UnknownType(u32::from(self.kind.0)),
        )?;
        known(STRUCTURE, version, self.flags, &self.properties)
    }
}

impl BundleAdd {
    /// Whether a switch would take it from a message of this version and transaction id:
    /// flags with a meaning, and a message of the same id that changes something and that
    /// the switch would take alone. That message is read for this, which may allocate.
    ///
    /// # Errors
    /// OFPBFC_BAD_FLAGS, OFPBFC_MSG_BAD_XID, OFPBFC_MSG_UNSUP, OFPBFC_UNKNOWN, or what is
    /// wrong with the message that is added.
    pub fn validate(&self, version: u8, xid: u32) -> Result<(), Refusal> {
        const STRUCTURE: &str = "ofp_bundle_add_msg";
        let Some(header) = Header::peek(&self.message) else {
            return refuse(
                STRUCTURE,
                InVersion(version, BundleFailedCode::MSG_BAD_LEN),
                RefusalCause::BodyLength(self.message.len()),
            );
        };
        refuse_if(
            header.xid != xid,
            STRUCTURE,
            InVersion(version, BundleFailedCode::MSG_BAD_XID),
            RefusalCause::OtherXid(header.xid),
        )?;
        let changes = matches!(
            header.kind,
            MessageType::FLOW_MOD
                | MessageType::GROUP_MOD
                | MessageType::PORT_MOD
                | MessageType::TABLE_MOD
                | MessageType::METER_MOD
                | MessageType::PACKET_OUT
        );
        refuse_if(
            !changes,
            STRUCTURE,
            InVersion(version, BundleFailedCode::MSG_UNSUP),
            RefusalCause::NotInBundle(header.kind),
        )?;
        known(STRUCTURE, version, self.flags, &self.properties)?;
        match self.decode_message() {
            Ok(message) => message.validate(),
            Err(error) => {
                let (kind, code) = error.to_answer();
                Err(Refusal {
                    structure: error.structure,
                    kind,
                    code,
                    cause: RefusalCause::MalformedMessage,
                })
            }
        }
    }
}

/// Flags with a meaning, and no property: nobody defined any.
fn known(structure: &'static str, version: u8, flags: BundleFlags, properties: &[BundleProp]) -> Result<(), Refusal> {
    let unknown = flags.unknown();
    refuse_if(
        unknown != 0,
        structure,
        InVersion(version, BundleFailedCode::BAD_FLAGS),
        RefusalCause::UnknownFlags(u32::from(unknown)),
    )?;
    properties.iter().try_for_each(|property| {
        let cause = match property {
            BundleProp::Experimenter { experimenter, .. } => RefusalCause::UnknownExperimenter(*experimenter),
            BundleProp::Unknown { kind, .. } => RefusalCause::UnknownType(u32::from(kind.0)),
        };
        refuse(
            "ofp_bundle_prop_header",
            InVersion(version, BundleFailedCode::UNKNOWN),
            cause,
        )
    })
}
