//! The header of a match field: OXM TLV (section 7.2.3.2).

use crate::number::ExperimenterId;
use crate::oxm::{OxmClass, OxmField};

/// What stands in front of a value on the wire, in one word: class, number and mask bit;
/// then the bytes of value and mask; then whose field it is, in class
/// OFPXMC_EXPERIMENTER (otherwise 0).
///
/// One word because it is handed on often, and a word is handed on at once.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct OxmHeader(u64);

/// Bytes of the header.
pub(crate) const HEADER: usize = 4;

/// Bytes of the experimenter's id behind it, in class OFPXMC_EXPERIMENTER.
pub(crate) const EXPERIMENTER: usize = 4;

/// Those, in the length that the header says.
const EXPERIMENTER_LEN: u8 = 4;

impl OxmHeader {
    /// The header at the front of `bytes`, if it is there and not shorter than itself.
    #[inline(always)]
    pub(crate) fn peek(bytes: &[u8]) -> Option<Self> {
        let [c0, c1, field, length] = *bytes.first_chunk::<HEADER>()?;
        if OxmClass(u16::from_be_bytes([c0, c1])) == OxmClass::EXPERIMENTER {
            return Self::peek_experimenter(bytes);
        }
        Some(Self(u64::from_be_bytes([c0, c1, field, length, 0, 0, 0, 0])))
    }

    #[cold]
    fn peek_experimenter(bytes: &[u8]) -> Option<Self> {
        let [c0, c1, field, length, a, b, c, d] = *bytes.first_chunk::<{ HEADER + EXPERIMENTER }>()?;
        // The length counts the experimenter's id.
        let payload = length.checked_sub(EXPERIMENTER_LEN)?;
        Some(Self(u64::from_be_bytes([c0, c1, field, payload, a, b, c, d])))
    }

    /// The header of a field with a value (and mask) of `payload` bytes; `None` when the
    /// length cannot say so many.
    pub(crate) fn new(field: OxmField, masked: bool, payload: usize) -> Option<Self> {
        let id = field.experimenter();
        let extra = if id.is_some() { EXPERIMENTER } else { 0 };
        u8::try_from(payload.checked_add(extra)?).ok()?;
        let payload = u8::try_from(payload).ok()?;
        let [c0, c1] = field.class().0.to_be_bytes();
        let [a, b, c, d] = id.map_or(0, |id| id.0).to_be_bytes();
        let number = (field.number() << 1) | u8::from(masked);
        Some(Self(u64::from_be_bytes([c0, c1, number, payload, a, b, c, d])))
    }

    #[inline]
    fn is_of_experimenter(self) -> bool {
        self.class() == OxmClass::EXPERIMENTER
    }

    #[inline]
    fn class(self) -> OxmClass {
        let [c0, c1, ..] = self.0.to_be_bytes();
        OxmClass(u16::from_be_bytes([c0, c1]))
    }

    /// Which field.
    #[inline]
    pub(crate) fn field(self) -> OxmField {
        let [_, _, number, _, id @ ..] = self.0.to_be_bytes();
        OxmField::of(self.class(), ExperimenterId(u32::from_be_bytes(id)), number >> 1)
    }

    /// Whether it has a mask.
    #[inline]
    pub(crate) fn masked(self) -> bool {
        let [_, _, number, ..] = self.0.to_be_bytes();
        number & 1 == 1
    }

    /// Bytes of value and mask.
    #[inline]
    pub(crate) fn payload(self) -> u8 {
        let [_, _, _, payload, ..] = self.0.to_be_bytes();
        payload
    }

    /// Bytes before them.
    #[inline]
    pub(crate) fn skip(self) -> usize {
        if self.is_of_experimenter() {
            HEADER + EXPERIMENTER
        } else {
            HEADER
        }
    }

    /// Bytes of all of it.
    #[inline]
    pub(crate) fn whole(self) -> u16 {
        let [.., length] = self.bytes();
        u16::from(length).saturating_add(4)
    }

    /// The header as it stands on the wire.
    #[inline]
    pub(crate) fn bytes(self) -> [u8; HEADER] {
        let [c0, c1, number, payload, ..] = self.0.to_be_bytes();
        let length = if self.is_of_experimenter() {
            payload.saturating_add(EXPERIMENTER_LEN)
        } else {
            payload
        };
        [c0, c1, number, length]
    }

    /// The experimenter's id behind it, if there is one.
    #[inline]
    pub(crate) fn id_bytes(self) -> Option<[u8; EXPERIMENTER]> {
        let [_, _, _, _, id @ ..] = self.0.to_be_bytes();
        self.is_of_experimenter().then_some(id)
    }
}
