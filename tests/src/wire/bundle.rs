//! Bundles on the wire (ONF extension 230, `struct onf_bundle_ctrl_msg` and `struct onf_bundle_add_msg`): what is in them and when
//! they are committed.

use super::{Frame, kind};

/// ONF_ET_BUNDLE_CONTROL.
pub const CONTROL: u16 = 2300;
/// ONF_ET_BUNDLE_ADD_MESSAGE.
pub const ADD_MESSAGE: u16 = 2301;
/// Where the type of a control message lies.
const CONTROL_TYPE_AT: usize = 20;
/// ONF_BCT_COMMIT_REQUEST.
const COMMIT_REQUEST: u16 = 4;
/// Where the message lies that is added.
const MESSAGE_AT: usize = 24;

impl Frame {
    /// The message that it puts into a bundle, if it does (ONF extension 230 to OpenFlow 1.3).
    pub(super) fn bundled(&self) -> Option<Frame> {
        let bundle = self.onf(ADD_MESSAGE)?;
        let bytes = self.bytes.slice_ref(self.bytes.get(MESSAGE_AT..)?);
        let length = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
        (8..=bytes.len()).contains(&length).then(|| Frame {
            bytes: bytes.slice(..length),
            bundle: Some(bundle),
            ..*self
        })
    }

    /// Whether it asks to commit a bundle, and which.
    pub(super) fn commits(&self) -> Option<u32> {
        let bundle = self.onf(CONTROL)?;
        (self.u16_at(CONTROL_TYPE_AT)? == COMMIT_REQUEST).then_some(bundle)
    }

    /// The bundle's number, if it is this message of the ONF's bundles.
    fn onf(&self, subtype: u16) -> Option<u32> {
        let words = [8, 10, 12, 14, 16, 18].map(|at| self.u16_at(at));
        let [Some(0x4f4e), Some(0x4600), Some(0), Some(kind), Some(high), Some(low)] = words else {
            return None;
        };
        let is_it = self.kind() == kind::EXPERIMENTER && !self.from_switch && kind == subtype;
        is_it.then(|| u32::from(high) << 16 | u32::from(low))
    }
}
