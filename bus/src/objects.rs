//! What a switch can be asked to hold: rules, groups and meters, as values.
//!
//! These are absolute descriptions, so doing one twice leaves the same state. They say what
//! Skerry's own pipeline needs (six tables, VLAN encapsulation, mirror and join groups, the
//! round-trip group), not all of OpenFlow: `ofproto` does that. The speaker turns them into
//! messages and turns dumps back into them; what it cannot express is reported as foreign.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{Cookie, PortNo};

/// A 64-bit value with a mask. JSON form `"0x20000648/0xe000fff8"`; a missing mask is all ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Masked {
    /// The bits.
    pub value: u64,
    /// Which bits count.
    pub mask: u64,
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}/{:#x}", self.value, self.mask)
    }
}

impl Serialize for Masked {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Masked {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(Text(|text: &str| {
            let hex = |t: &str| t.strip_prefix("0x").and_then(|h| u64::from_str_radix(h, 16).ok());
            let (value, mask) = match text.split_once('/') {
                Some((value, mask)) => (hex(value), hex(mask)),
                None => (hex(text), Some(u64::MAX)),
            };
            value
                .zip(mask)
                .map(|(value, mask)| Masked { value, mask })
                .ok_or_else(|| format!("{text:?} is not 0xVALUE or 0xVALUE/0xMASK"))
        }))
    }
}

/// A value that is written as text: read without a copy of it.
struct Text<F>(F);

impl<T, F: FnOnce(&str) -> Result<T, String>> serde::de::Visitor<'_> for Text<F> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

/// What a rule looks for. An absent field is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Match {
    /// Port the packet came in on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_port: Option<PortNo>,
    /// Metadata written by an earlier table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Masked>,
    /// Source address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eth_src: Option<Mac>,
    /// Destination address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eth_dst: Option<Mac>,
    /// EtherType.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eth_type: Option<u16>,
    /// Id of the outermost VLAN tag, 1 to 4094 (tag present).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// IP protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_proto: Option<u8>,
    /// UDP source port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udp_src: Option<u16>,
    /// UDP destination port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udp_dst: Option<u16>,
}

/// An Ethernet address, `00:26:e1:ff:ff:ff` in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Its text; there are two in most rules, so it is not put together by formatting.
    fn text(self) -> [u8; 17] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b':'; 17];
        for (pair, byte) in text.chunks_mut(3).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xf)];
        }
        text
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).expect("digits and colons are ASCII"))
    }
}

impl Serialize for Mac {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(std::str::from_utf8(&self.text()).expect("digits and colons are ASCII"))
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(Text(|text: &str| {
            let wrong = || format!("{text:?} is not an Ethernet address");
            let mut out = [0u8; 6];
            let mut parts = text.split(':');
            for byte in &mut out {
                *byte = parts
                    .next()
                    .filter(|p| p.len() == 2)
                    .and_then(|p| u8::from_str_radix(p, 16).ok())
                    .ok_or_else(wrong)?;
            }
            match parts.next() {
                Some(_) => Err(wrong()),
                None => Ok(Mac(out)),
            }
        }))
    }
}

/// Where an output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutPort {
    /// A port by number.
    Port(PortNo),
    /// Back out of the port the packet came in on (OFPP_IN_PORT): a plain number would be dropped there.
    InPort,
    /// To the speaker, whole (OFPP_CONTROLLER).
    Controller,
}

/// One thing done to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Send the packet as it is now.
    Output(OutPort),
    /// Hand the packet to a group.
    Group(u32),
    /// Push a tag with this EtherType (0x8100 or 0x88a8).
    PushVlan(u16),
    /// Take the outermost tag off.
    PopVlan,
    /// Set the id of the outermost tag, 1 to 4094.
    SetVlan(u16),
    /// Set the source address.
    SetEthSrc(Mac),
    /// Set the destination address.
    SetEthDst(Mac),
    /// Set the UDP source port.
    SetUdpSrc(u16),
    /// Set the UDP destination port.
    SetUdpDst(u16),
}

/// What identifies a rule in a switch: OpenFlow 1.3.5 section 5.2, "a flow table entry is identified by its
/// match fields and priority", within its table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleKey {
    /// Table, 0 to 5 in our pipeline.
    pub table: u8,
    /// Higher wins.
    pub priority: u16,
    /// What it looks for.
    #[serde(rename = "match", default)]
    pub matches: Match,
}

impl fmt::Display for RuleKey {
    /// As plans and errors name it: `rule of table 2, priority 100, in_port=1, vlan=5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule of table {}, priority {}", self.table, self.priority)?;
        let m = &self.matches;
        let mut field = |name: &str, value: Option<&dyn fmt::Display>| match value {
            Some(value) => write!(f, ", {name}={value}"),
            None => Ok(()),
        };
        let eth_type = m.eth_type.map(|v| format!("{v:#06x}"));
        field("in_port", m.in_port.as_ref().map(|v| v as _))?;
        field("metadata", m.metadata.as_ref().map(|v| v as _))?;
        field("eth_src", m.eth_src.as_ref().map(|v| v as _))?;
        field("eth_dst", m.eth_dst.as_ref().map(|v| v as _))?;
        field("eth_type", eth_type.as_ref().map(|v| v as _))?;
        field("vlan", m.vlan.as_ref().map(|v| v as _))?;
        field("ip_proto", m.ip_proto.as_ref().map(|v| v as _))?;
        field("udp_src", m.udp_src.as_ref().map(|v| v as _))?;
        field("udp_dst", m.udp_dst.as_ref().map(|v| v as _))
    }
}

/// An entry in a switch's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RuleForm")]
pub struct Rule {
    /// Which rule it is.
    #[serde(flatten)]
    pub key: RuleKey,
    /// Whose it is; deletes name it too.
    pub cookie: Cookie,
    /// Meter the packet passes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter: Option<u32>,
    /// Actions, in this order, at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apply: Vec<Action>,
    /// Metadata to write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_metadata: Option<Masked>,
    /// Table to go on in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goto: Option<u8>,
    /// Whether replacing the rule resets its counters.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset_counts: bool,
}

/// The JSON form of [`Rule`] to read: all its fields side by side, as they stand there. A flattened key would have every
/// field kept aside first.
#[derive(Deserialize)]
struct RuleForm {
    table: u8,
    priority: u16,
    #[serde(rename = "match", default)]
    matches: Match,
    cookie: Cookie,
    #[serde(default)]
    meter: Option<u32>,
    #[serde(default)]
    apply: Vec<Action>,
    #[serde(default)]
    write_metadata: Option<Masked>,
    #[serde(default)]
    goto: Option<u8>,
    #[serde(default)]
    reset_counts: bool,
}

impl From<RuleForm> for Rule {
    fn from(form: RuleForm) -> Self {
        Rule {
            key: RuleKey {
                table: form.table,
                priority: form.priority,
                matches: form.matches,
            },
            cookie: form.cookie,
            meter: form.meter,
            apply: form.apply,
            write_metadata: form.write_metadata,
            goto: form.goto,
            reset_counts: form.reset_counts,
        }
    }
}

/// How a group uses its buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// Each bucket gets a copy (OFPGT_ALL).
    All,
    /// The one bucket (OFPGT_INDIRECT).
    Indirect,
}

/// One copy of the packet and what is done to it: an action *set* (at most one push, then set, then output).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bucket {
    /// The actions; the switch orders them as OpenFlow 1.3.5 section 5.10 says.
    pub actions: Vec<Action>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// 1 to 4,095 are ours.
    pub id: u32,
    /// How buckets are used.
    pub kind: GroupKind,
    /// The buckets, in order.
    pub buckets: Vec<Bucket>,
}

impl Group {
    /// The groups this one hands packets to.
    pub fn refers_to(&self) -> impl Iterator<Item = u32> + '_ {
        self.buckets.iter().flat_map(|b| &b.actions).filter_map(|a| match a {
            Action::Group(id) => Some(*id),
            _ => None,
        })
    }
}

/// What a meter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeterUnit {
    /// Kilobits per second; burst in kilobits.
    Kbps,
    /// Packets per second; burst in packets.
    Pktps,
}

/// A meter with one drop band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    /// 1 to 2,500 are ours.
    pub id: u32,
    /// What is counted.
    pub unit: MeterUnit,
    /// Rate above which packets are dropped.
    pub rate: u32,
    /// Burst that is let through.
    pub burst: u32,
}

/// A set of objects for one switch, keyed by what identifies them. JSON form: three lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ObjectLists")]
pub struct Objects {
    /// Meters by id.
    #[serde(serialize_with = "values", skip_serializing_if = "BTreeMap::is_empty")]
    pub meters: BTreeMap<u32, Meter>,
    /// Groups by id.
    #[serde(serialize_with = "values", skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<u32, Group>,
    /// Rules by key.
    #[serde(serialize_with = "values", skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<RuleKey, Rule>,
}

/// A map as the list of its values: each names itself.
fn values<K, V: Serialize, S: serde::Serializer>(map: &BTreeMap<K, V>, s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(map.values())
}

impl Objects {
    /// Nothing at all.
    pub fn new() -> Self {
        Self::default()
    }
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.meters.is_empty() && self.groups.is_empty() && self.rules.is_empty()
    }
    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.meters.len() + self.groups.len() + self.rules.len()
    }
    /// Put a rule in, replacing one of the same key.
    pub fn put_rule(&mut self, rule: Rule) {
        self.rules.insert(rule.key.clone(), rule);
    }
    /// Put a group in, replacing one of the same id.
    pub fn put_group(&mut self, group: Group) {
        self.groups.insert(group.id, group);
    }
    /// Put a meter in, replacing one of the same id.
    pub fn put_meter(&mut self, meter: Meter) {
        self.meters.insert(meter.id, meter);
    }
    /// Put everything of `other` in, replacing what has the same key.
    pub fn extend(&mut self, other: Objects) {
        self.meters.extend(other.meters);
        self.groups.extend(other.groups);
        self.rules.extend(other.rules);
    }
    /// Keys of everything in it.
    pub fn keys(&self) -> ObjectKeys {
        ObjectKeys {
            meters: self.meters.keys().copied().collect(),
            groups: self.groups.keys().copied().collect(),
            rules: self.rules.keys().cloned().collect(),
        }
    }
    /// Take out what `keys` names; what is not there is passed over.
    pub fn remove(&mut self, keys: &ObjectKeys) {
        for id in &keys.meters {
            self.meters.remove(id);
        }
        for id in &keys.groups {
            self.groups.remove(id);
        }
        for key in &keys.rules {
            self.rules.remove(key);
        }
    }
}

/// Names of objects to take away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectKeys {
    /// Meter ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub meters: Vec<u32>,
    /// Group ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<u32>,
    /// Rule keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleKey>,
}

impl ObjectKeys {
    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.meters.is_empty() && self.groups.is_empty() && self.rules.is_empty()
    }
}

/// The JSON form of [`Objects`] to read: lists in any order, of which the last of a key counts.
#[derive(Deserialize, Default)]
#[serde(default)]
struct ObjectLists {
    meters: Vec<Meter>,
    groups: Vec<Group>,
    rules: Vec<Rule>,
}

impl From<ObjectLists> for Objects {
    fn from(lists: ObjectLists) -> Self {
        Objects {
            meters: lists.meters.into_iter().map(|m| (m.id, m)).collect(),
            groups: lists.groups.into_iter().map(|g| (g.id, g)).collect(),
            rules: lists.rules.into_iter().map(|r| (r.key.clone(), r)).collect(),
        }
    }
}
