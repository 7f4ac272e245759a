//! What we say of a frame and what Open vSwitch says of it, side by side.

use super::difference::{difference, refused};
use super::mutate::Mutant;
use super::ovs_text::error_name;
use bytes::Bytes;
use ofproto::json::to_json;
use ofproto::{Body, BundleFailedCode, DecodeError, ErrorType, Message, Refusal};

/// What we say of a frame.
pub enum Ours {
    /// Its structure is wrong.
    Malformed(DecodeError),
    /// A switch would refuse it.
    Refused(Message, Refusal),
    /// A switch would take it.
    Taken(Message),
}

impl Ours {
    fn of(frame: &Bytes) -> Self {
        match Message::decode(frame) {
            Err(error) => Self::Malformed(error),
            Ok(message) => match message.validate() {
                Err(refusal) => Self::Refused(message, refusal),
                Ok(()) => Self::Taken(message),
            },
        }
    }
}

/// One frame before both judges.
pub struct Case {
    /// Where it comes from.
    pub how: String,
    /// Whether a part of it was made of any bytes, and may be wrong in more than one way.
    pub strange: bool,
    pub frame: Bytes,
    pub ours: Ours,
    /// The error with which Open vSwitch refuses it, `None` when it takes it.
    pub theirs: Option<String>,
    /// The facts that are not equal, when both take it.
    pub unequal: Option<String>,
}

impl Case {
    pub fn new(mutant: Mutant, printed: &str) -> Self {
        let Mutant { frame, how, strange } = mutant;
        let ours = Ours::of(&frame);
        let theirs = refused(printed).map(str::to_owned);
        let unequal = match (&ours, &theirs) {
            (Ours::Taken(message), None) => difference(&to_json(message), printed),
            _ => None,
        };
        Self {
            how,
            strange,
            frame,
            ours,
            theirs,
            unequal,
        }
    }

    /// The message that is added to a bundle, if that is what this is, as a case of its own.
    pub fn added(&self) -> Option<Self> {
        let (Ours::Taken(message) | Ours::Refused(message, _)) = &self.ours else {
            return None;
        };
        let Body::BundleAdd(add) = &message.body else {
            return None;
        };
        Some(Self {
            how: self.how.clone(),
            strange: self.strange,
            frame: add.message.clone(),
            ours: Ours::of(&add.message),
            theirs: self.theirs.clone(),
            unequal: self.unequal.clone(),
        })
    }

    /// The name of our answer, as Open vSwitch would print it.
    pub fn answer(&self) -> Option<String> {
        let (kind, code) = match &self.ours {
            Ours::Malformed(error) => error.to_answer(),
            Ours::Refused(_, refusal) => refusal.to_answer(),
            Ours::Taken(_) => return None,
        };
        Some(match (kind, code) {
            (ErrorType::EXPERIMENTER, 2300..=2315) => {
                let code = BundleFailedCode(code - 2300);
                code.name().expect("every code has a name").to_owned()
            }
            (ErrorType::EXPERIMENTER, 2600) => "OFPBIC_DUP_INST".to_owned(),
            (ErrorType::EXPERIMENTER, 4250) => "OFPBAC_BAD_SET_MASK".to_owned(),
            (ErrorType::EXPERIMENTER, 4444) => "OFPBPC_DUP_TYPE".to_owned(),
            _ => error_name(kind.code_name(code).expect("every answer has a name")),
        })
    }

    /// Whether both say the same: the same values, or the same error.
    pub fn agrees(&self) -> bool {
        self.answer() == self.theirs && self.unequal.is_none()
    }

    /// What both say, in words.
    pub fn words(&self) -> String {
        let ours = match &self.ours {
            Ours::Malformed(error) => format!("malformed: {error}"),
            Ours::Refused(_, refusal) => format!("refused: {refusal}"),
            Ours::Taken(_) => "taken".to_owned(),
        };
        let hex: String = self.frame.iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "{}\n  we: {ours} ({:?})\n  Open vSwitch: {:?}\n  {}\n  {hex}",
            self.how,
            self.answer(),
            self.theirs,
            self.unequal.as_deref().unwrap_or_default()
        )
    }
}
