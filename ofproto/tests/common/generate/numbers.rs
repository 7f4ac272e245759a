//! Numbers with and without names, flags, texts, and lists of anything that can be drawn.

use super::{Draw, Gen};
use bytes::Bytes;
use ofproto::*;

macro_rules! numbers {
    ($($int:ident),*) => {$(
        impl Gen for $int {
            fn generate(d: &mut Draw<'_>) -> Self {
                match d.u8() % 8 {
                    0 => 0,
                    1 => $int::MAX,
                    2 => 1,
                    _ => $int::from_be_bytes(d.array()),
                }
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64);

macro_rules! code_points {
    ($($name:ident),* $(,)?) => {$(
        impl Gen for $name {
            fn generate(d: &mut Draw<'_>) -> Self {
                if !d.valid && d.one_in(3) {
                    return Self(Gen::generate(d));
                }
                d.pick(Self::NAMES).0
            }
        }
    )*};
}
code_points!(
    ErrorType,
    RoleReason,
    ControllerRole,
    PortReason,
    PacketInReason,
    FlowModCommand,
    FlowRemovedReason,
    GroupModCommand,
    GroupType,
    MeterModCommand,
    MessageType,
    ActionType,
    InstructionType,
    MeterBandType,
    QueuePropType,
    MultipartType,
    HelloElementType,
    BundleCtrlType,
);

macro_rules! flag_words {
    ($($name:ident),* $(,)?) => {$(
        impl Gen for $name {
            fn generate(d: &mut Draw<'_>) -> Self {
                let any = Self(Gen::generate(d));
                if d.valid { Self(any.0 ^ any.unknown()) } else { any }
            }
        }
    )*};
}
flag_words!(
    BundleFlags,
    Capabilities,
    ConfigFlags,
    PortConfig,
    PortState,
    PortFeatures,
    FlowModFlags,
    GroupCapabilities,
    GroupTypes,
    ActionTypes,
    MeterFlags,
    MeterBandTypes,
    MeterCapabilities,
    MultipartRequestFlags,
    MultipartReplyFlags,
    PacketInReasons,
    PortReasons,
    FlowRemovedReasons,
);

macro_rules! ids {
    ($($name:ident),* $(,)?) => {$(
        impl Gen for $name {
            fn generate(d: &mut Draw<'_>) -> Self {
                if d.one_in(4) && !d.valid {
                    return d.pick(Self::NAMES).0;
                }
                let any = Self(Gen::generate(d));
                if d.valid { Self(any.0 % 200 + 1) } else { any }
            }
        }
    )*};
}
ids!(PortNo, GroupId, MeterId, TableId, QueueId, ExperimenterId);

impl Gen for MacAddr {
    fn generate(d: &mut Draw<'_>) -> Self {
        Self(d.array())
    }
}

impl<const N: usize> Gen for FixedText<N> {
    fn generate(d: &mut Draw<'_>) -> Self {
        if d.one_in(4) && !d.valid {
            return Self(d.array());
        }
        let len = d.below(N);
        let text: String = (0..len.min(12)).map(|_| char::from(b'a' + d.u8() % 26)).collect();
        Self::new(&text)
    }
}

impl<T: Gen, const N: usize> Gen for [T; N] {
    fn generate(d: &mut Draw<'_>) -> Self {
        std::array::from_fn(|_| T::generate(d))
    }
}

impl<T: Gen> Gen for Vec<T> {
    fn generate(d: &mut Draw<'_>) -> Self {
        d.list(3)
    }
}

impl<T: Gen> Gen for Box<T> {
    fn generate(d: &mut Draw<'_>) -> Self {
        Box::new(T::generate(d))
    }
}

impl Gen for Bytes {
    fn generate(d: &mut Draw<'_>) -> Self {
        d.some_bytes(40)
    }
}
