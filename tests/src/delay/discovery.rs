//! Finds discovery packets among the frames of a link, by their UDP port and nothing else.

/// UDP destination of a discovery packet on its way out, and of one that was turned back.
pub const PORTS: [u16; 2] = [61_231, 61_232];

/// More of a payload is not kept: discovery packets are far shorter.
pub const PAYLOAD_MAX: usize = 512;

/// The port and the payload if `frame` is a discovery packet, with up to two VLAN tags.
pub fn find(frame: &[u8]) -> Option<(u16, &[u8])> {
    let u16_at = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
    let mut at = 12;
    while at < 20 && matches!(u16_at(at)?, 0x8100 | 0x88a8) {
        at += 4;
    }
    let ip = at + 2;
    // IPv4 and UDP only.
    if u16_at(at)? != 0x0800 || *frame.get(ip + 9)? != 17 {
        return None;
    }
    let udp = ip + usize::from(*frame.get(ip)? & 0x0f) * 4;
    let port = u16_at(udp + 2)?;
    let length = usize::from(u16_at(udp + 4)?).checked_sub(8)?;
    let payload = frame.get(udp + 8..)?;
    let payload = &payload[..payload.len().min(length).min(PAYLOAD_MAX)];
    PORTS.contains(&port).then_some((port, payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(tags: &[u16], port: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        for tag in tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 7]);
        }
        frame.extend([8, 0, 0x45]);
        frame.extend([0; 8]);
        frame.push(17);
        frame.extend([0; 10]);
        frame.extend([0, 9]);
        frame.extend(port.to_be_bytes());
        frame.extend((payload.len() as u16 + 8).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(payload);
        frame
    }

    #[test]
    fn discovery_packets_are_found_below_any_number_of_tags() {
        for tags in [&[][..], &[0x8100], &[0x88a8, 0x8100]] {
            assert_eq!(
                find(&frame(tags, 61_232, b"nonce")),
                Some((61_232, &b"nonce"[..])),
                "{tags:?}"
            );
        }
    }

    #[test]
    fn padding_behind_the_packet_is_not_payload() {
        let mut padded = frame(&[], 61_231, b"nonce");
        padded.extend([0; 20]);
        assert_eq!(find(&padded), Some((61_231, &b"nonce"[..])));
    }

    #[test]
    fn other_packets_are_not() {
        assert_eq!(find(&frame(&[], 61_233, b"x")), None);
        assert_eq!(find(&frame(&[0x8100; 3], 61_231, b"x")), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fall(bytes in proptest::collection::vec(any::<u8>(), 0..80), cut in 0usize..51) {
            find(&bytes);
            find(&frame(&[0x8100], 61_231, b"nonce")[..cut]);
        }
    }
}
