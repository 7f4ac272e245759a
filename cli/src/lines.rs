//! Lines of a length that is bounded.

use std::io::{self, BufRead, Read};

/// Reads the next line without its end, `None` at the end of the input.
///
/// # Errors
/// What reading gives, and a line longer than `max` bytes.
pub fn next(reader: &mut impl BufRead, max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = reader.take(max + 1).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    } else if line.len() as u64 > max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a line is longer than {max} bytes"),
        ));
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_come_without_their_ends_and_not_longer_than_allowed() {
        let mut text = &b"a\r\n\nbcd\nefgh"[..];
        let mut next = || super::next(&mut text, 3);
        assert_eq!(next().expect("a line"), Some(b"a".to_vec()));
        assert_eq!(next().expect("a line"), Some(b"".to_vec()));
        assert_eq!(next().expect("a line"), Some(b"bcd".to_vec()));
        assert!(next().is_err());
        assert_eq!(super::next(&mut &b"x"[..], 3).expect("a line"), Some(b"x".to_vec()));
        assert_eq!(super::next(&mut &b""[..], 3).expect("the end"), None);
    }
}
