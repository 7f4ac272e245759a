//! What keeps a line one line and short: lists, texts and bytes with limits.

use core::fmt::{self, Display, Formatter, Write};

/// Characters (in bytes of UTF-8) of a message's line. A message has at most 64 KiB and its
/// text several times that; a log line of this length is already more than anybody reads.
/// What is beyond it is left out, and the line says so.
pub const LINE_MAX: usize = 16 * 1_024;

/// Entries of a reply (rules, ports, groups, ..) that are printed: the first ones show what
/// it is about, and how many more there are stands behind them.
pub(crate) const ENTRIES_MAX: usize = 8;

/// Parts of one thing (fields of a match, actions, buckets, bands, properties, ..) that are
/// printed. Every field of the specification fits a match, and rules have fewer actions.
pub(crate) const PARTS_MAX: usize = 64;

/// Bytes that are printed of a text or of data whose length only the frame limits.
pub(crate) const BYTES_MAX: usize = 64;

/// Bytes that are printed of something that was kept as it came.
const KEPT_MAX: usize = 16;

/// Writes at most `most` of `all`, with `between` in between, and how many were left out.
pub(crate) fn list<T>(
    f: &mut Formatter<'_>,
    all: impl IntoIterator<Item = T>,
    most: usize,
    between: &str,
    mut each: impl FnMut(&mut Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    let mut all = all.into_iter();
    for (at, one) in all.by_ref().take(most).enumerate() {
        if at != 0 {
            f.write_str(between)?;
        }
        each(f, one)?;
    }
    match all.count() {
        0 => Ok(()),
        left => write!(f, "{between}... and {left} more"),
    }
}

/// The entries of a reply, one behind the other.
pub(crate) fn entries<T: Display>(f: &mut Formatter<'_>, all: &[T]) -> fmt::Result {
    list(f, all, ENTRIES_MAX, "; ", |f, one| one.fmt(f))
}

/// Passes on what fits the line and leaves out the rest.
pub(crate) struct Cut<'a, 'f> {
    out: &'a mut Formatter<'f>,
    room: usize,
    cut: bool,
}

/// What stands at the end of a line that was cut.
const ENDING: &str = " ... (cut)";

/// What fits before it.
const ROOM: usize = LINE_MAX.saturating_sub(ENDING.len());

impl<'a, 'f> Cut<'a, 'f> {
    pub(crate) fn new(out: &'a mut Formatter<'f>) -> Self {
        Self {
            out,
            room: ROOM,
            cut: false,
        }
    }

    /// Says so if something was left out.
    pub(crate) fn finish(self) -> fmt::Result {
        if self.cut { self.out.write_str(ENDING) } else { Ok(()) }
    }
}

impl Write for Cut<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.cut {
            return Ok(());
        }
        if let Some(room) = self.room.checked_sub(text.len()) {
            self.room = room;
            return self.out.write_str(text);
        }
        self.cut = true;
        let end = (0..=self.room).rev().find(|end| text.is_char_boundary(*end));
        self.out.write_str(text.get(..end.unwrap_or(0)).unwrap_or(""))
    }
}

/// Bytes of a text, in quotes: what is not printable or not UTF-8 is escaped, so that a
/// name cannot end the line or move a terminal's cursor.
pub(crate) struct Quoted<'b>(pub(crate) &'b [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for chunk in self.0.utf8_chunks() {
            // A quote inside is escaped, an apostrophe needs none.
            for c in chunk.valid().chars() {
                match c {
                    '\'' => f.write_str("'")?,
                    other => write!(f, "{}", other.escape_debug())?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_str("\"")
    }
}

/// A name as `ovs-ofctl` prints it: bare when it is a plain word, else in quotes.
pub(crate) struct Name<'b>(pub(crate) &'b [u8]);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        match core::str::from_utf8(self.0) {
            Ok(text) if self.0.iter().all(plain) => f.write_str(text),
            _ => Quoted(self.0).fmt(f),
        }
    }
}

/// The beginning of a text of any length.
pub(crate) struct Beginning<'b>(pub(crate) &'b [u8]);

impl Display for Beginning<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.split_at_checked(BYTES_MAX) {
            Some((shown, rest)) if !rest.is_empty() => write!(f, "{}... and {} more", Quoted(shown), rest.len()),
            _ => Quoted(self.0).fmt(f),
        }
    }
}

/// Bytes as hexadecimal digits, all of them.
pub(crate) struct Hex<'b>(pub(crate) &'b [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Bytes that mean nothing to us: how many, and the first of them.
pub(crate) struct Kept<'b>(pub(crate) &'b [u8]);

impl Display for Kept<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.split_at_checked(KEPT_MAX) {
            _ if self.0.is_empty() => f.write_str("0 bytes"),
            Some((shown, rest)) if !rest.is_empty() => write!(f, "{} bytes {}..", self.0.len(), Hex(shown)),
            _ => write!(f, "{} bytes {}", self.0.len(), Hex(self.0)),
        }
    }
}

/// A counter; all ones is one that the switch does not have.
pub(crate) struct Count(pub(crate) u64);

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            u64::MAX => f.write_str("?"),
            count => write!(f, "{count}"),
        }
    }
}

/// Nanoseconds of a second.
const NSEC: u32 = 1_000_000_000;

/// Nanoseconds of a millisecond.
const NSEC_OF_MSEC: u32 = 1_000_000;

/// A time: `61s`, `61.500s`, `61.000000005s`.
pub(crate) struct Duration {
    pub(crate) sec: u32,
    pub(crate) nsec: u32,
}

impl Display for Duration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { sec, nsec } = self;
        match *nsec {
            0 => write!(f, "{sec}s"),
            nsec if nsec >= NSEC => write!(f, "{sec}s+{nsec}ns"),
            nsec if nsec % NSEC_OF_MSEC == 0 => write!(f, "{sec}.{:03}s", nsec / NSEC_OF_MSEC),
            nsec => {
                // As many of nine digits as it takes.
                let digits = format!("{nsec:09}");
                write!(f, "{sec}.{}s", digits.trim_end_matches('0'))
            }
        }
    }
}
