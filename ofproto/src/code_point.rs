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

        impl From<$int> for $name {
            fn from(value: $int) -> Self {
                Self(value)
            }
        }

        impl $crate::wire::Wire for $name {
            #[inline]
            fn read(r: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                <$int as $crate::wire::Wire>::read(r).map(Self)
            }
            #[inline]
            fn write(&self, w: &mut $crate::wire::Writer<'_>) -> Result<(), $crate::EncodeError> {
                $crate::wire::Wire::write(&self.0, w)
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

        impl $crate::wire::Wire for $name {
            #[inline]
            fn read(r: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                <$int as $crate::wire::Wire>::read(r).map(Self)
            }
            #[inline]
            fn write(&self, w: &mut $crate::wire::Writer<'_>) -> Result<(), $crate::EncodeError> {
                $crate::wire::Wire::write(&self.0, w)
            }
        }
    };
}

/// Declares a structure of the specification, field by field in wire order.
///
/// `[pad 4]` behind a field says how many bytes of padding follow it; they are
/// skipped when reading and zero when writing. Everything else (reading,
/// writing) follows from the table.
macro_rules! wire_struct {
    (
        $(#[$doc:meta])*
        $name:ident, $structure:literal {
            $($(#[$field_doc:meta])* $field:ident: $ty:ty $([pad $pad:literal])?,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $ty,)*
        }

        impl $crate::wire::Wire for $name {
            #[inline]
            fn read(r: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                let outer = r.enter($structure);
                $(
                    let $field = <$ty as $crate::wire::Wire>::read(r)?;
                    $(r.skip($pad)?;)?
                )*
                r.leave(outer);
                Ok(Self { $($field),* })
            }
            #[inline]
            fn write(&self, w: &mut $crate::wire::Writer<'_>) -> Result<(), $crate::EncodeError> {
                $(
                    $crate::wire::Wire::write(&self.$field, w)?;
                    $(w.pad($pad);)?
                )*
                Ok(())
            }
        }

        impl $crate::json::JsonFields for $name {
            fn put(&self, map: &mut serde_json::Map<String, serde_json::Value>) {
                $(map.insert(
                    $crate::json::key($structure, stringify!($field)).into(),
                    $crate::json::Json::to_json(&self.$field),
                );)*
            }
            fn take(fields: &mut $crate::json::Fields<'_>) -> Result<Self, $crate::json::JsonError> {
                Ok(Self {
                    $($field: fields.take($crate::json::key($structure, stringify!($field)))?,)*
                })
            }
        }

        impl $crate::json::Json for $name {
            fn to_json(&self) -> serde_json::Value {
                $crate::json::object(self)
            }
            fn from_json(value: &serde_json::Value) -> Result<Self, $crate::json::JsonError> {
                $crate::json::from_object(value)
            }
        }
    };
}

/// Declares a structure that says its own length, as `wire_struct` does.
///
/// `length at 4 least 40 multiple 8` stands where the 16-bit length stands: it is the
/// fourth byte, counts the whole structure, is at least 40 and a multiple of 8. The
/// last field takes what the length leaves.
macro_rules! wire_element {
    (
        $(#[$doc:meta])*
        $name:ident, $structure:literal {
            $($(#[$before_doc:meta])* $before:ident: $before_ty:ty,)*
            [length at $at:literal least $least:literal multiple $multiple:literal $(pad $length_pad:literal)?]
            $($(#[$field_doc:meta])* $field:ident: $ty:ty $([pad $pad:literal])?,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$before_doc])* pub $before: $before_ty,)*
            $($(#[$field_doc])* pub $field: $ty,)*
        }

        impl $crate::wire::Wire for $name {
            #[inline]
            fn read(r: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                let mut r = r.element($structure, $at, $least, $multiple)?;
                r.enter($structure);
                $(let $before = <$before_ty as $crate::wire::Wire>::read(&mut r)?;)*
                r.skip(2 $(+ $length_pad)?)?;
                $(
                    let $field = <$ty as $crate::wire::Wire>::read(&mut r)?;
                    $(r.skip($pad)?;)?
                )*
                r.finish()?;
                Ok(Self { $($before,)* $($field),* })
            }
            #[inline]
            fn write(&self, w: &mut $crate::wire::Writer<'_>) -> Result<(), $crate::EncodeError> {
                let start = w.position();
                $($crate::wire::Wire::write(&self.$before, w)?;)*
                w.u16(0);
                $(w.pad($length_pad);)?
                $(
                    $crate::wire::Wire::write(&self.$field, w)?;
                    $(w.pad($pad);)?
                )*
                w.set_length($structure, start.saturating_add($at), start)
            }
        }

        impl $crate::json::JsonFields for $name {
            fn put(&self, map: &mut serde_json::Map<String, serde_json::Value>) {
                $(map.insert(
                    $crate::json::key($structure, stringify!($before)).into(),
                    $crate::json::Json::to_json(&self.$before),
                );)*
                $(map.insert(
                    $crate::json::key($structure, stringify!($field)).into(),
                    $crate::json::Json::to_json(&self.$field),
                );)*
            }
            fn take(fields: &mut $crate::json::Fields<'_>) -> Result<Self, $crate::json::JsonError> {
                Ok(Self {
                    $($before: fields.take($crate::json::key($structure, stringify!($before)))?,)*
                    $($field: fields.take($crate::json::key($structure, stringify!($field)))?,)*
                })
            }
        }

        impl $crate::json::Json for $name {
            fn to_json(&self) -> serde_json::Value {
                $crate::json::object(self)
            }
            fn from_json(value: &serde_json::Value) -> Result<Self, $crate::json::JsonError> {
                $crate::json::from_object(value)
            }
        }
    };
}
