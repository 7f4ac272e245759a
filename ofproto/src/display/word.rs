//! The words for code points: the names of their tables without the table's prefix, and
//! `ovs-ofctl`'s own word where it has another.

use core::fmt::{self, Display, Formatter, Write as _};

/// A number that may have a name (`code_point!` implements it).
pub(crate) trait Named: Copy {
    /// Its name without the prefix of its table.
    fn short(self) -> Option<&'static str>;
    /// The number.
    fn number(self) -> u64;
}

/// A word of flags (`flag_word!` implements it).
pub(crate) trait Flagged: Copy {
    /// The names of the bits that are set, without the prefix of their table.
    fn shorts(self) -> impl Iterator<Item = &'static str>;
    /// The bits that are set and have no name.
    fn nameless(self) -> u64;
}

/// Commands and reasons of a port: what the table says, and what `ovs-ofctl` says.
const COMMANDS: &[(&str, &str)] = &[
    ("MODIFY", "MOD"),
    ("MODIFY_STRICT", "MOD_STRICT"),
    ("DELETE", "DEL"),
    ("DELETE_STRICT", "DEL_STRICT"),
];

/// Lower-case words that differ in more than their case.
const WORDS: &[(&str, &str)] = &[
    ("NO_PKT_COUNTS", "no_packet_counts"),
    ("NO_BYT_COUNTS", "no_byte_counts"),
    ("IDLE_TIMEOUT", "idle"),
    ("HARD_TIMEOUT", "hard"),
];

fn other(words: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    words.iter().find(|(from, _)| *from == name).map(|(_, to)| *to)
}

/// As the table has it: `LOCAL`.
pub(crate) struct Upper<T>(pub(crate) T);

impl<T: Named> Display for Upper<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.short() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0.number()),
        }
    }
}

/// In small letters: `no_match`.
pub(crate) struct Lower<T>(pub(crate) T);

impl<T: Named> Display for Lower<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.short() {
            Some(name) => lower(f, name),
            None => write!(f, "{}", self.0.number()),
        }
    }
}

/// A command or what happened to a port: `MOD_STRICT`.
pub(crate) struct Command<T>(pub(crate) T);

impl<T: Named> Display for Command<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.short() {
            Some(name) => f.write_str(other(COMMANDS, name).unwrap_or(name)),
            None => write!(f, "{}", self.0.number()),
        }
    }
}

/// A name of a table in small letters.
pub(crate) fn lower(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    if let Some(word) = other(WORDS, name) {
        return f.write_str(word);
    }
    name.chars().try_for_each(|c| f.write_char(c.to_ascii_lowercase()))
}

/// A name of a table as it is.
pub(crate) fn upper(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    f.write_str(name)
}

/// A name of a table with dashes: `10GB-FD`.
pub(crate) fn dashed(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    name.chars()
        .try_for_each(|c| f.write_char(if c == '_' { '-' } else { c }))
}

/// The flags that are set, with `between` in between, the nameless ones as one number
/// behind them; `none` when no bit is set.
pub(crate) struct Flags<T> {
    pub(crate) flags: T,
    pub(crate) between: &'static str,
    pub(crate) none: &'static str,
    pub(crate) style: fn(&mut Formatter<'_>, &str) -> fmt::Result,
}

/// Flags in small letters with spaces between them.
pub(crate) fn lower_flags<T: Flagged>(flags: T, none: &'static str) -> Flags<T> {
    Flags {
        flags,
        between: " ",
        none,
        style: lower,
    }
}

/// Flags as the table has them, with spaces between them.
pub(crate) fn upper_flags<T: Flagged>(flags: T, none: &'static str) -> Flags<T> {
    Flags {
        flags,
        between: " ",
        none,
        style: upper,
    }
}

impl<T: Flagged> Display for Flags<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for name in self.flags.shorts() {
            f.write_str(between)?;
            (self.style)(f, name)?;
            between = self.between;
        }
        match self.flags.nameless() {
            0 if between.is_empty() => f.write_str(self.none),
            0 => Ok(()),
            bits => write!(f, "{between}{bits:#x}"),
        }
    }
}
