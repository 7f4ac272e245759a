//! What a switch answers to a request that it does not do: type and code of an OFPT_ERROR.

use ofproto::{
    BadActionCode, BadInstructionCode, BadMatchCode, BadRequestCode, ErrorType, FlowModFailedCode, GroupModFailedCode,
    MeterModFailedCode, PortModFailedCode, RoleRequestFailedCode,
};

/// Type and code of an error message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// `enum ofp_error_type`.
    pub kind: ErrorType,
    /// In the table of its type.
    pub code: u16,
}

macro_rules! refusals {
    ($($name:ident($codes:ident) = $kind:ident;)*) => {
        impl Refusal {
            $(pub(crate) fn $name(code: $codes) -> Refusal {
                Refusal { kind: ErrorType::$kind, code: code.0 }
            })*
        }
    };
}

refusals! {
    request(BadRequestCode) = BAD_REQUEST;
    action(BadActionCode) = BAD_ACTION;
    instruction(BadInstructionCode) = BAD_INSTRUCTION;
    matching(BadMatchCode) = BAD_MATCH;
    rule(FlowModFailedCode) = FLOW_MOD_FAILED;
    group(GroupModFailedCode) = GROUP_MOD_FAILED;
    port(PortModFailedCode) = PORT_MOD_FAILED;
    meter(MeterModFailedCode) = METER_MOD_FAILED;
    role(RoleRequestFailedCode) = ROLE_REQUEST_FAILED;
}
