//! Bundles: what is in them, in which version, how deep, and what is wrong with one.

use bytes::Bytes;
use ofproto::json::{from_json, to_json};
use ofproto::*;
use serde_json::json;

fn barrier(xid: u32) -> Message {
    Message::new(xid, Body::BarrierRequest)
}

fn add(message: &Message) -> BundleAdd {
    BundleAdd::new(7, BundleFlags::ATOMIC, message).expect("a message that can be written")
}

#[test]
fn the_same_body_goes_in_both_versions() {
    let body = Body::BundleControl(BundleControl::new(
        7,
        BundleCtrlType::OPEN_REQUEST,
        BundleFlags::ORDERED,
    ));
    let old = Message::new(1, body.clone());
    let new = Message {
        version: VERSION_1_4,
        ..old.clone()
    };
    assert_eq!(old.kind(), MessageType::EXPERIMENTER);
    assert_eq!(new.kind(), MessageType::BUNDLE_CONTROL);
    let (old_bytes, new_bytes) = (old.to_bytes().expect("1.3"), new.to_bytes().expect("1.4"));
    assert_eq!(
        old_bytes[16..],
        new_bytes[8..],
        "behind the experimenter's header they are alike"
    );
    assert_eq!(Message::decode(&old_bytes), Ok(old));
    assert_eq!(Message::decode(&new_bytes), Ok(new));
}

#[test]
fn what_was_added_is_read_from_its_slice() {
    let bytes = Message::new(5, Body::BundleAdd(add(&barrier(5))))
        .to_bytes()
        .expect("fits");
    let message = Message::decode(&bytes).expect("what was written");
    let Body::BundleAdd(add) = message.body else {
        panic!("{message:?}");
    };
    assert_eq!(add.decode_message(), Ok(barrier(5)));
    assert!(
        bytes.as_ptr_range().contains(&add.message.as_ptr()),
        "a slice of the frame"
    );
    let cut = BundleAdd {
        message: Bytes::from_static(&[4, 14, 0, 9, 0, 0, 0, 1, 0]),
        ..add
    };
    let error = cut.decode_message().expect_err("a flow_mod of one byte");
    assert_eq!(
        error.to_string(),
        "ofp_flow_mod at offset 8: needs 8 more bytes, 1 are left"
    );
}

/// As many additions in each other as a frame can hold: nothing goes deeper than one level by
/// itself, neither reading nor printing.
#[test]
fn bundles_in_bundles_are_no_way_to_make_us_go_deep() {
    let mut message = barrier(1);
    let mut levels = 0;
    loop {
        let outer = Message::new(1, Body::BundleAdd(add(&message)));
        if outer.to_bytes().is_err() {
            break;
        }
        message = outer;
        levels += 1;
    }
    assert!(levels > 2_700, "{levels}");
    let bytes = message.to_bytes().expect("it was written before");
    let again = Message::decode(&bytes).expect("what was written");
    assert_eq!(again, message);
    let value = to_json(&again);
    assert!(
        value["message"].is_string(),
        "an addition in an addition is hexadecimal"
    );
    assert_eq!(from_json(&value), Ok(again.clone()));
    assert!(again.to_string().len() <= LINE_MAX);
    let mut opened = 0;
    let mut body = again.body;
    while let Body::BundleAdd(add) = body {
        body = add.decode_message().expect("each is well formed").body;
        opened += 1;
    }
    assert_eq!((opened, body), (levels, Body::BarrierRequest));
}

#[test]
fn an_object_in_an_object_in_an_object_is_refused() {
    let inner = json!({"version": 4, "type": "OFPT_BARRIER_REQUEST", "xid": 1});
    let wrap = |message| {
        json!({
            "version": 4, "type": "OFPT_EXPERIMENTER", "xid": 1, "experimenter": 0x4f4e_4600, "exp_type": 2301,
            "bundle_id": 1, "flags": [], "message": message, "properties": [],
        })
    };
    let once = from_json(&wrap(inner.clone())).expect("one level");
    assert_eq!(to_json(&once)["message"], inner);
    let error = from_json(&wrap(wrap(inner))).expect_err("two levels");
    assert_eq!(
        error.to_string(),
        "message: must be hexadecimal, because it is an addition to a bundle itself"
    );
    let error = from_json(&wrap(json!({"version": 9, "type": "OFPT_BARRIER_REQUEST", "xid": 1}))).expect_err("version");
    assert_eq!(error.to_string(), "message: ofp_header: does not exist in version 0x09");
}

#[test]
fn an_error_about_a_bundle_says_which_in_both_versions() {
    for (code, name) in BundleFailedCode::NAMES {
        for version in [VERSION_1_3, VERSION_1_4] {
            let error = ErrorMsg::of_bundle(version, *code, b"about");
            assert_eq!(error.bundle_failed(), Some(*code));
            assert_eq!(error.code_name(), Some(*name));
            assert!(error.data.ends_with(b"about"));
        }
    }
    let other = ErrorMsg {
        kind: ErrorType::EXPERIMENTER,
        code: 2316,
        data: Bytes::from_static(b"ONF\0"),
    };
    assert_eq!((other.bundle_failed(), other.code_name()), (None, None));
}

#[test]
fn a_range_of_bits_is_what_its_form_has_room_for() {
    for (ofs, n_bits) in [(0, 1), (0, 64), (1023, 1), (5, 7)] {
        let bits = OfsNBits::new(ofs, n_bits).expect("there is room");
        assert_eq!((bits.ofs(), bits.n_bits()), (ofs, n_bits));
    }
    for (ofs, n_bits) in [(0, 0), (0, 65), (1024, 1)] {
        assert_eq!(OfsNBits::new(ofs, n_bits), None);
    }
}
