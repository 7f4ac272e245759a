//! The network key: 32 bytes that sign discovery packets, the same in the whole network.
//!
//! There is no default: a key that everybody knows signs nothing.

use std::path::Path;

/// Longest file that is read for a key. The digits and a line's end.
const FILE_MAX: u64 = 256;

/// Read a key: 64 hex digits, blanks around them ignored.
///
/// # Errors
/// Why it is not one, without showing it.
pub fn parse(text: &str) -> Result<[u8; 32], String> {
    let text = text.trim();
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!(
            "64 hex digits are expected (32 bytes), {} characters were given",
            text.chars().count()
        ));
    }
    let mut key = [0; 32];
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|e| e.to_string())?;
    }
    if key.iter().all(|b| *b == key[0]) {
        return Err("all bytes are the same: a placeholder, not a key".to_owned());
    }
    Ok(key)
}

/// Read a key from a file.
///
/// # Errors
/// Why there is none in it, without showing what is in it.
pub fn read(path: &Path) -> Result<[u8; 32], String> {
    let at = |cause: String| format!("{}: {cause}", path.display());
    let length = std::fs::metadata(path).map_err(|e| at(e.to_string()))?.len();
    if length > FILE_MAX {
        return Err(at(format!("{length} bytes are too many for a key")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| at(e.to_string()))?;
    parse(&text).map_err(at)
}

/// Whether everybody on this host can read the file.
pub fn is_open(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_64_hex_digits_that_are_not_all_the_same() {
        let text = "00ff".repeat(16);
        assert_eq!(parse(&format!(" {text}\n")).expect("a key")[..2], [0, 255]);
        for bad in ["", "00ff", &"zz".repeat(32), &"00".repeat(32), &"é".repeat(32)] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(
            read(Path::new("no/such/key"))
                .expect_err("none")
                .starts_with("no/such/key: ")
        );
    }
}
