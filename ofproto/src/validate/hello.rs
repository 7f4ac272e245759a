//! The first message of each side (sections 6.3.1 and 7.5.1).

use super::{Refusal, RefusalCause, refuse_if};
use crate::error_msg::HelloFailedCode;
use crate::header::VERSION_1_3;
use crate::hello::Hello;

impl Hello {
    /// Whether a side that speaks 1.3 only would go on after this hello, which came in a
    /// message of version `header_version`. Elements that are not known are passed over.
    ///
    /// # Errors
    /// 1.3 is not offered, with OFPHFC_INCOMPATIBLE.
    pub fn validate(&self, header_version: u8) -> Result<(), Refusal> {
        refuse_if(
            !self.offers(header_version, VERSION_1_3),
            "ofp_hello",
            HelloFailedCode::INCOMPATIBLE,
            RefusalCause::NoCommonVersion,
        )
    }
}
