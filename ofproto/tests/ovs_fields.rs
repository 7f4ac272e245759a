//! The tables of Nicira's fields and the like, beside those of Open vSwitch: for each row a
//! packet-out copies the field to a register of 128 bits, and `ovs-ofctl` says which field it
//! sees there. So class, number, experimenter and width are right, or it would not know the
//! field; and one bit more than the row has must be refused.

mod common;

use bytes::{Bytes, BytesMut};
use common::trials;
use common::trials::Test;
use ofproto::*;
use std::path::Path;
use std::process::Command;

const TESTS: [Test; 1] = [Test {
    name: "ovs_fields::every_field_has_the_name_and_the_bits_that_open_vswitch_gives_it",
    asks_ovs: true,
    run: every_field_has_the_name_and_the_bits_that_open_vswitch_gives_it,
}];

fn main() {
    trials::run(TESTS);
}

/// Open vSwitch prints the name that a field had first.
fn printed_name(row: &OxmRow) -> &'static str {
    match row.field {
        OxmField::ONFOXM_ET_TCP_FLAGS => OxmField::NXM_NX_TCP_FLAGS.name().expect("a row"),
        OxmField::NXOXM_ET_DP_HASH => OxmField::NXM_NX_DP_HASH.name().expect("a row"),
        _ => row.name,
    }
}

fn copy(row: &OxmRow, n_bits: u16) -> Message {
    let actions = vec![Action::RegMove(FieldCopy {
        n_bits,
        src_offset: 0,
        dst_offset: 0,
        src: OxmId::of(row.field).expect("a field of fixed width"),
        dst: OxmId::of(OxmField::NXM_NX_XXREG0).expect("a field of fixed width"),
    })];
    Message::new(
        1,
        Body::PacketOut(PacketOut::new(actions, Bytes::from_static(&[0; 60]))),
    )
}

fn every_field_has_the_name_and_the_bits_that_open_vswitch_gives_it() {
    // Those of tunnels have a width only in a switch that was told of one, and one is not copied.
    let rows: Vec<&OxmRow> = OxmRow::all()
        .filter(|row| row.field.class() != OxmClass::OPENFLOW_BASIC && row.width != 0)
        .filter(|row| row.field != OxmField::NXM_NX_XXREG0)
        .collect();
    assert_eq!(rows.len(), 102);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ovs_fields");
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    let mut stream = BytesMut::new();
    for row in &rows {
        let bits = u16::from(row.bits);
        copy(row, bits).encode(&mut stream).expect("a copy can be written");
        copy(row, bits + 1).encode(&mut stream).expect("a copy can be written");
    }
    let file = folder.join("stream");
    std::fs::write(&file, &stream).expect("a writable folder");
    let out = Command::new("ovs-ofctl")
        .args(["-O", "OpenFlow13", "ofp-parse"])
        .arg(&file)
        .output()
        .expect("ovs-ofctl starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut said = text.split("OFPT_PACKET_OUT (OF1.3)").skip(1);
    let mut wrong = Vec::new();
    for row in rows {
        let (good, bad) = (said.next().unwrap_or_default(), said.next().unwrap_or_default());
        let seen = good
            .split_once("move:")
            .and_then(|(_, rest)| rest.split_once('['))
            .map(|(name, _)| name);
        if seen != Some(printed_name(row)) {
            wrong.push(format!("{} is {}", row.name, good.lines().next().unwrap_or_default()));
        }
        if !bad.contains("decode error") {
            wrong.push(format!("{} has more than {} bits", row.name, row.bits));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
