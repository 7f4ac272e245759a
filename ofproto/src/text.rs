//! Addresses and fixed-width texts.

use crate::error::{DecodeError, EncodeError};
use crate::wire::{Reader, Wire, Writer};
use core::fmt;
use core::str::FromStr;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MacAddr(pub [u8; 6]);

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not six pairs of hexadecimal digits with colons between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAMacAddr;

impl fmt::Display for NotAMacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an Ethernet address is six pairs of hexadecimal digits with colons between them")
    }
}

impl std::error::Error for NotAMacAddr {}

impl FromStr for MacAddr {
    type Err = NotAMacAddr;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut octets = [0_u8; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().ok_or(NotAMacAddr)?;
            let plain = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
            *octet = u8::from_str_radix(part, 16).ok().filter(|_| plain).ok_or(NotAMacAddr)?;
        }
        if parts.next().is_some() {
            return Err(NotAMacAddr);
        }
        Ok(Self(octets))
    }
}

impl Wire for MacAddr {
    const LEAST: usize = 6;

    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.array().map(Self)
    }
    #[inline]
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.array(self.0);
        Ok(())
    }
}

/// A text in a field of `N` bytes, ended by the first zero byte, if there is one.
///
/// All bytes are kept, also those behind the zero, so that what a switch sent can
/// be written again as it came.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FixedText<const N: usize>(pub [u8; N]);

impl<const N: usize> Default for FixedText<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> FixedText<N> {
    /// The first `N` bytes of a text, cut at a character's boundary.
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; N];
        let end = (0..=N).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        for (to, from) in bytes.iter_mut().zip(text.as_bytes().iter().take(end)) {
            *to = *from;
        }
        Self(bytes)
    }

    /// The bytes before the first zero.
    pub fn as_bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(N);
        self.0.get(..end).unwrap_or(&self.0)
    }

    /// The text before the first zero, with what is not UTF-8 replaced.
    pub fn to_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.as_bytes())
    }

    /// The text, if it says everything: it is UTF-8 and only zeros follow it.
    pub fn exact(&self) -> Option<&str> {
        let text = core::str::from_utf8(self.as_bytes()).ok()?;
        let behind = self.0.get(text.len()..)?;
        behind.iter().all(|b| *b == 0).then_some(text)
    }
}

impl<const N: usize> fmt::Display for FixedText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl<const N: usize> fmt::Debug for FixedText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exact() {
            Some(text) => write!(f, "{text:?}"),
            None => write!(f, "{:?}", self.0.as_slice()),
        }
    }
}

impl<const N: usize> Wire for FixedText<N> {
    const LEAST: usize = N;

    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.array().map(Self)
    }
    #[inline]
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.array(self.0);
        Ok(())
    }
}
