//! A match holds few bytes itself and shares many: nobody can tell which it does.

use bytes::Bytes;
use ofproto::*;
use std::collections::HashSet;

/// Fields of one to nineteen bytes, so that a match can have any length from five on.
fn filler(value: usize) -> Oxm {
    let field = OxmField::of_class(OxmClass(0x4242), 7);
    let bytes: Vec<u8> = (1..=value as u8).collect();
    Oxm::new(field, &bytes, None).expect("an unknown field can have any length")
}

/// A match of exactly `len` bytes of fields, each at most 20 long.
fn of_length(len: usize) -> Match {
    let mut matching = Match::new();
    let mut left = len;
    while left > 0 {
        // What would leave one to four bytes, too few for a field, is cut shorter.
        let take = match left {
            21..=24 => 10,
            more => more.min(20),
        };
        matching.push(filler(take - 4));
        left -= take;
    }
    assert_eq!(matching.as_bytes().len(), len);
    matching
}

/// Packets have any number of bytes behind the match, also none.
fn packet_in(matching: &Match, data: usize) -> Bytes {
    let packet = PacketIn {
        buffer_id: NO_BUFFER,
        total_len: 0,
        reason: PacketInReason::ACTION,
        table_id: TableId(0),
        cookie: 0,
        matching: matching.clone(),
        data: Bytes::from(vec![0xa5; data]),
    };
    let message = Message::new(1, Body::PacketIn(packet));
    message.to_bytes().expect("a packet of a hundred bytes")
}

#[test]
fn a_match_of_any_length_is_read_as_it_was_written() {
    for len in 5..=120 {
        let made = of_length(len);
        for data in [0, 1, 46, 47, 48, 60] {
            let frame = packet_in(&made, data);
            let message = Message::decode(&frame).expect("readable");
            assert_eq!(message.to_bytes().expect("writable"), frame, "{len} {data}");
            let Body::PacketIn(packet) = message.body else {
                panic!("a packet_in")
            };
            let read = packet.matching;
            assert_eq!(read, made, "{len} {data}");
            assert_eq!(read.as_bytes(), made.as_bytes(), "{len} {data}");
            assert_eq!(read.iter().collect::<Vec<_>>(), made.iter().collect::<Vec<_>>());
            assert_eq!(read.detached(), made);
            assert_eq!(read.cmp(&made), core::cmp::Ordering::Equal);
            assert!(HashSet::from([made.clone()]).contains(&read), "equal ones hash alike");
            let iterated: Match = read.iter().collect();
            assert_eq!(iterated, made);
        }
    }
}

#[test]
fn matches_of_any_two_lengths_are_ordered_and_equal_as_their_bytes() {
    let all: Vec<Match> = (5..=60).map(of_length).chain([Match::new()]).collect();
    for one in &all {
        for other in &all {
            assert_eq!(one.cmp(other), one.as_bytes().cmp(other.as_bytes()));
            assert_eq!(one == other, one.as_bytes() == other.as_bytes());
        }
    }
}

#[test]
fn fields_are_added_across_the_length_that_a_match_holds_itself() {
    let mut matching = Match::new();
    let mut fields = Vec::new();
    for octet in 0..=40 {
        matching.push(Oxm::ip_dscp(octet));
        fields.push(Oxm::ip_dscp(octet));
        assert_eq!(matching.iter().collect::<Vec<_>>(), fields);
        assert_eq!(matching.len(), fields.len());
    }
}

#[test]
fn a_short_match_does_not_keep_its_frame() {
    let frame = packet_in(&of_length(48), 60);
    let Body::PacketIn(packet) = Message::decode(&frame).expect("readable").body else {
        panic!("a packet_in")
    };
    let matching = packet.matching;
    drop(packet.data);
    assert!(frame.is_unique(), "{} bytes were shared", matching.as_bytes().len());
}

#[test]
fn a_long_match_is_a_slice_of_the_frame() {
    let matching = of_length(49);
    let frame = packet_in(&matching, 10);
    let Body::PacketIn(packet) = Message::decode(&frame).expect("readable").body else {
        panic!("a packet_in")
    };
    assert!(frame.as_ptr_range().contains(&packet.matching.as_bytes().as_ptr()));
    let detached = packet.matching.detached();
    assert_eq!(detached, matching);
    drop(packet);
    assert!(frame.is_unique());
}

#[test]
fn a_field_of_any_length_is_read_as_it_was_made() {
    for length in 0..=255_usize {
        let bytes: Vec<u8> = (1..=255).cycle().take(length).collect();
        let field = OxmField::of_class(OxmClass(0x4242), 7);
        let oxm = Oxm::new(field, &bytes, None).expect("an unknown field can have any length");
        assert_eq!(oxm.value(), bytes);
        let matching = Match::new().with(oxm.clone());
        assert_eq!(matching.iter().next().as_ref(), Some(&oxm), "{length}");
        let action = Action::SetField(oxm.clone());
        let packet = PacketOut::new(vec![action.clone()], Bytes::new());
        let frame = Message::new(1, Body::PacketOut(packet)).to_bytes().expect("writable");
        let Body::PacketOut(read) = Message::decode(&frame).expect("readable").body else {
            panic!("a packet_out")
        };
        assert_eq!(read.actions, [action], "{length}");
        assert!(HashSet::from([oxm.clone()]).contains(&oxm.clone()));
    }
}

#[test]
fn values_of_every_width_are_numbers() {
    for width in 0..=17_usize {
        let bytes: Vec<u8> = (1..=width as u8).collect();
        let field = OxmField::of_class(OxmClass(0x4242), 7);
        let plain = Oxm::new(field, &bytes, None).expect("an unknown field can have any length");
        let masked = Oxm::new(field, &bytes, Some(&bytes)).expect("an unknown field can have any length");
        let number = (width <= 8).then(|| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)));
        assert_eq!(plain.value_u64(), number, "{width}");
        assert_eq!(plain.mask_u64(), None);
        assert_eq!(masked.value_u64(), number, "{width}");
        assert_eq!(masked.mask_u64(), number, "{width}");
        assert_eq!(masked.value(), bytes);
        assert_eq!(masked.mask(), Some(&bytes[..]));
    }
}

#[test]
fn what_stood_behind_a_match_in_its_frame_does_not_follow_it_into_another() {
    for len in 5..=60 {
        let made = of_length(len);
        let mut rule = FlowMod::new(FlowModCommand::ADD, TableId(0));
        rule.matching = made.clone();
        rule.instructions = vec![Instruction::WriteMetadata {
            metadata: u64::MAX,
            mask: u64::MAX,
        }];
        let frame = Message::new(1, Body::FlowMod(rule.clone()))
            .to_bytes()
            .expect("writable");
        let Body::FlowMod(read) = Message::decode(&frame).expect("readable").body else {
            panic!("a flow_mod")
        };
        // Its padding is where the metadata was.
        let other = |matching| {
            let mut other = rule.clone();
            other.matching = matching;
            other.instructions = vec![Instruction::GotoTable(TableId(1)), Instruction::ClearActions];
            Message::new(1, Body::FlowMod(other)).to_bytes().expect("writable")
        };
        assert_eq!(other(read.matching), other(made), "{len}");
    }
}

#[test]
fn what_stood_behind_a_field_in_its_frame_does_not_follow_it_into_another() {
    for length in 0..=20_usize {
        let bytes: Vec<u8> = (1..=255).take(length).collect();
        let field = OxmField::of_class(OxmClass(0x4242), 7);
        let made = Oxm::new(field, &bytes, None).expect("an unknown field can have any length");
        let filler = Oxm::new(field, &[0xff; 40], None).expect("an unknown field can have any length");
        let frame = packet_in(&Match::from([made.clone(), filler]), 40);
        let Body::PacketIn(packet) = Message::decode(&frame).expect("readable").body else {
            panic!("a packet_in")
        };
        let read = packet.matching.iter().next().expect("two fields");
        let set = |oxm| {
            let packet = PacketOut::new(vec![Action::SetField(oxm), Action::PopVlan], Bytes::new());
            Message::new(1, Body::PacketOut(packet)).to_bytes().expect("writable")
        };
        assert_eq!(set(read), set(made), "{length}");
    }
}
