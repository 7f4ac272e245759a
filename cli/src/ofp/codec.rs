//! One frame, one line: between bytes, hexadecimal, JSON and text.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use ofproto::{DecodeError, Message};
use serde::Serialize;
use serde_json::Value;

/// A frame that cannot be read, as it is printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Malformed {
    /// What is wrong.
    pub error: String,
    /// The structure of the specification in which it is; `hex` and `tcp` are what carries the frame.
    pub structure: Cow<'static, str>,
    /// Where it begins, in bytes from the start of the frame.
    pub offset: usize,
}

impl From<DecodeError> for Malformed {
    fn from(error: DecodeError) -> Self {
        Malformed {
            error: error.cause.to_string(),
            structure: error.structure.into(),
            offset: error.offset,
        }
    }
}

/// How a message is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An object.
    Json,
    /// An object, and in it the message encoded again.
    JsonAndBytes,
    /// The codec's own line, for people.
    Text,
}

/// The line for a frame, and whether it is a good one.
pub fn decode(found: Result<Bytes, Malformed>, form: Form) -> (String, bool) {
    let line = |frame: Bytes| match form {
        Form::Json | Form::JsonAndBytes => Ok(object(&frame, form == Form::JsonAndBytes)?.to_string()),
        Form::Text => Ok(Message::decode(&frame)?.to_string()),
    };
    match found.and_then(line) {
        Ok(line) => (line, true),
        Err(malformed) => {
            let text = serde_json::to_string(&malformed).expect("two texts and a number are always JSON");
            (text, false)
        }
    }
}

fn object(frame: &Bytes, reencode: bool) -> Result<Value, Malformed> {
    let message = Message::decode(frame)?;
    let mut object = ofproto::json::to_json(&message);
    if reencode {
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes).map_err(|e| Malformed {
            error: format!("decoded, but cannot be encoded: {e}"),
            structure: e.structure.into(),
            offset: 0,
        })?;
        if let Value::Object(fields) = &mut object {
            fields.insert("bytes".to_owned(), Value::String(hex(&bytes)));
        }
    }
    Ok(object)
}

/// The hexadecimal line for a JSON object.
///
/// # Errors
/// A sentence that says what is wrong and where.
pub fn encode(text: &[u8]) -> Result<String, String> {
    let value: Value = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    let message = ofproto::json::from_json(&value).map_err(|e| e.to_string())?;
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes).map_err(|e| e.to_string())?;
    Ok(hex(&bytes))
}

/// The bytes of a line of hexadecimal. Blanks between digits are passed over.
///
/// # Errors
/// What is no digit, and half a byte at the end, with the byte it is in.
pub fn unhex(text: &[u8]) -> Result<Bytes, Malformed> {
    let wrong = |error: String, offset: usize| Malformed {
        error,
        structure: "hex".into(),
        offset,
    };
    let mut bytes = BytesMut::with_capacity(text.len() / 2);
    let mut half: Option<u8> = None;
    for &character in text.iter().filter(|c| !c.is_ascii_whitespace()) {
        let digit = match character {
            b'0'..=b'9' => character - b'0',
            b'a'..=b'f' => character - b'a' + 10,
            b'A'..=b'F' => character - b'A' + 10,
            other => {
                let shown = char::from(other).escape_default();
                return Err(wrong(format!("'{shown}' is no hexadecimal digit"), bytes.len()));
            }
        };
        half = match half {
            None => Some(digit),
            Some(high) => {
                bytes.extend_from_slice(&[high << 4 | digit]);
                None
            }
        };
    }
    match half {
        None => Ok(bytes.freeze()),
        Some(_) => Err(wrong("half a byte at the end".to_owned(), bytes.len())),
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_with_blanks_and_told_where_it_is_wrong() {
        assert_eq!(unhex(b" 04 0a\tFf ").map(|b| hex(&b)), Ok("040aff".to_owned()));
        for (text, offset, cause) in [
            (&b"04 0x"[..], 1, "'x'"),
            (b"040", 1, "half"),
            (b"04\xff", 1, "\\u{ff}"),
        ] {
            let error = unhex(text).expect_err("no hexadecimal");
            assert_eq!((error.offset, error.structure.as_ref()), (offset, "hex"));
            assert!(error.error.contains(cause), "{error:?}");
        }
    }
}
