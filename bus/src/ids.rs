//! Identifiers: one type and one spelling each.
//!
//! Every identifier has exactly one text form, which is the one in JSON, in topics, in logs, in
//! metrics and in REST. Reading accepts the forms that operators' other tools print.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not an identifier of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind}: {cause}")]
pub struct IdError {
    /// What was expected, such as `switch id`.
    pub kind: &'static str,
    /// What was given, cut to 64 characters.
    pub text: String,
    /// Why it is not one.
    pub cause: &'static str,
}

fn err<T>(kind: &'static str, text: &str, cause: &'static str) -> Result<T, IdError> {
    Err(IdError {
        kind,
        text: text.chars().take(64).collect(),
        cause,
    })
}

macro_rules! text_serde {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("the text form of ", stringify!($name)))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                d.deserialize_str(Text)
            }
        }
    };
}

/// An OpenFlow datapath id. Text form `00:00:00:00:00:00:00:01`; `0x1`, `of:0000000000000001` and
/// sixteen hex digits are read as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SwitchId(pub u64);

impl SwitchId {
    /// The address that stands for the switch in discovery packets: the low 48 bits of its id.
    pub fn mac(self) -> [u8; 6] {
        let b = self.0.to_be_bytes();
        [b[2], b[3], b[4], b[5], b[6], b[7]]
    }
}

impl fmt::Display for SwitchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = self.0.to_be_bytes();
        write!(
            f,
            "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
            b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]
        )
    }
}

impl FromStr for SwitchId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        const KIND: &str = "switch id";
        let digits: String = if let Some(rest) = text.strip_prefix("0x") {
            if rest.is_empty() || rest.len() > 16 {
                return err(KIND, text, "1 to 16 hex digits follow 0x");
            }
            format!("{rest:0>16}")
        } else if let Some(rest) = text.strip_prefix("of:") {
            rest.to_owned()
        } else if text.contains(':') {
            let parts: Vec<&str> = text.split(':').collect();
            if parts.len() != 8 || parts.iter().any(|p| p.len() != 2) {
                return err(KIND, text, "eight pairs of hex digits joined by colons are expected");
            }
            parts.concat()
        } else {
            text.to_owned()
        };
        if digits.len() != 16 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return err(
                KIND,
                text,
                "16 hex digits are expected, such as 00:00:00:00:00:00:00:01",
            );
        }
        match u64::from_str_radix(&digits, 16) {
            Ok(id) => Ok(SwitchId(id)),
            Err(_) => err(KIND, text, "16 hex digits are expected"),
        }
    }
}
text_serde!(SwitchId);

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
        #[serde(transparent)]
        pub struct $name(pub $inner);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
        impl $name {
            /// The number after this one.
            pub fn next(self) -> Self {
                $name(self.0.saturating_add(1))
            }
        }
    };
}

number! {
    /// The number of a port on its switch. Reserved OpenFlow numbers never name a port here.
    PortNo(u32)
}
number! {
    /// A number that grows each time a speaker process starts.
    Epoch(u64)
}
number! {
    /// Position of a region's message in its partition: gapless per epoch and partition, from 1.
    Seq(u64)
}
number! {
    /// Grows with every change of a switch's active region. It is the `generation_id` of
    /// OFPT_ROLE_REQUEST (OpenFlow 1.3.5 section 7.3.9); terms begin at 1.
    Term(u64)
}
number! {
    /// Version of a switch's desired state, counted by the router. 0 is the empty table before the first.
    Generation(u64)
}

/// A rule's cookie, written `0x40000000000001f4` in JSON because numbers above 2^53 do not survive everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cookie(pub u64);

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

impl FromStr for Cookie {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.strip_prefix("0x").map(|d| u64::from_str_radix(d, 16)) {
            Some(Ok(n)) => Ok(Cookie(n)),
            _ => err("cookie", text, "0x and up to 16 hex digits are expected"),
        }
    }
}
text_serde!(Cookie);

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal, $ok:expr, $cause:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);
        impl $name {
            /// Longest accepted text, in bytes.
            pub const LEN_MAX: usize = $max;
            /// The text form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                if text.is_empty() || text.len() > $max || !text.bytes().all($ok) {
                    return err($kind, text, $cause);
                }
                Ok($name(text.to_owned()))
            }
        }
        text_serde!($name);
    };
}

name! {
    /// The name of a region. It is part of topic names, where dots separate and underscores collide.
    Region, "region", 32, |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-',
    "1 to 32 lower-case letters, digits and hyphens are expected"
}
name! {
    /// The client's name of a flow.
    FlowId, "flow id", 100, |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_',
    "1 to 100 letters, digits, hyphens and underscores are expected"
}
name! {
    /// The client's name of a mirror or join point; unique within its flow.
    PointId, "point id", 100, |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_',
    "1 to 100 letters, digits, hyphens and underscores are expected"
}
name! {
    /// What joins an answer to its question. Chosen by the asker.
    CorrelationId, "correlation id", 128, |b: u8| b.is_ascii_graphic(),
    "1 to 128 printable ASCII characters without blanks are expected"
}

/// A port of a switch. Text form `00:00:00:00:00:00:00:01/2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRef {
    /// The switch.
    pub switch: SwitchId,
    /// The port on it.
    pub port: PortNo,
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.switch, self.port)
    }
}

impl FromStr for PortRef {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let Some((switch, port)) = text.rsplit_once('/') else {
            return err(
                "port",
                text,
                "SWITCH/PORT is expected, such as 00:00:00:00:00:00:00:01/2",
            );
        };
        match port.parse() {
            Ok(port) => Ok(PortRef {
                switch: switch.parse()?,
                port: PortNo(port),
            }),
            Err(_) => err("port", text, "a decimal port number is expected after the slash"),
        }
    }
}
text_serde!(PortRef);

/// A link: two ports that see each other's discovery packets. `a` is the smaller end.
/// Text form `00:00:00:00:00:00:00:01/2-00:00:00:00:00:00:00:02/1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId {
    a: PortRef,
    b: PortRef,
}

impl LinkId {
    /// The link between two ports, in whichever order they are given.
    pub fn new(x: PortRef, y: PortRef) -> Self {
        LinkId {
            a: x.min(y),
            b: x.max(y),
        }
    }
    /// The smaller end.
    pub fn a(self) -> PortRef {
        self.a
    }
    /// The larger end.
    pub fn b(self) -> PortRef {
        self.b
    }
    /// The end that is not `end`, if `end` is one of the two.
    pub fn other(self, end: PortRef) -> Option<PortRef> {
        if end == self.a {
            Some(self.b)
        } else if end == self.b {
            Some(self.a)
        } else {
            None
        }
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.a, self.b)
    }
}

impl FromStr for LinkId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.split_once('-') {
            Some((a, b)) => Ok(LinkId::new(a.parse()?, b.parse()?)),
            None => err("link id", text, "two ports joined by a hyphen are expected"),
        }
    }
}
text_serde!(LinkId);

/// Where a customer's service meets the network: a port and up to two VLAN tags; 0 is "no tag".
/// `vlan` is the outer tag; an inner tag without an outer one is read as the outer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// The switch.
    pub switch: SwitchId,
    /// The port on it.
    pub port: PortNo,
    /// Outer VLAN id, 1 to 4094; 0 is the whole port.
    #[serde(default)]
    pub vlan: u16,
    /// Inner VLAN id (QinQ), 1 to 4094; 0 is none.
    #[serde(default)]
    pub inner_vlan: u16,
}

impl Endpoint {
    /// The port without its tags.
    pub fn port_ref(&self) -> PortRef {
        PortRef {
            switch: self.switch,
            port: self.port,
        }
    }
    /// The same endpoint with an inner tag that stands alone moved to where a single tag belongs.
    pub fn normalised(mut self) -> Self {
        if self.vlan == 0 && self.inner_vlan != 0 {
            self.vlan = self.inner_vlan;
            self.inner_vlan = 0;
        }
        self
    }
}

impl fmt::Display for Endpoint {
    /// `SWITCH/PORT`, then `:vlan`, then `.inner`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.switch, self.port)?;
        if self.vlan != 0 || self.inner_vlan != 0 {
            write!(f, ":{}", self.vlan)?;
        }
        if self.inner_vlan != 0 {
            write!(f, ".{}", self.inner_vlan)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_id_is_read_in_every_form_and_written_in_one() {
        let one = SwitchId(0x1a);
        for text in [
            "00:00:00:00:00:00:00:1a",
            "0x1a",
            "0x1A",
            "000000000000001a",
            "of:000000000000001a",
        ] {
            assert_eq!(text.parse(), Ok(one), "{text}");
        }
        assert_eq!(one.to_string(), "00:00:00:00:00:00:00:1a");
        assert_eq!(one.mac(), [0, 0, 0, 0, 0, 0x1a]);
        for text in [
            "",
            "1",
            "0x",
            "0x11112222333344445",
            "00:00",
            "00:00:00:00:00:00:00:0g",
            "of:1",
            "+000000000000001",
        ] {
            let error = text.parse::<SwitchId>().expect_err(text);
            assert!(error.to_string().contains("switch id"), "{error}");
        }
    }

    #[test]
    fn a_link_has_one_spelling_whichever_end_is_named_first() {
        let (x, y) = (
            "0x1/2".parse::<PortRef>().expect("x"),
            "0x2/1".parse::<PortRef>().expect("y"),
        );
        assert_eq!(LinkId::new(x, y), LinkId::new(y, x));
        let text = LinkId::new(y, x).to_string();
        assert_eq!(text, "00:00:00:00:00:00:00:01/2-00:00:00:00:00:00:00:02/1");
        assert_eq!(text.parse(), Ok(LinkId::new(x, y)));
        assert_eq!(LinkId::new(x, y).other(x), Some(y));
    }

    #[test]
    fn names_refuse_what_could_not_be_a_topic_or_a_path() {
        for bad in ["", "East", "a.b", "a_b", "a b", "ä", &"x".repeat(33)] {
            assert!(bad.parse::<Region>().is_err(), "{bad:?}");
        }
        for bad in ["", "a/b", "a b", "..", &"x".repeat(101)] {
            assert!(bad.parse::<FlowId>().is_err(), "{bad:?}");
        }
    }
}
