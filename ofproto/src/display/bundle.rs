//! Bundles, and the messages that are added to them.

use super::line::{Kept, PARTS_MAX, list};
use super::word::{Upper, lower_flags};
use crate::bundle::{BundleAdd, BundleControl, BundleFlags, BundleProp};
use crate::message::Body;
use core::fmt::{self, Display, Formatter};

impl Display for BundleControl {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            bundle_id,
            kind,
            flags,
            properties,
        } = self;
        write!(f, "bundle_id={bundle_id:#x} type={}", Upper(*kind))?;
        rest(f, *flags, properties)
    }
}

/// The message that is added stands behind, unless it is itself an addition or cannot be read.
impl Display for BundleAdd {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            bundle_id,
            flags,
            message,
            properties,
        } = self;
        write!(f, "bundle_id={bundle_id:#x}")?;
        rest(f, *flags, properties)?;
        match self.decode_message() {
            Ok(inner) if !matches!(inner.body, Body::BundleAdd(_)) => write!(f, " message={inner}"),
            _ => write!(f, " message={}", Kept(message)),
        }
    }
}

fn rest(f: &mut Formatter<'_>, flags: BundleFlags, properties: &[BundleProp]) -> fmt::Result {
    write!(f, " flags={}", lower_flags(flags, "0"))?;
    if properties.is_empty() {
        return Ok(());
    }
    f.write_str(" properties=")?;
    list(f, properties, PARTS_MAX, ",", |f, property| property.fmt(f))
}

impl Display for BundleProp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Experimenter {
                experimenter,
                exp_type,
                data,
            } => write!(
                f,
                "experimenter({:#x},exp_type={exp_type},data={})",
                experimenter.0,
                Kept(data)
            ),
            Self::Unknown { kind, body } => write!(f, "unknown(type={},{})", kind.0, Kept(body)),
        }
    }
}
