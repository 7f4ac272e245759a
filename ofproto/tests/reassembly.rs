//! Multipart replies that come in parts, and switches that never finish one.

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use ofproto::*;

/// A part of a reply about tables.
fn part(ports: &[u32], more: bool) -> MultipartReply {
    let stats = |port_no: &u32| TableStats {
        table_id: TableId(*port_no as u8),
        active_count: 0,
        lookup_count: 0,
        matched_count: 0,
    };
    let body = MultipartReplyBody::Table(ports.iter().map(stats).collect());
    let flags = if more {
        MultipartReplyFlags::MORE
    } else {
        MultipartReplyFlags::NONE
    };
    MultipartReply { flags, body }
}

#[test]
fn parts_are_joined_by_transaction_in_their_order() {
    let mut replies = Reassembly::new(ReassemblyLimits::default());
    assert_eq!(replies.accept(1, part(&[1], true), 40), Ok(None));
    assert_eq!(replies.accept(2, part(&[7], true), 40), Ok(None));
    assert_eq!(
        replies.accept(3, part(&[9], false), 40),
        Ok(Some(part(&[9], false).body)),
        "one part alone"
    );
    assert_eq!(replies.accept(1, part(&[2, 3], true), 64), Ok(None));
    assert_eq!((replies.replies(), replies.bytes()), (2, 144));
    assert_eq!(
        replies.accept(1, part(&[4], false), 40),
        Ok(Some(part(&[1, 2, 3, 4], false).body))
    );
    assert_eq!((replies.replies(), replies.bytes()), (1, 40));
    replies.forget(2);
    assert_eq!((replies.replies(), replies.bytes()), (0, 0));
}

const LIMITS: ReassemblyLimits = ReassemblyLimits {
    replies_max: 2,
    parts_max: 3,
    bytes_max: 1_000,
};

/// What is refused now, and that the rest of the reply is refused too, and only that.
#[track_caller]
fn refused(replies: &mut Reassembly, xid: u32, reply: MultipartReply, frame_len: usize, why: ReassemblyError) {
    assert_eq!(replies.accept(xid, reply, frame_len), Err(why));
    for more in [true, true, false] {
        let rest = replies.accept(xid, part(&[1], more), 40);
        assert_eq!(rest, Err(ReassemblyError::GivenUp), "more: {more}");
    }
    let next = part(&[7], false);
    assert_eq!(
        replies.accept(xid, next.clone(), 40),
        Ok(Some(next.body)),
        "another reply"
    );
}

#[test]
fn a_reply_with_too_many_bytes_is_refused_to_its_end() {
    let mut replies = Reassembly::new(LIMITS);
    assert_eq!(replies.accept(1, part(&[1], true), 600), Ok(None));
    refused(&mut replies, 2, part(&[1], true), 401, ReassemblyError::Bytes);
    assert_eq!(replies.bytes(), 600, "the other one is not touched");
    refused(&mut replies, 1, part(&[1], true), 401, ReassemblyError::Bytes);
    assert_eq!((replies.replies(), replies.bytes()), (0, 0));
}

#[test]
fn a_reply_that_never_ends_is_refused_even_when_its_parts_are_empty() {
    let mut replies = Reassembly::new(LIMITS);
    for _ in 0..LIMITS.parts_max {
        assert_eq!(replies.accept(1, part(&[], true), 16), Ok(None));
    }
    refused(&mut replies, 1, part(&[], true), 16, ReassemblyError::Parts);
    assert_eq!((replies.replies(), replies.bytes()), (0, 0));
}

#[test]
fn a_last_part_that_is_refused_leaves_nothing_to_refuse() {
    let mut replies = Reassembly::new(LIMITS);
    assert_eq!(replies.accept(1, part(&[1], true), 600), Ok(None));
    assert_eq!(replies.accept(1, part(&[1], false), 401), Err(ReassemblyError::Bytes));
    assert_eq!(replies.accept(1, part(&[2], true), 40), Ok(None), "a new reply begins");
    assert_eq!(
        replies.accept(1, part(&[3], false), 40),
        Ok(Some(part(&[2, 3], false).body))
    );
}

#[test]
fn a_reply_more_than_may_be_under_way_is_refused_even_when_there_is_room_again() {
    let mut replies = Reassembly::new(LIMITS);
    assert_eq!(replies.accept(1, part(&[], true), 16), Ok(None));
    assert_eq!(replies.accept(2, part(&[], true), 16), Ok(None));
    assert_eq!(replies.accept(3, part(&[], true), 16), Err(ReassemblyError::Replies));
    assert_eq!(replies.replies(), 2);
    assert_eq!(replies.accept(1, part(&[], false), 16), Ok(Some(part(&[], false).body)));
    for more in [true, false] {
        assert_eq!(
            replies.accept(3, part(&[9], more), 40),
            Err(ReassemblyError::GivenUp),
            "its tail is not a whole reply"
        );
    }
}

#[test]
fn parts_that_do_not_fit_together_are_refused() {
    let mut replies = Reassembly::new(LIMITS);
    let more = |body| MultipartReply {
        flags: MultipartReplyFlags::MORE,
        body,
    };
    assert_eq!(replies.accept(1, part(&[], true), 16), Ok(None));
    let other = more(MultipartReplyBody::Flow(Vec::new()));
    refused(&mut replies, 1, other, 16, ReassemblyError::Type);
    let sums = || {
        more(MultipartReplyBody::Aggregate(AggregateStats {
            packet_count: 0,
            byte_count: 0,
            flow_count: 0,
        }))
    };
    assert_eq!(replies.accept(4, sums(), 40), Ok(None));
    refused(&mut replies, 4, sums(), 40, ReassemblyError::NotAList);
    assert_eq!((replies.replies(), replies.bytes()), (0, 0));
}

#[test]
fn the_rest_of_a_forgotten_reply_is_refused() {
    let mut replies = Reassembly::new(LIMITS);
    assert_eq!(replies.accept(1, part(&[1], true), 40), Ok(None));
    replies.forget(1);
    replies.forget(2);
    assert_eq!(replies.accept(1, part(&[2], true), 40), Err(ReassemblyError::GivenUp));
    assert_eq!(replies.accept(1, part(&[3], false), 40), Err(ReassemblyError::GivenUp));
    assert_eq!(
        replies.accept(1, part(&[4], false), 40),
        Ok(Some(part(&[4], false).body))
    );
    assert_eq!(replies.accept(2, part(&[5], true), 40), Ok(None), "was not under way");
}

#[test]
fn a_switch_that_ends_no_reply_is_lost_and_keeps_nothing() {
    let mut replies = Reassembly::new(LIMITS);
    let mut xid = 0;
    let used = measure(|| {
        while replies.accept(xid, part(&[], true), 16) != Err(ReassemblyError::Lost) {
            xid += 1;
            assert!(xid < 10_000);
        }
    });
    assert!(used.bytes_max < 64 << 10, "{used:?}");
    assert_eq!((replies.replies(), replies.bytes()), (0, 0));
    for more in [false, true] {
        assert_eq!(replies.accept(99_999, part(&[], more), 16), Err(ReassemblyError::Lost));
    }
}

/// What a body in memory may take for each byte it had on the wire. The worst is the id of
/// an action in table features: 4 bytes there, 40 here, and a list that grows has up to
/// twice the room it needs and, while it grows, the old room as well.
const MEMORY_PER_BYTE: u64 = 32;

#[test]
fn a_part_does_not_keep_the_buffer_it_was_read_into() {
    let mut rule = FlowStats {
        table_id: TableId(0),
        duration_sec: 0,
        duration_nsec: 0,
        priority: 1,
        idle_timeout: 0,
        hard_timeout: 0,
        flags: FlowModFlags::NONE,
        cookie: 0,
        packet_count: 0,
        byte_count: 0,
        matching: Match::new().with(Oxm::in_port(PortNo(1))),
        instructions: vec![Instruction::Experimenter {
            experimenter: ExperimenterId(1),
            body: Bytes::from_static(&[7; 8]),
        }],
    };
    let reply = |rule: &FlowStats| MultipartReply {
        flags: MultipartReplyFlags::MORE,
        body: MultipartReplyBody::Flow(vec![rule.clone()]),
    };
    // One rule and 60,000 bytes of something else in each read.
    let frame = Message::new(1, Body::MultipartReply(reply(&rule)))
        .to_bytes()
        .expect("a rule");
    let junk = Message::new(2, Body::EchoRequest(vec![0; 60_000].into()))
        .to_bytes()
        .expect("an echo");
    let mut replies = Reassembly::new(ReassemblyLimits::default());
    let used = measure(|| {
        for priority in 0..200 {
            let mut read = BytesMut::with_capacity(1 << 16);
            rule.priority = priority;
            let part = Message::new(1, Body::MultipartReply(reply(&rule)));
            part.encode(&mut read).expect("a rule");
            read.extend_from_slice(&junk);
            let mut framer = Framer::new();
            *framer.buffer_mut() = read;
            let part = framer.next_frame().expect("a true length").expect("whole");
            let Ok(Message {
                body: Body::MultipartReply(part),
                ..
            }) = Message::decode(&part)
            else {
                panic!("a reply");
            };
            assert_eq!(replies.accept(1, part, frame.len()), Ok(None));
        }
    });
    let kept = u64::try_from(used.bytes_current).expect("something is kept");
    let wire = 200 * frame.len() as u64;
    assert!(kept < wire * MEMORY_PER_BYTE, "{kept} bytes kept of {wire}: {used:?}");
    let last = replies.accept(1, part(&[], false), 16);
    assert_eq!(last, Err(ReassemblyError::Type));
}
