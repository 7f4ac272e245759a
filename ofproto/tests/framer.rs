//! The framer: cut anywhere, bounded in what one kept frame keeps.

use bytes::{BufMut, Bytes, BytesMut};
use ofproto::*;
use proptest::prelude::*;

/// Echoes of these payload lengths, each payload of its own bytes.
fn echoes(lengths: &[usize]) -> Vec<Bytes> {
    let echo = |(number, length): (usize, &usize)| {
        let data = Bytes::from(vec![number as u8; *length]);
        let message = Message::new(number as u32, Body::EchoRequest(data));
        message.to_bytes().expect("a payload that fits")
    };
    lengths.iter().enumerate().map(echo).collect()
}

fn drain(framer: &mut Framer, into: &mut Vec<Bytes>) {
    while let Some(frame) = framer.next_frame().expect("every length is true") {
        into.push(frame);
    }
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_wherever_the_reads_were_cut(
        lengths in proptest::collection::vec(prop_oneof![0..40_usize, 100..3_000_usize, 60_000..65_527_usize], 1..20),
        cuts in proptest::collection::vec(prop_oneof![1..64_usize, 1_000..70_000_usize, 200_000..900_000_usize], 1..40),
        greedy in any::<bool>(),
    ) {
        let frames = echoes(&lengths);
        let stream = frames.concat();
        let (mut framer, mut cut, mut left) = (Framer::new(), Vec::new(), stream.as_slice());
        for size in cuts.iter().cycle() {
            let (read, behind) = left.split_at((*size).min(left.len()));
            framer.push(read);
            left = behind;
            if greedy {
                drain(&mut framer, &mut cut);
            }
            if left.is_empty() {
                break;
            }
        }
        drain(&mut framer, &mut cut);
        prop_assert_eq!(cut, frames);
        prop_assert_eq!(framer.waiting(), 0);
    }
}

#[test]
fn one_kept_frame_of_a_large_read_keeps_a_bounded_buffer() {
    let frames = echoes(&vec![100; 40_000]);
    let stream = frames.concat();
    assert!(stream.len() > 4 << 20);
    for kept in [0, 1, 700, 1_500, 39_999] {
        let mut framer = Framer::new();
        framer.push(&stream);
        let mut cut = Vec::new();
        drain(&mut framer, &mut cut);
        let frame = cut.swap_remove(kept);
        drop((cut, framer));
        assert_eq!(frame, frames[kept]);
        // All that stands behind the frame in the buffer it was cut from.
        let buffer = frame.try_into_mut().expect("nobody else has a frame of it");
        assert!(buffer.capacity() <= 256 << 10, "{} bytes", buffer.capacity());
    }
}

#[test]
fn bytes_read_into_the_buffer_follow_those_that_were_pushed() {
    let frames = echoes(&[60_000, 60_000, 60_000, 5, 60_000]);
    let stream = frames.concat();
    let mut framer = Framer::new();
    let (pushed, read) = stream.split_at(170_000);
    framer.push(pushed);
    framer.buffer_mut().put_slice(read);
    assert_eq!(framer.waiting(), stream.len());
    let mut cut = Vec::new();
    drain(&mut framer, &mut cut);
    assert_eq!(cut, frames);
}

#[test]
fn a_stream_that_lies_stays_lost_also_beyond_the_buffer() {
    let mut stream = echoes(&[60_000, 60_000, 60_000]).concat();
    stream.extend_from_slice(&[4, 2, 0, 7, 0, 0, 0, 1]);
    let mut framer = Framer::new();
    framer.push(&stream);
    for _ in 0..3 {
        assert!(framer.next_frame().expect("true").is_some());
    }
    let error = framer.next_frame().expect_err("seven is too short");
    assert_eq!(framer.next_frame(), Err(error));
}

/// Messages whose length the writer does not know before it has written them.
#[test]
fn a_message_longer_than_expected_is_written_as_if_it_were_expected() {
    for queues in [0, 1, 10, 14, 15, 16, 17, 40, 400, 4_000] {
        let queue = PacketQueue {
            queue_id: QueueId(7),
            port: PortNo(3),
            properties: Vec::new(),
        };
        let reply = QueueGetConfigReply {
            port: PortNo(3),
            queues: vec![queue; queues],
        };
        let message = Message::new(1, Body::QueueGetConfigReply(reply));
        // The room behind what is there is full of what must not show through.
        let mut out = BytesMut::from(&vec![0xa5_u8; 100_000][..]);
        out.truncate(10);
        message.encode(&mut out).expect("at most 64,016 bytes");
        let frame = out.split_off(10).freeze();
        assert_eq!(&out[..], [0xa5; 10]);
        assert_eq!(frame.len(), 16 + 16 * queues);
        assert_eq!(Message::decode(&frame), Ok(message), "{queues} queues");
        assert!(!frame.contains(&0xa5));
    }
}
