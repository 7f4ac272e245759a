//! One message: the bytes are a frame, as they are and with a header that says their
//! length (so that not every input is refused for that).

use super::laws::{FRAME_MAX, json_law, judge, use_law};
use bytes::Bytes;

/// Where the length stands in the header.
const LENGTH: core::ops::Range<usize> = 2..4;

/// Checks the laws for these bytes.
pub fn check(data: &[u8]) {
    let data = data.get(..FRAME_MAX).unwrap_or(data);
    let mut whole = data.to_vec();
    if let (Some(place), Ok(length)) = (whole.get_mut(LENGTH), u16::try_from(data.len())) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    if whole != data {
        all(&Bytes::copy_from_slice(data));
    }
    all(&whole.into());
}

fn all(frame: &Bytes) {
    if let Ok(message) = judge(frame) {
        json_law(&message);
        use_law(&message);
    }
}
