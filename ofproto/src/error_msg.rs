//! OFPT_ERROR (section 7.4.4, `struct ofp_error_msg`) and all its types and codes.

use crate::error::{DecodeCause, DecodeError, EncodeCause, EncodeError};
use crate::header::VERSION_1_4;
use crate::number::ExperimenterId;
use crate::wire::{Reader, Wire, Writer};
use bytes::Bytes;
use core::fmt;

code_point! {
    /// What kind of error (section 7.4.4, `enum ofp_error_type`). BUNDLE_FAILED is of OpenFlow 1.4; in 1.3
    /// its codes are the ONF's as an experimenter, see [`ErrorMsg::bundle_failed`].
    ErrorType(u16), "OFPET_" {
        HELLO_FAILED = 0,
        BAD_REQUEST = 1,
        BAD_ACTION = 2,
        BAD_INSTRUCTION = 3,
        BAD_MATCH = 4,
        FLOW_MOD_FAILED = 5,
        GROUP_MOD_FAILED = 6,
        PORT_MOD_FAILED = 7,
        TABLE_MOD_FAILED = 8,
        QUEUE_OP_FAILED = 9,
        SWITCH_CONFIG_FAILED = 10,
        ROLE_REQUEST_FAILED = 11,
        METER_MOD_FAILED = 12,
        TABLE_FEATURES_FAILED = 13,
        BUNDLE_FAILED = 17,
        EXPERIMENTER = 0xffff,
    }
}

code_point! {
    /// Codes of OFPET_HELLO_FAILED (section 7.4.4).
    HelloFailedCode(u16), "OFPHFC_" { INCOMPATIBLE = 0, EPERM = 1, }
}

code_point! {
    /// Codes of OFPET_BAD_REQUEST (section 7.4.4).
    BadRequestCode(u16), "OFPBRC_" {
        BAD_VERSION = 0, BAD_TYPE = 1, BAD_MULTIPART = 2, BAD_EXPERIMENTER = 3, BAD_EXP_TYPE = 4,
        EPERM = 5, BAD_LEN = 6, BUFFER_EMPTY = 7, BUFFER_UNKNOWN = 8, BAD_TABLE_ID = 9,
        IS_SLAVE = 10, BAD_PORT = 11, BAD_PACKET = 12, MULTIPART_BUFFER_OVERFLOW = 13,
    }
}

code_point! {
    /// Codes of OFPET_BAD_ACTION (section 7.4.4).
    BadActionCode(u16), "OFPBAC_" {
        BAD_TYPE = 0, BAD_LEN = 1, BAD_EXPERIMENTER = 2, BAD_EXP_TYPE = 3, BAD_OUT_PORT = 4,
        BAD_ARGUMENT = 5, EPERM = 6, TOO_MANY = 7, BAD_QUEUE = 8, BAD_OUT_GROUP = 9,
        MATCH_INCONSISTENT = 10, UNSUPPORTED_ORDER = 11, BAD_TAG = 12, BAD_SET_TYPE = 13,
        BAD_SET_LEN = 14, BAD_SET_ARGUMENT = 15,
    }
}

code_point! {
    /// Codes of OFPET_BAD_INSTRUCTION (section 7.4.4).
    BadInstructionCode(u16), "OFPBIC_" {
        UNKNOWN_INST = 0, UNSUP_INST = 1, BAD_TABLE_ID = 2, UNSUP_METADATA = 3,
        UNSUP_METADATA_MASK = 4, BAD_EXPERIMENTER = 5, BAD_EXP_TYPE = 6, BAD_LEN = 7, EPERM = 8,
    }
}

code_point! {
    /// Codes of OFPET_BAD_MATCH (section 7.4.4).
    BadMatchCode(u16), "OFPBMC_" {
        BAD_TYPE = 0, BAD_LEN = 1, BAD_TAG = 2, BAD_DL_ADDR_MASK = 3, BAD_NW_ADDR_MASK = 4,
        BAD_WILDCARDS = 5, BAD_FIELD = 6, BAD_VALUE = 7, BAD_MASK = 8, BAD_PREREQ = 9,
        DUP_FIELD = 10, EPERM = 11,
    }
}

code_point! {
    /// Codes of OFPET_FLOW_MOD_FAILED (section 7.4.4).
    FlowModFailedCode(u16), "OFPFMFC_" {
        UNKNOWN = 0, TABLE_FULL = 1, BAD_TABLE_ID = 2, OVERLAP = 3, EPERM = 4, BAD_TIMEOUT = 5,
        BAD_COMMAND = 6, BAD_FLAGS = 7,
    }
}

code_point! {
    /// Codes of OFPET_GROUP_MOD_FAILED (section 7.4.4).
    GroupModFailedCode(u16), "OFPGMFC_" {
        GROUP_EXISTS = 0, INVALID_GROUP = 1, WEIGHT_UNSUPPORTED = 2, OUT_OF_GROUPS = 3,
        OUT_OF_BUCKETS = 4, CHAINING_UNSUPPORTED = 5, WATCH_UNSUPPORTED = 6, LOOP = 7,
        UNKNOWN_GROUP = 8, CHAINED_GROUP = 9, BAD_TYPE = 10, BAD_COMMAND = 11, BAD_BUCKET = 12,
        BAD_WATCH = 13, EPERM = 14,
    }
}

code_point! {
    /// Codes of OFPET_PORT_MOD_FAILED (section 7.4.4).
    PortModFailedCode(u16), "OFPPMFC_" {
        BAD_PORT = 0, BAD_HW_ADDR = 1, BAD_CONFIG = 2, BAD_ADVERTISE = 3, EPERM = 4,
    }
}

code_point! {
    /// Codes of OFPET_TABLE_MOD_FAILED (section 7.4.4).
    TableModFailedCode(u16), "OFPTMFC_" { BAD_TABLE = 0, BAD_CONFIG = 1, EPERM = 2, }
}

code_point! {
    /// Codes of OFPET_QUEUE_OP_FAILED (section 7.4.4).
    QueueOpFailedCode(u16), "OFPQOFC_" { BAD_PORT = 0, BAD_QUEUE = 1, EPERM = 2, }
}

code_point! {
    /// Codes of OFPET_SWITCH_CONFIG_FAILED (section 7.4.4).
    SwitchConfigFailedCode(u16), "OFPSCFC_" { BAD_FLAGS = 0, BAD_LEN = 1, EPERM = 2, }
}

code_point! {
    /// Codes of OFPET_ROLE_REQUEST_FAILED (section 7.4.4).
    RoleRequestFailedCode(u16), "OFPRRFC_" { STALE = 0, UNSUP = 1, BAD_ROLE = 2, }
}

code_point! {
    /// Codes of OFPET_METER_MOD_FAILED (section 7.4.4).
    MeterModFailedCode(u16), "OFPMMFC_" {
        UNKNOWN = 0, METER_EXISTS = 1, INVALID_METER = 2, UNKNOWN_METER = 3, BAD_COMMAND = 4,
        BAD_FLAGS = 5, BAD_RATE = 6, BAD_BURST = 7, BAD_BAND = 8, BAD_BAND_VALUE = 9,
        OUT_OF_METERS = 10, OUT_OF_BANDS = 11,
    }
}

code_point! {
    /// Codes of OFPET_TABLE_FEATURES_FAILED (section 7.4.4).
    TableFeaturesFailedCode(u16), "OFPTFFC_" {
        BAD_TABLE = 0, BAD_METADATA = 1, BAD_TYPE = 2, BAD_LEN = 3, BAD_ARGUMENT = 4, EPERM = 5,
    }
}

code_point! {
    /// Codes of OFPET_BUNDLE_FAILED (`enum ofp_bundle_failed_code` of OpenFlow 1.4).
    BundleFailedCode(u16), "OFPBFC_" {
        UNKNOWN = 0, EPERM = 1, BAD_ID = 2, BUNDLE_EXIST = 3, BUNDLE_CLOSED = 4,
        OUT_OF_BUNDLES = 5, BAD_TYPE = 6, BAD_FLAGS = 7, MSG_BAD_LEN = 8, MSG_BAD_XID = 9,
        MSG_UNSUP = 10, MSG_CONFLICT = 11, MSG_TOO_MANY = 12, MSG_FAILED = 13, TIMEOUT = 14,
        BUNDLE_IN_PROGRESS = 15,
    }
}

/// In OpenFlow 1.3 the first of these codes has this number among the ONF's error types
/// (EXT-230), and the others follow.
const BUNDLE_FAILED_EXP_TYPE: u16 = 2300;

macro_rules! codes {
    ($($kind:ident => $codes:ident,)*) => {
        impl ErrorType {
            /// The name of one of this type's codes.
            pub fn code_name(self, code: u16) -> Option<&'static str> {
                match self {
                    $(Self::$kind => $codes(code).name(),)*
                    _ => None,
                }
            }

            /// The number of one of this type's codes.
            pub fn code_from_name(self, name: &str) -> Option<u16> {
                match self {
                    $(Self::$kind => $codes::from_name(name).map(|code| code.0),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    HELLO_FAILED => HelloFailedCode,
    BAD_REQUEST => BadRequestCode,
    BAD_ACTION => BadActionCode,
    BAD_INSTRUCTION => BadInstructionCode,
    BAD_MATCH => BadMatchCode,
    FLOW_MOD_FAILED => FlowModFailedCode,
    GROUP_MOD_FAILED => GroupModFailedCode,
    PORT_MOD_FAILED => PortModFailedCode,
    TABLE_MOD_FAILED => TableModFailedCode,
    QUEUE_OP_FAILED => QueueOpFailedCode,
    SWITCH_CONFIG_FAILED => SwitchConfigFailedCode,
    ROLE_REQUEST_FAILED => RoleRequestFailedCode,
    METER_MOD_FAILED => MeterModFailedCode,
    TABLE_FEATURES_FAILED => TableFeaturesFailedCode,
    BUNDLE_FAILED => BundleFailedCode,
}

/// OFPT_ERROR: a request could not be done (section 7.4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorMsg {
    /// What kind of error.
    pub kind: ErrorType,
    /// Which one, in the table of its kind; the experimenter's own number for
    /// `ErrorType::EXPERIMENTER`.
    pub code: u16,
    /// What it is about, opaque: usually the first 64 bytes of the request or more,
    /// a text for HELLO_FAILED, and for `ErrorType::EXPERIMENTER` the experimenter's
    /// id (4 bytes) and then what it says.
    pub data: Bytes,
}

/// Bytes of the experimenter's id in `struct ofp_error_experimenter_msg`.
const EXPERIMENTER_LEN: usize = 4;

impl ErrorMsg {
    /// Whose error this is, if the kind is `ErrorType::EXPERIMENTER`.
    pub fn experimenter(&self) -> Option<ExperimenterId> {
        if self.kind != ErrorType::EXPERIMENTER {
            return None;
        }
        self.data
            .first_chunk::<EXPERIMENTER_LEN>()
            .map(|id| ExperimenterId(u32::from_be_bytes(*id)))
    }

    /// The name of the code, if it has one. The codes of bundles have one in OpenFlow 1.3 too.
    pub fn code_name(&self) -> Option<&'static str> {
        match self.bundle_failed() {
            Some(code) => code.name(),
            None => self.kind.code_name(self.code),
        }
    }

    /// What is wrong with a bundle, if this is about one: OFPET_BUNDLE_FAILED of OpenFlow
    /// 1.4, or the error of the ONF that stands for it in 1.3.
    pub fn bundle_failed(&self) -> Option<BundleFailedCode> {
        let code = match self.kind {
            ErrorType::BUNDLE_FAILED => Some(self.code),
            _ if self.experimenter() == Some(ExperimenterId::ONF) => self.code.checked_sub(BUNDLE_FAILED_EXP_TYPE),
            _ => None,
        };
        code.map(BundleFailedCode).filter(|code| code.name().is_some())
    }

    /// The type and code that say in this version of the protocol what is wrong with a bundle.
    pub(crate) fn bundle_answer(version: u8, code: BundleFailedCode) -> (ErrorType, u16) {
        if version >= VERSION_1_4 {
            (ErrorType::BUNDLE_FAILED, code.0)
        } else {
            (ErrorType::EXPERIMENTER, BUNDLE_FAILED_EXP_TYPE.saturating_add(code.0))
        }
    }

    /// Says in this version of the protocol what is wrong with a bundle. `about` is the
    /// beginning of the message that is refused.
    pub fn of_bundle(version: u8, code: BundleFailedCode, about: &[u8]) -> Self {
        let (kind, code) = Self::bundle_answer(version, code);
        if kind == ErrorType::BUNDLE_FAILED {
            let data = Bytes::copy_from_slice(about);
            return Self { kind, code, data };
        }
        Self {
            kind,
            code,
            data: [&ExperimenterId::ONF.0.to_be_bytes(), about].concat().into(),
        }
    }
}

impl fmt::Display for ErrorMsg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code_name() {
            Some(name) => write!(f, "{} {name}", self.kind),
            None => write!(f, "{} code {}", self.kind, self.code),
        }
    }
}

impl Wire for ErrorMsg {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let outer = r.enter("ofp_error_msg");
        let kind = ErrorType::read(r)?;
        let code = r.u16()?;
        if kind == ErrorType::EXPERIMENTER && r.left() < EXPERIMENTER_LEN {
            r.enter("ofp_error_experimenter_msg");
            return Err(r.error(DecodeCause::Missing {
                needed: EXPERIMENTER_LEN,
                left: r.left(),
            }));
        }
        let data = r.remaining()?;
        r.leave(outer);
        Ok(Self { kind, code, data })
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        if self.kind == ErrorType::EXPERIMENTER && self.data.len() < EXPERIMENTER_LEN {
            return Err(EncodeError {
                structure: "ofp_error_experimenter_msg",
                cause: EncodeCause::BodyLength(self.data.len()),
            });
        }
        self.kind.write(w)?;
        w.u16(self.code);
        w.slice(&self.data);
        Ok(())
    }
}
