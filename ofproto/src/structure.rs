//! Structures of the specification as tables: what is read, written and printed of a
//! structure follows from the list of its fields.

/// Declares the JSON of a structure: an object with its fields.
#[cfg(feature = "json")]
macro_rules! json_of_structure {
    ($name:ident, $structure:literal { $($field:ident)* }) => {
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

/// Without the feature `json` there is none.
#[cfg(not(feature = "json"))]
macro_rules! json_of_structure {
    ($name:ident, $structure:literal { $($field:ident)* }) => {};
}

/// Declares a structure of the specification, field by field in wire order.
///
/// `[pad 4]` behind a field says how many bytes of padding follow it; they are
/// skipped when reading and zero when writing. Reading, writing and JSON follow from
/// the table.
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

        impl $name {
            #[inline(always)]
            fn read_fields<T>(
                r: &mut $crate::wire::Reader<'_>,
                check: impl FnOnce(&$crate::wire::Reader<'_>) -> Result<(), $crate::DecodeError>,
                put: impl FnOnce(Self) -> T,
            ) -> Result<T, $crate::DecodeError> {
                let outer = r.enter($structure);
                $(
                    let $field = <$ty as $crate::wire::Wire>::read(r)?;
                    $(r.skip($pad)?;)?
                )*
                r.leave(outer);
                check(r)?;
                Ok(put(Self { $($field),* }))
            }

            /// The same where there are too few bytes: finds out which are missing.
            #[cold]
            fn read_too_few(r: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                Self::read_fields(r, |_| Ok(()), |value| value)
            }

            #[inline(always)]
            fn write_fields(&self, w: &mut $crate::wire::Writer<'_>) -> Result<(), $crate::EncodeError> {
                $(
                    $crate::wire::Wire::write(&self.$field, w)?;
                    $(w.pad($pad);)?
                )*
                Ok(())
            }

            /// The same where there is too little room.
            #[cold]
            fn write_beyond(&self, w: &mut $crate::wire::Writer<'_>) -> Result<(), $crate::EncodeError> {
                self.write_fields(w)
            }
        }

        impl $crate::wire::Wire for $name {
            const LEAST: usize = 0 $(+ <$ty as $crate::wire::Wire>::LEAST $(+ $pad)?)*;

            #[inline]
            fn read(r: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                Self::read_and(r, |_| Ok(()), |value| value)
            }

            #[inline(always)]
            fn read_and<T>(
                r: &mut $crate::wire::Reader<'_>,
                check: impl FnOnce(&$crate::wire::Reader<'_>) -> Result<(), $crate::DecodeError>,
                put: impl FnOnce(Self) -> T,
            ) -> Result<T, $crate::DecodeError> {
                if r.left() < <Self as $crate::wire::Wire>::LEAST {
                    let value = Self::read_too_few(r)?;
                    check(r)?;
                    return Ok(put(value));
                }
                Self::read_fields(r, check, put)
            }
            #[inline]
            fn write(&self, w: &mut $crate::wire::Writer<'_>) -> Result<(), $crate::EncodeError> {
                if w.left() < <Self as $crate::wire::Wire>::LEAST {
                    return self.write_beyond(w);
                }
                self.write_fields(w)
            }
        }

        json_of_structure! { $name, $structure { $($field)* } }
    };
}

/// Declares a structure that says its own length, as `wire_struct` does.
///
/// `length at 4 least 40 multiple 8` stands where the 16-bit length stands: four bytes
/// from the start. It counts the whole structure, is at least 40 and a multiple of 8.
/// The last field takes what the length leaves.
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

        impl $name {
            #[inline(always)]
            fn write_fields(&self, w: &mut $crate::wire::Writer<'_>) -> Result<(), $crate::EncodeError> {
                let start = w.position();
                $($crate::wire::Wire::write(&self.$before, w)?;)*
                let length = w.length_since(start);
                $(w.pad($length_pad);)?
                $(
                    $crate::wire::Wire::write(&self.$field, w)?;
                    $(w.pad($pad);)?
                )*
                w.set_length($structure, length)
            }

            /// The same where there is too little room.
            #[cold]
            fn write_beyond(&self, w: &mut $crate::wire::Writer<'_>) -> Result<(), $crate::EncodeError> {
                self.write_fields(w)
            }
        }

        impl $crate::wire::Wire for $name {
            const LEAST: usize = $least;

            #[inline]
            fn read(r: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                Self::read_and(r, |_| Ok(()), |value| value)
            }

            #[inline(always)]
            fn read_and<T>(
                outer: &mut $crate::wire::Reader<'_>,
                check: impl FnOnce(&$crate::wire::Reader<'_>) -> Result<(), $crate::DecodeError>,
                put: impl FnOnce(Self) -> T,
            ) -> Result<T, $crate::DecodeError> {
                let mut r = outer.element($structure, $at, $least, $multiple)?;
                $(let $before = <$before_ty as $crate::wire::Wire>::read(&mut r)?;)*
                r.skip(2 $(+ $length_pad)?)?;
                $(
                    let $field = <$ty as $crate::wire::Wire>::read(&mut r)?;
                    $(r.skip($pad)?;)?
                )*
                r.finish()?;
                check(outer)?;
                Ok(put(Self { $($before,)* $($field),* }))
            }
            #[inline]
            fn write(&self, w: &mut $crate::wire::Writer<'_>) -> Result<(), $crate::EncodeError> {
                if w.left() < $least {
                    return self.write_beyond(w);
                }
                self.write_fields(w)
            }
            #[inline]
            fn count(bytes: &[u8]) -> usize {
                $crate::wire::guess_elements(bytes, $at, $least)
            }
        }

        json_of_structure! { $name, $structure { $($before)* $($field)* } }
    };
}
