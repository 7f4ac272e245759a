//! JSON in and out, with the one rule for reading: unknown fields are ignored, unknown kinds are told apart.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What reading a payload gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded<T> {
    /// A message we know.
    Message(T),
    /// A well-formed message of a kind we do not know: count it and skip it.
    UnknownKind(String),
    /// Not a message of the contract: goes to the dead-letter topic with this cause.
    Malformed(String),
}

/// The payload of a message.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    serde_json::to_vec(message).expect("messages of the contract have string keys and finite numbers only")
}

/// Read a payload.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Decoded<T> {
    // Looked at once as a whole, not text by text; what is no text has its place told by the reader of bytes.
    let read = match std::str::from_utf8(payload) {
        Ok(text) => serde_json::from_str::<T>(text),
        Err(_) => serde_json::from_slice::<T>(payload),
    };
    match read {
        Ok(message) => Decoded::Message(message),
        Err(error) => {
            // serde names an unknown variant only in its text; the kind itself is read again, which happens
            // only on this path. Another word that is not known, inside of a kind that is, is no unknown kind.
            let cause = error.to_string();
            let kind = serde_json::from_slice::<KindOnly>(payload).ok().and_then(|k| k.kind());
            match kind {
                Some(kind) if cause.starts_with(&format!("unknown variant `{kind}`")) => Decoded::UnknownKind(kind),
                _ => Decoded::Malformed(cause),
            }
        }
    }
}

#[derive(serde::Deserialize)]
struct KindOnly {
    kind: Option<String>,
    event: Option<Inner>,
}

#[derive(serde::Deserialize)]
struct Inner {
    kind: Option<String>,
}

impl KindOnly {
    fn kind(self) -> Option<String> {
        self.kind.or(self.event.and_then(|e| e.kind))
    }
}
