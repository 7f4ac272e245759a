//! OFPT_HELLO (section 7.5.1, `struct ofp_hello`).

use crate::error::{DecodeCause, DecodeError, EncodeCause, EncodeError};
use crate::header::VERSION_1_3;
use crate::wire::{Reader, Wire, Writer, padding_of};
use bytes::Bytes;

code_point! {
    /// What an element of a hello says (section 7.5.1, `enum ofp_hello_elem_type`).
    HelloElementType(u16), "OFPHET_" {
        VERSIONBITMAP = 1,
    }
}

/// One element of a hello (section 7.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelloElement {
    /// The versions the sender speaks: bit n of word m stands for version 32 m + n.
    VersionBitmap(Vec<u32>),
    /// Not in the specification; its bytes are kept.
    Unknown {
        /// Its number.
        kind: HelloElementType,
        /// What follows the length.
        body: Bytes,
    },
    /// The body of a hello of a version before 1.3, which has no elements: whatever
    /// stands there is kept and means nothing.
    Opaque(Bytes),
}

/// OFPT_HELLO: which versions the sender speaks (section 7.5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Its elements in wire order.
    pub elements: Vec<HelloElement>,
}

impl Hello {
    /// A hello with a bitmap of these versions, which are below 32.
    pub fn with_versions(versions: &[u8]) -> Self {
        let bitmap = versions
            .iter()
            .fold(0, |bits, version| match 1_u32.checked_shl(u32::from(*version)) {
                Some(bit) => bits | bit,
                None => bits,
            });
        Self {
            elements: vec![HelloElement::VersionBitmap(vec![bitmap])],
        }
    }

    /// The words of the first version bitmap, if there is one.
    pub fn version_bitmap(&self) -> Option<&[u32]> {
        self.elements.iter().find_map(|element| match element {
            HelloElement::VersionBitmap(words) => Some(words.as_slice()),
            _ => None,
        })
    }

    /// Whether the sender of this hello, in a message of version `header_version`,
    /// speaks `version`.
    ///
    /// Section 6.3.1: with a bitmap the bitmap decides; without one the sender
    /// speaks the version of its header and, in effect, any lower one.
    pub fn offers(&self, header_version: u8, version: u8) -> bool {
        match self.version_bitmap() {
            Some(words) => {
                let bit = u32::from(version % 32);
                words
                    .get(usize::from(version / 32))
                    .is_some_and(|word| (word >> bit) & 1 == 1)
            }
            None => version <= header_version,
        }
    }

    /// Reads the body of a hello of this version.
    pub(crate) fn read(version: u8, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if version < VERSION_1_3 {
            let body = r.remaining()?;
            let elements = if body.is_empty() {
                Vec::new()
            } else {
                vec![HelloElement::Opaque(body)]
            };
            return Ok(Self { elements });
        }
        let outer = r.enter("ofp_hello");
        let elements = r.list()?;
        r.leave(outer);
        Ok(Self { elements })
    }

    /// Writes the body of a hello of this version.
    pub(crate) fn write(&self, version: u8, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        if version >= VERSION_1_3 {
            return w.list(&self.elements);
        }
        match self.elements.as_slice() {
            [] => Ok(()),
            [HelloElement::Opaque(body)] if !body.is_empty() => {
                w.slice(body);
                Ok(())
            }
            _ => Err(EncodeError {
                structure: STRUCTURE,
                cause: EncodeCause::Version(version),
            }),
        }
    }
}

/// Bytes of type and length.
const HEADER: usize = 4;

const STRUCTURE: &str = "ofp_hello_elem_header";

impl Wire for HelloElement {
    fn read(outer: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = outer.offset();
        let mut r = outer.element(STRUCTURE, 2, HEADER, 1)?;
        let said = r.left();
        let kind = HelloElementType::read(&mut r)?;
        r.skip(2)?;
        let element = if kind == HelloElementType::VERSIONBITMAP {
            r.enter("ofp_hello_elem_versionbitmap");
            if said % 4 != 0 {
                return Err(r.error_at(start, DecodeCause::NotMultiple { said, of: 4 }));
            }
            Self::VersionBitmap(r.list()?)
        } else {
            Self::Unknown {
                kind,
                body: r.remaining()?,
            }
        };
        outer.skip(padding_of(said))?;
        Ok(element)
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.position();
        let length = match self {
            Self::VersionBitmap(words) => {
                HelloElementType::VERSIONBITMAP.write(w)?;
                let length = w.length_since(start);
                w.list(words)?;
                length
            }
            Self::Unknown { kind, body } => {
                if kind.name().is_some() {
                    let cause = EncodeCause::KnownKind(u32::from(kind.0));
                    return Err(EncodeError {
                        structure: STRUCTURE,
                        cause,
                    });
                }
                kind.write(w)?;
                let length = w.length_since(start);
                w.slice(body);
                length
            }
            Self::Opaque(_) => {
                return Err(EncodeError {
                    structure: STRUCTURE,
                    cause: EncodeCause::Version(VERSION_1_3),
                });
            }
        };
        w.set_length(STRUCTURE, length)?;
        w.pad_to_8(start);
        Ok(())
    }
}
