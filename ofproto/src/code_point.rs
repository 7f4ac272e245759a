//! Code points: numbers with names.
//!
//! What the specification gives as an enumeration or as a word of flags is one
//! table here, from which the constants, the names and the printing follow. A
//! number without a name is kept as it is, so a value from a later version of
//! the protocol survives being read and written.

/// The name of one entry: its own literal if it has one, else prefix and constant.
macro_rules! entry_name {
    ($prefix:literal, $constant:ident) => {
        concat!($prefix, stringify!($constant))
    };
    ($prefix:literal, $constant:ident, $text:literal) => {
        $text
    };
}

/// Declares an open enumeration: a newtype over an integer with named constants.
macro_rules! code_point {
    (
        $(#[$doc:meta])*
        $name:ident($int:ty), $prefix:literal {
            $($constant:ident = $value:literal $(as $text:literal)?,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub $int);

        impl $name {
            $(
                #[doc = concat!("`", entry_name!($prefix, $constant $(, $text)?), "`")]
                pub const $constant: $name = $name($value);
            )*

            /// Every number that has a name, in the order of the specification.
            pub const NAMES: &'static [($name, &'static str)] = &[
                $(($name($value), entry_name!($prefix, $constant $(, $text)?)),)*
            ];

            /// The name in the specification, if the number has one.
            pub fn name(self) -> Option<&'static str> {
                Self::NAMES.iter().find(|(value, _)| *value == self).map(|(_, name)| *name)
            }

            /// The number of a name of the specification.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::NAMES.iter().find(|(_, text)| *text == name).map(|(value, _)| *value)
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }

        impl $crate::display::Named for $name {
            fn short(self) -> Option<&'static str> {
                self.name().map(|name| name.strip_prefix($prefix).unwrap_or(name))
            }
            fn number(self) -> u64 {
                u64::from(self.0)
            }
        }

        impl From<$int> for $name {
            fn from(value: $int) -> Self {
                Self(value)
            }
        }

        impl $crate::wire::Wire for $name {
            const LEAST: usize = <$int as $crate::wire::Wire>::LEAST;

            #[inline(always)]
            fn read(r: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                <$int as $crate::wire::Wire>::read(r).map(Self)
            }
            #[inline]
            fn write(&self, w: &mut $crate::wire::Writer<'_>) -> Result<(), $crate::EncodeError> {
                $crate::wire::Wire::write(&self.0, w)
            }
            #[inline]
            fn count(bytes: &[u8]) -> usize {
                <$int as $crate::wire::Wire>::count(bytes)
            }
        }
    };
}

/// Declares a word of flags: a newtype over an integer with named bits.
macro_rules! flag_word {
    (
        $(#[$doc:meta])*
        $name:ident($int:ty), $prefix:literal {
            $($constant:ident = $bit:literal $(as $text:literal)?,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub $int);

        impl $name {
            $(
                #[doc = concat!("`", entry_name!($prefix, $constant $(, $text)?), "`, bit ", stringify!($bit))]
                pub const $constant: $name = $name(1 << $bit);
            )*

            /// Every bit that has a name, in the order of the specification.
            pub const NAMES: &'static [($name, &'static str)] = &[
                $(($name(1 << $bit), entry_name!($prefix, $constant $(, $text)?)),)*
            ];

            /// No flag set.
            pub const NONE: $name = $name(0);

            /// Whether all bits of `other` are set.
            #[inline]
            pub fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether no bit is set.
            #[inline]
            pub fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// The bits that have no name.
            pub fn unknown(self) -> $int {
                Self::NAMES.iter().fold(self.0, |left, (bit, _)| left & !bit.0)
            }
        }

        impl core::ops::BitOr for $name {
            type Output = Self;
            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                let mut first = true;
                for (bit, name) in Self::NAMES {
                    if self.contains(*bit) {
                        if !first {
                            f.write_str("|")?;
                        }
                        f.write_str(name)?;
                        first = false;
                    }
                }
                let unknown = self.unknown();
                if unknown != 0 || first {
                    if !first {
                        f.write_str("|")?;
                    }
                    write!(f, "{unknown:#x}")?;
                }
                Ok(())
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }

        impl $crate::display::Flagged for $name {
            fn shorts(self) -> impl Iterator<Item = &'static str> {
                let set = Self::NAMES.iter().filter(move |(bit, _)| self.contains(*bit));
                set.map(|(_, name)| name.strip_prefix($prefix).unwrap_or(name))
            }
            fn nameless(self) -> u64 {
                u64::from(self.unknown())
            }
        }

        impl $crate::wire::Wire for $name {
            const LEAST: usize = <$int as $crate::wire::Wire>::LEAST;

            #[inline(always)]
            fn read(r: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                <$int as $crate::wire::Wire>::read(r).map(Self)
            }
            #[inline]
            fn write(&self, w: &mut $crate::wire::Writer<'_>) -> Result<(), $crate::EncodeError> {
                $crate::wire::Wire::write(&self.0, w)
            }
            #[inline]
            fn count(bytes: &[u8]) -> usize {
                <$int as $crate::wire::Wire>::count(bytes)
            }
        }
    };
}
