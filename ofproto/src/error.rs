//! Why bytes could not be read, and why a value could not be written.

use crate::error_msg::{
    BadActionCode, BadInstructionCode, BadMatchCode, BadRequestCode, ErrorType, GroupModFailedCode,
    TableFeaturesFailedCode,
};
use crate::oxm::OxmField;
use core::fmt;

/// A frame that is not OpenFlow 1.3. What is known about it is a [`Malformed`], whose
/// fields can be read here.
///
/// It is one pointer, because each of the many small results of reading has room for
/// one: frames that can be read should not pay for those that cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(Box<Malformed>);

impl DecodeError {
    #[cold]
    pub(crate) fn new(structure: &'static str, offset: usize, cause: DecodeCause) -> Self {
        Self(Box::new(Malformed {
            structure,
            offset,
            cause,
        }))
    }

    /// The same error in a frame in which what was read begins `before` bytes later.
    #[cold]
    pub(crate) fn behind(mut self, before: usize) -> Self {
        self.0.offset = self.0.offset.saturating_add(before);
        self
    }
}

impl core::ops::Deref for DecodeError {
    type Target = Malformed;

    fn deref(&self) -> &Malformed {
        &self.0
    }
}

/// What is wrong with a frame: which structure, where, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The structure of the specification that is malformed, such as `ofp_match`.
    pub structure: &'static str,
    /// Where the offending element starts, in bytes from the start of the frame.
    pub offset: usize,
    /// What is wrong with it.
    pub cause: DecodeCause,
}

/// What is wrong with a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeCause {
    /// The structure needs more bytes than are there.
    Missing {
        /// Bytes the next field needs.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// Bytes are left over behind the structure.
    Trailing {
        /// How many.
        left: usize,
    },
    /// A length field is smaller than the structure itself.
    TooShort {
        /// What the field says.
        said: usize,
        /// The least the structure takes.
        least: usize,
    },
    /// A length field goes past the end of what contains it.
    PastEnd {
        /// What the field says.
        said: usize,
        /// Bytes there are.
        left: usize,
    },
    /// A structure of fixed size has another length.
    WrongLength {
        /// What the field says.
        said: usize,
        /// What it must be.
        must: usize,
    },
    /// A length that must be a multiple of `of` is not.
    NotMultiple {
        /// What the field says.
        said: usize,
        /// What it must be a multiple of.
        of: usize,
    },
    /// The field of a match has another width than the specification gives it.
    OxmLength {
        /// The field.
        field: OxmField,
        /// What its header says.
        said: usize,
        /// What it must be, mask included.
        must: usize,
    },
    /// A masked field of unknown width whose bytes do not halve into value and mask.
    OxmMask {
        /// The field.
        field: OxmField,
        /// The odd number of bytes.
        said: usize,
    },
    /// A match of another type than OFPMT_OXM.
    MatchType(u16),
    /// A version that this codec does not read.
    Version(u8),
}

impl fmt::Display for DecodeCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { needed, left } => write!(f, "needs {needed} more bytes, {left} are left"),
            Self::Trailing { left } => write!(f, "{left} bytes left over"),
            Self::TooShort { said, least } => write!(f, "length {said}, at least {least} needed"),
            Self::PastEnd { said, left } => write!(f, "length {said}, only {left} bytes there"),
            Self::WrongLength { said, must } => write!(f, "length {said}, must be {must}"),
            Self::NotMultiple { said, of } => write!(f, "length {said}, not a multiple of {of}"),
            Self::OxmLength { field, said, must } => {
                write!(f, "field length {said}, {} has {must}", field.oxm_name())
            }
            Self::OxmMask { field, said } => {
                write!(
                    f,
                    "field length {said}, {} is masked and cannot be halved",
                    field.oxm_name()
                )
            }
            Self::MatchType(kind) => write!(f, "match type {kind}, only OFPMT_OXM is known"),
            Self::Version(version) => write!(f, "version {version:#04x}, only 0x04 is known"),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}: {}", self.structure, self.offset, self.cause)
    }
}

impl std::error::Error for DecodeError {}

impl DecodeError {
    /// The type and code of the OFPT_ERROR that the sender of the frame should get
    /// (section 7.4.4 of the specification, "Error Message").
    pub fn to_answer(&self) -> (ErrorType, u16) {
        match self.cause {
            DecodeCause::Version(_) => return (ErrorType::BAD_REQUEST, BadRequestCode::BAD_VERSION.0),
            DecodeCause::MatchType(_) => return (ErrorType::BAD_MATCH, BadMatchCode::BAD_TYPE.0),
            _ => {}
        }
        let is = |prefix: &str| self.structure.starts_with(prefix);
        if is("ofp_match") {
            (ErrorType::BAD_MATCH, BadMatchCode::BAD_LEN.0)
        } else if is("ofp_action_set_field") {
            (ErrorType::BAD_ACTION, BadActionCode::BAD_SET_LEN.0)
        } else if is("ofp_action") || is("nx_action") {
            (ErrorType::BAD_ACTION, BadActionCode::BAD_LEN.0)
        } else if is("ofp_instruction") {
            (ErrorType::BAD_INSTRUCTION, BadInstructionCode::BAD_LEN.0)
        } else if is("ofp_bucket") {
            (ErrorType::GROUP_MOD_FAILED, GroupModFailedCode::BAD_BUCKET.0)
        } else if is("ofp_table_feature") {
            (ErrorType::TABLE_FEATURES_FAILED, TableFeaturesFailedCode::BAD_LEN.0)
        } else {
            (ErrorType::BAD_REQUEST, BadRequestCode::BAD_LEN.0)
        }
    }
}

/// A value that has no form on the wire: which structure, and what is wrong.
///
/// What cannot be read back cannot be written either, so whoever gets `Ok` from
/// an encoder has bytes that decode to the same value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError {
    /// The structure of the specification, such as `ofp_action_header`.
    pub structure: &'static str,
    /// What is wrong with the value.
    pub cause: EncodeCause,
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodeCause {
    /// The structure is longer than its 16-bit length field can say.
    TooLong(usize),
    /// A kind with a structure of its own was given as an unknown one.
    KnownKind(u32),
    /// The body belongs to another type than the one that is named.
    WrongBody(u32),
    /// The bytes kept for an unknown structure do not have a length it can have.
    BodyLength(usize),
    /// This message does not exist in this version of the protocol.
    Version(u8),
    /// The value of a match field has another width than the specification gives it.
    OxmLength {
        /// The field.
        field: OxmField,
        /// Bytes given.
        given: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.structure)?;
        match &self.cause {
            EncodeCause::TooLong(length) => write!(f, "{length} bytes do not fit its length field"),
            EncodeCause::KnownKind(kind) => write!(f, "type {kind} is known and was given as unknown"),
            EncodeCause::WrongBody(kind) => write!(f, "type {kind} has another body"),
            EncodeCause::BodyLength(length) => write!(f, "a body of {length} bytes is not possible"),
            EncodeCause::Version(version) => write!(f, "does not exist in version {version:#04x}"),
            EncodeCause::OxmLength { field, given } => {
                write!(f, "a value of {given} bytes does not fit {}", field.oxm_name())
            }
        }
    }
}

impl std::error::Error for EncodeError {}
