//! Matches: the fields as a set, under the names of Open vSwitch.

use super::values::{hex, list, number, port, sorted, tail, text};
use serde_json::Value;

/// The fields of a match as Open vSwitch prints them, sorted.
pub fn match_text(value: &Value) -> String {
    let fields = list(&value["oxm_fields"]);
    let find = |name: &str| fields.iter().find(|oxm| oxm["field"] == name);
    let mut out = Vec::new();
    let eth_type = find("OFPXMT_OFB_ETH_TYPE").map(|oxm| number(&oxm["value"]));
    let proto = find("OFPXMT_OFB_IP_PROTO").map(|oxm| number(&oxm["value"]));
    let word = match (eth_type, proto) {
        (Some(0x0800), Some(6)) => "tcp".to_owned(),
        (Some(0x0800), Some(17)) => "udp".to_owned(),
        (Some(0x0800), Some(132)) => "sctp".to_owned(),
        (Some(0x0800), Some(1)) => "icmp".to_owned(),
        (Some(0x0800), _) => "ip".to_owned(),
        (Some(0x86dd), Some(6)) => "tcp6".to_owned(),
        (Some(0x86dd), Some(17)) => "udp6".to_owned(),
        (Some(0x86dd), Some(132)) => "sctp6".to_owned(),
        (Some(0x86dd), Some(58)) => "icmp6".to_owned(),
        (Some(0x86dd), _) => "ipv6".to_owned(),
        (Some(0x0806), _) => "arp".to_owned(),
        (Some(0x8847), _) => "mpls".to_owned(),
        (Some(0x8848), _) => "mplsm".to_owned(),
        (Some(0x8035), _) => "rarp".to_owned(),
        (Some(other), _) => format!("dl_type={other:#06x}"),
        (None, _) => String::new(),
    };
    if matches!(word.as_str(), "ip" | "ipv6")
        && let Some(proto) = proto
    {
        out.push(format!("nw_proto={proto}"));
    }
    if !word.is_empty() {
        out.push(word);
    }
    for oxm in fields {
        let name = tail(&oxm["field"], "OFPXMT_OFB_");
        let value = &oxm["value"];
        let bits = mask_bits(&oxm["mask"]);
        if bits.as_deref().is_some_and(|bits| bits.iter().all(|byte| *byte == 0)) {
            // What is masked away is not matched.
            continue;
        }
        let masked = |text: String| match (&oxm["mask"], bits.as_deref().and_then(prefix)) {
            (Value::Null, _) => text,
            (_, Some(all)) if bits.as_ref().is_some_and(|bits| bits.len() * 8 == all) => text,
            (Value::String(mask), _) if mask.starts_with("0x") && mask.len() <= 18 => {
                format!("{text}/{}", hex(number(&oxm["mask"])))
            }
            (_, Some(prefix)) if name.starts_with("IP") || name.ends_with("PA") => format!("{text}/{prefix}"),
            (mask, _) => format!("{text}/{}", super::values::text(mask)),
        };
        let wide = || hex(number(value));
        if let Some(register) = name.strip_prefix("NXM_NX_REG") {
            out.push(match &oxm["mask"] {
                Value::Null => format!("reg{register}={}", hex(number(value))),
                mask => format!("reg{register}={}/{}", hex(number(value)), hex(number(mask))),
            });
            continue;
        }
        out.push(match name.as_str() {
            "ETH_TYPE" => continue,
            "IP_PROTO" => continue,
            "IN_PORT" => format!("in_port={}", port(value)),
            "METADATA" => format!("metadata={}", masked(wide())),
            "TUNNEL_ID" => format!("tun_id={}", masked(wide())),
            "ETH_SRC" => format!("dl_src={}", masked(text(value))),
            "ETH_DST" => format!("dl_dst={}", masked(text(value))),
            "VLAN_VID" => vlan_text(oxm, find("OFPXMT_OFB_VLAN_PCP")),
            "VLAN_PCP" => continue,
            "IP_DSCP" => format!("nw_tos={}", number(value) << 2),
            "IP_ECN" => format!("nw_ecn={}", number(value)),
            "IPV4_SRC" => format!("nw_src={}", masked(text(value))),
            "IPV4_DST" => format!("nw_dst={}", masked(text(value))),
            "TCP_SRC" | "UDP_SRC" | "SCTP_SRC" => format!("tp_src={}", number(value)),
            "TCP_DST" | "UDP_DST" | "SCTP_DST" => format!("tp_dst={}", number(value)),
            "ICMPV4_TYPE" | "ICMPV6_TYPE" => format!("icmp_type={}", number(value)),
            "ICMPV4_CODE" | "ICMPV6_CODE" => format!("icmp_code={}", number(value)),
            "ARP_OP" => format!("arp_op={}", number(value)),
            "IPV6_FLABEL" if !oxm["mask"].is_null() => {
                format!("ipv6_label={:#07x}/{:#07x}", number(value), number(&oxm["mask"]))
            }
            "IPV6_FLABEL" => format!("ipv6_label={:#07x}", number(value)),
            "IPV6_ND_TARGET" | "IPV6_ND_SLL" | "IPV6_ND_TLL" => {
                format!("{}={}", name.trim_start_matches("IPV6_").to_lowercase(), text(value))
            }
            _ => format!("{}={}", name.to_lowercase(), masked(text(value))),
        });
    }
    sorted(out)
}

/// The bytes of a mask that is an address or a number of 64 bits.
fn mask_bits(mask: &Value) -> Option<Vec<u8>> {
    let text = mask.as_str()?;
    if text.starts_with("0x") && text.len() > 18 {
        return None;
    }
    if text.starts_with("0x") {
        return Some(number(mask).to_be_bytes().to_vec());
    }
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Some(match address {
            std::net::IpAddr::V4(address) => address.octets().to_vec(),
            std::net::IpAddr::V6(address) => address.octets().to_vec(),
        });
    }
    let mac: ofproto::MacAddr = text.parse().ok()?;
    Some(mac.0.to_vec())
}

/// How many ones a mask begins with, if nothing but zeros follows.
fn prefix(bits: &[u8]) -> Option<usize> {
    let ones: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
    let first = bits.iter().position(|byte| *byte != 0xff).unwrap_or(bits.len());
    let leading = first * 8 + bits.get(first).map_or(0, |byte| byte.leading_ones() as usize);
    (leading == ones as usize).then_some(leading)
}

/// The tag of a packet: Open vSwitch has VLAN and priority in one number.
fn vlan_text(vid: &Value, pcp: Option<&Value>) -> String {
    const VID: u64 = 0xfff;
    let pcp = pcp.map(|pcp| number(&pcp["value"]));
    let mask = if vid["mask"].is_null() {
        0x1fff
    } else {
        number(&vid["mask"]) & 0x1fff
    };
    let value = number(&vid["value"]);
    let whole = |mask: u64| mask & VID == VID || (mask & VID == 0 && pcp.is_some());
    if value & mask & 0x1000 != 0 && whole(mask) {
        let id = (mask & VID != 0).then(|| format!("dl_vlan={}", value & VID));
        let priority = pcp.map(|pcp| format!("dl_vlan_pcp={pcp}"));
        let both: Vec<String> = [id, priority].into_iter().flatten().collect();
        return both.join(",");
    }
    let (value, mask) = (
        value | pcp.map_or(0, |pcp| pcp << 13),
        mask | if pcp.is_some() { 0xe000 } else { 0 },
    );
    if mask == 0xffff {
        format!("vlan_tci={value:#06x}")
    } else {
        format!("vlan_tci={value:#06x}/{mask:#06x}")
    }
}
