//! Actions, and instructions in the order in which they are done.

use super::values::{hex, list, number, port, tail, text};
use serde_json::Value;

pub fn actions_text(actions: &Value) -> String {
    let all: Vec<String> = list(actions).iter().map(action_text).collect();
    all.join(",")
}

fn action_text(action: &Value) -> String {
    let kind = tail(&action["type"], "OFPAT_");
    match kind.as_str() {
        "OUTPUT" => match port(&action["port"]).as_str() {
            "CONTROLLER" => format!("CONTROLLER:{}", action["max_len"]),
            name if name.parse::<u32>().is_err() => name.to_owned(),
            number => format!("output:{number}"),
        },
        "PUSH_VLAN" => format!("push_vlan:{:#06x}", number(&action["ethertype"])),
        "PUSH_MPLS" => format!("push_mpls:{:#06x}", number(&action["ethertype"])),
        "POP_MPLS" => format!("pop_mpls:{:#06x}", number(&action["ethertype"])),
        "SET_MPLS_TTL" => format!("set_mpls_ttl({})", action["mpls_ttl"]),
        "SET_QUEUE" => format!("set_queue:{}", number(&action["queue_id"])),
        "GROUP" => format!("group:{}", number(&action["group_id"])),
        "SET_NW_TTL" => format!("mod_nw_ttl:{}", action["nw_ttl"]),
        "DEC_NW_TTL" => "dec_ttl".to_owned(),
        "SET_FIELD" => {
            let (field, value) = (&action["field"]["field"], &action["field"]["value"]);
            let name = match tail(field, "OFPXMT_OFB_").as_str() {
                "TUNNEL_ID" => "tun_id".to_owned(),
                "IPV4_SRC" => "ip_src".to_owned(),
                "IPV4_DST" => "ip_dst".to_owned(),
                "IPV6_ND_TARGET" => "nd_target".to_owned(),
                "IPV6_ND_SLL" => "nd_sll".to_owned(),
                "IPV6_ND_TLL" => "nd_tll".to_owned(),
                "IPV6_FLABEL" => "ipv6_label".to_owned(),
                "IP_ECN" => "nw_ecn".to_owned(),
                "ICMPV4_TYPE" => "icmp_type".to_owned(),
                "ICMPV4_CODE" => "icmp_code".to_owned(),
                other => other.to_lowercase(),
            };
            let value = match value {
                Value::String(text) if text.starts_with("0x") => {
                    let digits = text.trim_start_matches("0x").trim_start_matches('0');
                    format!("0x{}", if digits.is_empty() { "0" } else { digits })
                }
                other => text(other),
            };
            format!("set_field:{value}->{name}")
        }
        "EXPERIMENTER" if !action["n_bits"].is_null() => bits_text(action),
        _ => kind.to_lowercase(),
    }
}

/// An action on some bits of fields.
fn bits_text(action: &Value) -> String {
    let field = |id: &Value, from: u64| {
        let name = match text(&id["field"]).as_str() {
            "ONFOXM_ET_TCP_FLAGS" => "NXM_NX_TCP_FLAGS".to_owned(),
            name => name.to_owned(),
        };
        let row = ofproto::OxmField::from_name(&name).and_then(ofproto::OxmField::row);
        let whole = u64::from(row.expect("a field of the tables").bits);
        match (from, number(&action["n_bits"])) {
            (0, n) if n == whole => format!("{name}[]"),
            (from, 1) => format!("{name}[{from}]"),
            (from, n) => format!("{name}[{from}..{}]", from + n - 1),
        }
    };
    let first = |keys: [&str; 2]| keys.iter().find_map(|key| action[key].as_u64()).unwrap_or(0);
    let dst = field(&action["dst"], first(["dst_offset", "dst_ofs"]) + first(["ofs", "ofs"]));
    if !action["value"].is_null() {
        return format!("load:{:#x}->{dst}", number(&action["value"]));
    }
    let src = field(&action["src"], first(["src_offset", "src_ofs"]));
    format!("move:{src}->{dst}")
}

/// The instructions in the order in which they are done.
const DONE: [&str; 6] = [
    "OFPIT_METER",
    "OFPIT_APPLY_ACTIONS",
    "OFPIT_CLEAR_ACTIONS",
    "OFPIT_WRITE_ACTIONS",
    "OFPIT_WRITE_METADATA",
    "OFPIT_GOTO_TABLE",
];

pub fn instructions_text(instructions: &Value) -> String {
    let mut out = Vec::new();
    let mut all: Vec<&Value> = list(instructions).iter().collect();
    // In the order in which they are done.
    all.sort_by_key(|instruction| DONE.iter().position(|kind| instruction["type"] == *kind));
    for instruction in all {
        out.push(match tail(&instruction["type"], "OFPIT_").as_str() {
            "METER" => format!("meter:{}", number(&instruction["meter_id"])),
            "APPLY_ACTIONS" if list(&instruction["actions"]).is_empty() => continue,
            "APPLY_ACTIONS" => actions_text(&instruction["actions"]),
            "WRITE_ACTIONS" => match actions_text(&instruction["actions"]) {
                none if none.is_empty() => "write_actions(drop)".to_owned(),
                some => format!("write_actions({some})"),
            },
            "WRITE_METADATA" => {
                let (value, mask) = (number(&instruction["metadata"]), number(&instruction["metadata_mask"]));
                match mask {
                    u64::MAX => format!("write_metadata:{}", hex(value)),
                    mask => format!("write_metadata:{}/{}", hex(value), hex(mask)),
                }
            }
            "GOTO_TABLE" => format!("goto_table:{}", instruction["table_id"]),
            other => other.to_lowercase(),
        });
    }
    or_drop(out.join(","))
}

pub fn or_drop(actions: String) -> String {
    if actions.is_empty() { "drop".to_owned() } else { actions }
}
