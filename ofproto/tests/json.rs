//! Messages as JSON: read back, compared with the golden files, refused with the place.

mod common;

use common::generate::messages::{KINDS, body};
use common::generate::{Draw, Gen};
use common::{runner, vectors};
use ofproto::json::{from_json, to_json};
use ofproto::{Message, MessageType};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// from_json(to_json(m)) == m, also through text.
fn law(message: &Message) {
    let value = to_json(message);
    let text = value.to_string();
    let parsed: Value = serde_json::from_str(&text).expect("what is printed is JSON");
    assert_eq!(parsed, value);
    match from_json(&parsed) {
        Ok(again) => assert_eq!(&again, message, "{text}"),
        Err(error) => panic!("{error}: {text}"),
    }
}

#[test]
fn what_is_printed_is_read_back() {
    let entropy = proptest::collection::vec(any::<u8>(), 0..2_000);
    let mut runner = runner("what_is_printed_is_read_back", 3_000);
    runner
        .run(&entropy, |bytes| {
            law(&Message::generate(&mut Draw::new(&bytes, false)));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn every_kind_of_message_is_read_back() {
    let entropy = proptest::collection::vec(any::<u8>(), 0..2_000);
    for kind in 0..=KINDS {
        let mut runner = runner(&format!("every_kind_of_message_is_read_back, type {kind}"), 60);
        runner
            .run(&entropy, |bytes| {
                law(&Message::new(7, body(kind, &mut Draw::new(&bytes, false))));
                Ok(())
            })
            .unwrap_or_else(|failure| panic!("{failure}"));
    }
}

/// The same value with its keys in the order of the alphabet, whatever order the build keeps.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let keys: BTreeMap<&String, &Value> = map.iter().collect();
            Value::Object(
                keys.into_iter()
                    .map(|(key, value)| (key.clone(), sorted(value)))
                    .collect(),
            )
        }
        Value::Array(list) => list.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// One file for each type of message: every vector of that type, as JSON. Written anew
/// with `UPDATE_GOLDEN=1`; then read what changed.
#[test]
fn every_vector_is_printed_as_its_golden_file_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for vector in vectors::all() {
        let message = Message::decode(&vector.frame).expect("every vector decodes");
        law(&message);
        let name = match message.kind().name() {
            Some(name) => name.to_owned(),
            None => "unknown".to_owned(),
        };
        files
            .entry(name)
            .or_default()
            .push(json!({"vector": vector.name, "message": to_json(&message)}));
    }
    for (_, name) in MessageType::NAMES {
        assert!(files.contains_key(*name), "no vector of {name}");
    }
    for (name, values) in files {
        let path = folder.join(format!("{name}.json"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let sorted: Vec<Value> = values.iter().map(sorted).collect();
            let text = serde_json::to_string_pretty(&sorted).expect("values are JSON");
            std::fs::write(&path, text + "\n").expect("a writable golden file");
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let golden: Vec<Value> = serde_json::from_str(&text).expect("a golden file is JSON");
        assert_eq!(golden.len(), values.len(), "{name}");
        for (golden, value) in golden.iter().zip(&values) {
            assert_eq!(golden, value, "{name}");
        }
    }
}

fn flow_mod() -> Value {
    json!({
        "version": 4, "type": "OFPT_FLOW_MOD", "xid": 1, "cookie": "0x0000000000000001",
        "cookie_mask": "0x0000000000000000", "table_id": 0, "command": "OFPFC_ADD", "idle_timeout": 0,
        "hard_timeout": 0, "priority": 1, "buffer_id": 4_294_967_295_u32, "out_port": "OFPP_ANY",
        "out_group": "OFPG_ANY", "flags": [],
        "match": {"type": "OFPMT_OXM", "oxm_fields": [{"field": "OFPXMT_OFB_IN_PORT", "value": 1}]},
        "instructions": [{"type": "OFPIT_APPLY_ACTIONS", "actions": [
            {"type": "OFPAT_POP_VLAN"}, {"type": "OFPAT_OUTPUT", "port": 2, "max_len": 0},
        ]}],
    })
}

#[test]
fn an_object_written_by_hand_is_read() {
    let message = from_json(&flow_mod()).expect("a good object");
    assert_eq!(to_json(&message), flow_mod());
    let mut with_bytes = flow_mod();
    with_bytes["bytes"] = json!("00");
    assert_eq!(from_json(&with_bytes), Ok(message.clone()), "bytes are ignored");
    let mut with_numbers = flow_mod();
    with_numbers["command"] = json!(0);
    with_numbers["cookie"] = json!(1);
    with_numbers["out_port"] = json!(0xffff_ffff_u32);
    with_numbers["flags"] = json!(0);
    assert_eq!(from_json(&with_numbers), Ok(message), "numbers may stand for names");
}

#[test]
fn what_is_wrong_is_named_with_the_way_to_it() {
    let cases: [(&str, Value, &str); 15] = [
        (
            "/cookie",
            json!("1"),
            "cookie: must be a string of 0x and at most 16 hexadecimal digits",
        ),
        (
            "/cookie",
            json!("0x+1"),
            "cookie: must be a string of 0x and at most 16 hexadecimal digits",
        ),
        ("/table_id", json!(256), "table_id: must be at most 255"),
        ("/priority", json!(-1), "priority: must be a number, not negative"),
        (
            "/command",
            json!("ADD"),
            "command: must be a number or one of the names of FlowModCommand",
        ),
        (
            "/flags",
            json!(["X"]),
            "flags: must be a list of numbers and names of FlowModFlags",
        ),
        (
            "/flags",
            json!("X"),
            "flags: must be a list of numbers and names of FlowModFlags",
        ),
        ("/match", json!(1), "match: must be an object"),
        ("/match/type", json!(0), "match: must be a match of type OFPMT_OXM"),
        (
            "/match/oxm_fields/0/field",
            json!("IN_PORT"),
            "match.oxm_fields[0].field: must be a number or the name of a field",
        ),
        (
            "/match/oxm_fields/0/value",
            json!(4_294_967_296_u64),
            "match.oxm_fields[0].value: must be at most 4294967295",
        ),
        (
            "/instructions/0/actions/1/port",
            json!("OFPP_X"),
            "instructions[0].actions[1].port: must be a number or one of the names of PortNo",
        ),
        (
            "/instructions/0/actions/0/type",
            json!("OFPAT_OUTPUT"),
            "instructions[0].actions[0].port: is missing",
        ),
        (
            "/instructions/0/actions/1/type",
            json!("OFPAT_POP_VLAN"),
            "instructions[0].actions[1].port: is not a key here",
        ),
        ("/type", json!("OFPT_BARRIER_REQUEST"), "cookie: is not a key here"),
    ];
    for (pointer, value, words) in cases {
        let mut object = flow_mod();
        *object.pointer_mut(pointer).expect("a place that is there") = value;
        let error = from_json(&object).expect_err(words);
        assert_eq!(error.to_string(), words, "{pointer}");
    }
    assert_eq!(
        from_json(&json!([])).expect_err("a list").to_string(),
        "must be an object"
    );
    assert_eq!(
        from_json(&json!({})).expect_err("nothing").to_string(),
        "version: is missing"
    );
}

#[test]
fn a_value_that_does_not_fit_its_field_is_refused() {
    let field = |oxm: Value| {
        let mut object = flow_mod();
        object["match"]["oxm_fields"] = json!([oxm]);
        from_json(&object).map(|_| ()).map_err(|error| error.to_string())
    };
    let at = |words: &str| Err(format!("match.oxm_fields[0]{words}"));
    assert_eq!(
        field(json!({"field": "OFPXMT_OFB_VLAN_PCP", "value": 256})),
        at(".value: must be at most 255")
    );
    assert_eq!(
        field(json!({"field": "OFPXMT_OFB_PBB_ISID", "value": 16_777_216})),
        at(".value: must be at most 16777215")
    );
    assert_eq!(
        field(json!({"field": "OFPXMT_OFB_PBB_ISID", "value": 16_777_215, "mask": 1})),
        Ok(())
    );
    assert_eq!(
        field(json!({"field": "OFPXMT_OFB_IPV4_SRC", "value": "10.0.0"})),
        at(".value: must be an IPv4 address")
    );
    assert_eq!(field(json!({"field": 100, "value": ""})), at(".class: is missing"));
    assert_eq!(
        field(json!({"field": 128, "class": 1, "value": ""})),
        at(".field: must be at most 127")
    );
    assert_eq!(
        field(json!({"field": 0, "class": "OFPXMC_OPENFLOW_BASIC", "value": "0102"})),
        at(".value: must be a number or one of the names of PortNo")
    );
    assert_eq!(
        field(json!({"field": 126, "class": 1, "value": "0102", "mask": "01"})),
        at(": ofp_match: a value of 1 bytes does not fit oxm 0x0001:126")
    );
    assert_eq!(
        field(json!({"field": 126, "class": 1, "value": "0\u{e9}"})),
        at(".value: must be a string of pairs of hexadecimal digits")
    );
}
