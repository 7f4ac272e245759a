//! The header of every message (section 7.1.1, `struct ofp_header`).

pub use crate::message_table::MessageType;

/// OpenFlow 1.3 on the wire (section 7.1.1).
pub const VERSION_1_3: u8 = 0x04;

/// OpenFlow 1.4 on the wire, of which only the messages of bundles are read.
pub const VERSION_1_4: u8 = 0x05;

/// Bytes of the header (section 7.1.1).
pub const HEADER_LEN: usize = 8;

impl MessageType {
    /// Whether messages of this type are read in this version. Hello and error are in all
    /// versions, because they are what two sides use before they agree on one.
    #[inline]
    pub(crate) fn is_read_in(self, version: u8) -> bool {
        match version {
            VERSION_1_3 => self <= Self::METER_MOD,
            VERSION_1_4 => matches!(
                self,
                Self::HELLO | Self::ERROR | Self::BUNDLE_CONTROL | Self::BUNDLE_ADD_MESSAGE
            ),
            _ => matches!(self, Self::HELLO | Self::ERROR),
        }
    }
}

/// The first eight bytes of a message, enough to know what it is and whom it
/// answers without decoding (or even having) the rest (section 7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Protocol version.
    pub version: u8,
    /// What the message is.
    pub kind: MessageType,
    /// Bytes of the whole message, this header included.
    pub length: u16,
    /// Transaction id: a reply has that of its request.
    pub xid: u32,
}

impl Header {
    /// The header at the front of `bytes`; `None` when there are fewer than eight.
    #[inline]
    pub fn peek(bytes: &[u8]) -> Option<Self> {
        let [version, kind, l0, l1, x0, x1, x2, x3] = *bytes.first_chunk::<HEADER_LEN>()?;
        Some(Self {
            version,
            kind: MessageType(kind),
            length: u16::from_be_bytes([l0, l1]),
            xid: u32::from_be_bytes([x0, x1, x2, x3]),
        })
    }
}
