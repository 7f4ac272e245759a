//! What `ovs-ofctl` would print of a message, made from our JSON of it, as a list of facts:
//! the type, the transaction id, each match as the set of its fields, each list of actions,
//! and the numbers beside them. A `word` stands behind the one before it in what is printed;
//! `anywhere` is a word of a list that Open vSwitch prints in an order of its own.

use serde_json::Value;

/// One message's facts, in a fixed order.
pub type Facts = Vec<(&'static str, String)>;

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A number, whether it stands as one or as `0x..`.
fn number(value: &Value) -> u64 {
    match value {
        Value::String(text) => {
            let digits = text
                .strip_prefix("0x")
                .unwrap_or_else(|| panic!("{text} is not a number"));
            u64::from_str_radix(digits, 16).expect("hexadecimal")
        }
        other => other.as_u64().unwrap_or_else(|| panic!("{other} is not a number")),
    }
}

/// A port's name, of which it prints what stands before the first byte that cannot be printed.
fn port_name(value: &Value) -> String {
    let all = name(value);
    all.chars()
        .take_while(|letter| letter.is_ascii_graphic() || *letter == ' ')
        .collect()
}

/// A name, which ends at the first zero.
fn name(value: &Value) -> String {
    let Some(hex) = value["hex"].as_str() else {
        return text(value);
    };
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(byte)
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A list by a number in its elements: queues and ports are printed so. Names of ports are
/// those of the largest numbers.
fn in_order<'v>(value: &'v Value, key: &str) -> Vec<&'v Value> {
    let mut all: Vec<&Value> = list(value).iter().collect();
    all.sort_by_key(|element| element[key].as_u64().unwrap_or(u64::MAX));
    all
}

/// A name without what stands in front of it.
fn tail(value: &Value, prefix: &str) -> String {
    let text = text(value);
    text.strip_prefix(prefix).unwrap_or(&text).to_owned()
}

/// A port as Open vSwitch prints it.
fn port(value: &Value) -> String {
    tail(value, "OFPP_")
}

/// Open vSwitch no longer says master and slave.
fn renamed(text: &str) -> String {
    text.to_lowercase()
        .replace("master", "primary")
        .replace("slave", "secondary")
}

/// The name of an error's code; Open vSwitch names those of bundles in 1.3 as in 1.4.
fn code_of(message: &Value) -> Option<String> {
    let onf = message["experimenter"] == ofproto::ExperimenterId::ONF.0;
    match message["exp_type"].as_u64().and_then(|code| code.checked_sub(2300)) {
        Some(code) if onf => Some(ofproto::BundleFailedCode(code as u16).to_string()),
        _ => Some(&message["code"]).filter(|code| !code.is_null()).map(text),
    }
}

/// Of errors that several versions have it prints the name of another version.
pub fn error_name(name: &str) -> String {
    let other = match name {
        "OFPBRC_BAD_MULTIPART" => "OFPBRC_BAD_STAT",
        "OFPBRC_BAD_EXPERIMENTER" => "OFPBRC_BAD_VENDOR",
        "OFPBRC_BAD_EXP_TYPE" => "OFPBRC_BAD_SUBTYPE",
        "OFPBRC_IS_SLAVE" => "OFPBRC_IS_SECONDARY",
        "OFPBAC_BAD_EXPERIMENTER" => "OFPBAC_BAD_VENDOR",
        "OFPBAC_BAD_EXP_TYPE" => "OFPBAC_BAD_VENDOR_TYPE",
        "OFPTFFC_BAD_TYPE" => "OFPBPC_BAD_TYPE",
        "OFPTFFC_BAD_LEN" => "OFPBPC_BAD_LEN",
        "OFPTFFC_BAD_ARGUMENT" => "OFPBPC_BAD_VALUE",
        same => same,
    };
    other.to_owned()
}

/// The flags that have a name: others are not printed.
fn flags_text(value: &Value, prefix: &str) -> Vec<String> {
    list(value)
        .iter()
        .filter(|flag| flag.is_string())
        .map(|flag| tail(flag, prefix).to_lowercase())
        .collect()
}

/// Seconds: three decimals when that says it all, else as many of nine as it takes.
fn duration(value: &Value) -> String {
    let (sec, nsec) = (number(&value["duration_sec"]), number(&value["duration_nsec"]));
    if nsec == 0 {
        format!("{sec}s")
    } else if nsec % 1_000_000 == 0 {
        format!("{sec}.{:03}s", nsec / 1_000_000)
    } else {
        format!("{sec}.{}s", format!("{nsec:09}").trim_end_matches('0'))
    }
}

/// How long a queue has been there, if that is known.
fn or_unknown(value: &Value) -> String {
    if number(&value["duration_sec"]) == u64::from(u32::MAX) {
        "?".to_owned()
    } else {
        duration(value)
    }
}

/// The fields of a match as Open vSwitch prints them, sorted.
fn match_text(value: &Value) -> String {
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
            (mask, _) => format!("{text}/{}", super::ovs_text::text(mask)),
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

/// As a set: Open vSwitch prints fields in an order of its own.
pub fn sorted(mut fields: Vec<String>) -> String {
    fields.sort();
    fields.join(",")
}

fn actions_text(actions: &Value) -> String {
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

/// Hexadecimal, but 0 without a prefix.
fn hex(value: u64) -> String {
    if value == 0 {
        "0".to_owned()
    } else {
        format!("{value:#x}")
    }
}

fn instructions_text(instructions: &Value) -> String {
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

fn or_drop(actions: String) -> String {
    if actions.is_empty() { "drop".to_owned() } else { actions }
}

fn bucket_text(bucket: &Value, usual: u64) -> String {
    let mut out = String::from("bucket=");
    // A share of 1 is the usual one in a group of which each bucket has a share.
    if number(&bucket["weight"]) != usual {
        out += &format!("weight:{},", bucket["weight"]);
    }
    if port(&bucket["watch_port"]) != "ANY" {
        out += &format!("watch_port:{},", port(&bucket["watch_port"]));
    }
    if group_id(&bucket["watch_group"]) != "OFPG_ANY" {
        out += &format!("watch_group:{},", group_id(&bucket["watch_group"]));
    }
    format!("{out}actions={}", or_drop(actions_text(&bucket["actions"])))
}

fn group_text(group: &Value, kind: &str) -> String {
    let mut out = format!(
        "group_id={},type={}",
        group_id(&group["group_id"]),
        match &group[kind] {
            Value::String(kind) => kind.trim_start_matches("OFPGT_").to_lowercase(),
            _ => "unknown".to_owned(),
        }
    );
    for bucket in list(&group["buckets"]) {
        out += &format!(",{}", bucket_text(bucket, u64::from(group[kind] == "OFPGT_SELECT")));
    }
    out
}

/// Open vSwitch prints a reserved group as a number here.
fn group_id(value: &Value) -> String {
    if value == "OFPG_ALL" {
        0xffff_fffc_u32.to_string()
    } else {
        text(value)
    }
}

fn meter_text(meter: &Value) -> Vec<String> {
    let flags = flags_text(&meter["flags"], "OFPMF_");
    let burst = flags.iter().any(|flag| flag == "burst");
    let mut out = vec![format!("meter={}", tail(&meter["meter_id"], "OFPM_").to_lowercase())];
    out.extend(flags);
    for band in list(&meter["bands"]) {
        out.push(format!("type={}", tail(&band["type"], "OFPMBT_").to_lowercase()));
        out.push(format!("rate={}", band["rate"]));
        if burst {
            out.push(format!("burst_size={}", band["burst_size"]));
        }
        if !band["prec_level"].is_null() {
            out.push(format!("prec_level={}", band["prec_level"]));
        }
    }
    out
}

fn port_text(value: &Value) -> Vec<String> {
    let name = format!("{}({}):", port(&value["port_no"]), port_name(&value["name"]));
    let mut out: Vec<String> = name.split_whitespace().map(str::to_owned).collect();
    out.push(format!("addr:{}", text(&value["hw_addr"])));
    out
}

/// A counter; all ones are none.
fn counter(value: &Value) -> String {
    match number(value) {
        u64::MAX => "?".to_owned(),
        count => count.to_string(),
    }
}

/// The facts of a message, from our JSON.
pub fn ours(message: &Value) -> Facts {
    let kind = text(&message["type"]);
    let body = &message["body"];
    let multipart = tail(&message["multipart_type"], "OFPMP_");
    let name = match kind.as_str() {
        "OFPT_MULTIPART_REQUEST" => format!("{} request", multipart_name(&multipart)),
        "OFPT_MULTIPART_REPLY" => format!("{} reply", multipart_name(&multipart)),
        "OFPT_EXPERIMENTER" if message["exp_type"] == 2300 => "ONFT_BUNDLE_CONTROL".to_owned(),
        "OFPT_EXPERIMENTER" if message["exp_type"] == 2301 => "ONFT_BUNDLE_ADD_MESSAGE".to_owned(),
        "OFPT_EXPERIMENTER" => "ONFT_ROLE_STATUS".to_owned(),
        _ => kind.clone(),
    };
    let mut facts: Facts = vec![("type", name), ("xid", format!("{:#x}", number(&message["xid"])))];
    let mut add = |name: &'static str, value: String| facts.push((name, value));
    if let Some(bundle) = message["bundle_id"].as_u64() {
        add("word", format!("bundle_id={}", hex(bundle)));
        if !message["bundle_ctrl_type"].is_null() {
            add(
                "word",
                format!("type={}", tail(&message["bundle_ctrl_type"], "OFPBCT_")),
            );
        }
        let mut flags = flags_text(&message["flags"], "OFPBF_");
        let nameless = list(&message["flags"]).iter().filter_map(Value::as_u64);
        flags.extend(nameless.map(|bits| format!("{bits:#x}")));
        let (first, rest) = flags
            .split_first()
            .map_or(("0", &[][..]), |(first, rest)| (first, rest));
        add("word", format!("flags={first}"));
        rest.iter().for_each(|flag| add("word", flag.clone()));
    }
    match kind.as_str() {
        "OFPT_ECHO_REQUEST" | "OFPT_ECHO_REPLY" => {
            add("word", format!("{}", text(&message["data"]).len() / 2));
        }
        // An experimenter's has no code that we know.
        "OFPT_ERROR" => code_of(message)
            .into_iter()
            .for_each(|code| add("word", error_name(&code))),
        "OFPT_FEATURES_REPLY" => {
            add("word", format!("dpid:{:016x}", number(&message["datapath_id"])));
            add("word", format!("n_tables:{}", message["n_tables"]));
            add("word", format!("n_buffers:{}", message["n_buffers"]));
            // Bit 4 and 7 exist in other versions only; reserved bits are not printed.
            for flag in flags_text(&message["capabilities"], "OFPC_") {
                add(
                    "word",
                    if flag == "port_blocked" {
                        "PORT_BLOCKED".to_owned()
                    } else {
                        flag.to_uppercase()
                    },
                );
            }
        }
        "OFPT_GET_CONFIG_REPLY" | "OFPT_SET_CONFIG" => {
            add("word", format!("miss_send_len={}", message["miss_send_len"]))
        }
        "OFPT_PACKET_IN" => {
            add("match", match_text(&message["match"]));
            add("word", format!("total_len={}", message["total_len"]));
            add("word", format!("{})", tail(&message["reason"], "OFPR_").to_lowercase()));
            add("word", format!("data_len={}", text(&message["data"]).len() / 2));
        }
        "OFPT_PACKET_OUT" => {
            add("word", format!("in_port={}", port(&message["in_port"])));
            add("actions", or_drop(actions_text(&message["actions"])));
        }
        "OFPT_FLOW_MOD" => {
            add("match", match_text(&message["match"]));
            add("actions", instructions_text(&message["instructions"]));
            add("word", command(&tail(&message["command"], "OFPFC_")));
            timeouts(message, ":", &mut add);
        }
        "OFPT_FLOW_REMOVED" => {
            add("match", match_text(&message["match"]));
            let reason = tail(&message["reason"], "OFPRR_").to_lowercase();
            add("word", format!("reason={}", reason.trim_end_matches("_timeout")));
            // All tables are no table here.
            if message["table_id"] != "OFPTT_ALL" {
                add("word", format!("table_id={}", message["table_id"]));
            }
            add("word", format!("duration{}", duration(message)));
            add("word", format!("idle{}", message["idle_timeout"]));
            add("word", format!("pkts{}", number(&message["packet_count"])));
            add("word", format!("bytes{}", number(&message["byte_count"])));
        }
        "OFPT_GROUP_MOD" => {
            add("word", command(&tail(&message["command"], "OFPGC_")));
            add("group", group_text(message, "group_type"));
        }
        "OFPT_METER_MOD" => {
            add("word", command(&tail(&message["command"], "OFPMC_")));
            // Of a meter that is deleted only the number is printed.
            let all = meter_text(message).into_iter();
            let printed = if message["command"] == "OFPMC_DELETE" {
                1
            } else {
                usize::MAX
            };
            all.take(printed).for_each(|word| add("word", word));
        }
        "OFPT_PORT_STATUS" => {
            let reason = tail(&message["reason"], "OFPPR_");
            add("word", format!("{}:", command(&reason)));
            port_text(&message["desc"])
                .into_iter()
                .for_each(|word| add("word", word));
        }
        "OFPT_PORT_MOD" => {
            add("word", format!("{}:", port(&message["port_no"])));
            add("word", format!("addr:{}", text(&message["hw_addr"])));
        }
        "OFPT_ROLE_REQUEST" | "OFPT_ROLE_REPLY" => role(message, &mut add),
        "OFPT_QUEUE_GET_CONFIG_REQUEST" => add("word", format!("port={}", port(&message["port"]))),
        "OFPT_QUEUE_GET_CONFIG_REPLY" => {
            // It takes the port from the queues, and so prints none when there are none.
            if !list(&message["queues"]).is_empty() && message["port"] != 0 {
                add("word", format!("port={}", port(&message["port"])));
            }
            for queue in in_order(&message["queues"], "queue_id") {
                add("word", format!("{}:", queue_id(&queue["queue_id"])));
            }
        }
        "OFPT_MULTIPART_REQUEST" if multipart == "FLOW" || multipart == "AGGREGATE" => {
            add("match", match_text(&body["match"]));
        }
        "OFPT_MULTIPART_REQUEST" => request(&multipart, body, &mut add),
        "OFPT_MULTIPART_REPLY" => reply(&multipart, body, &mut add),
        _ => {}
    }
    facts
}

/// Open vSwitch prints the number of all tables here.
fn table_id(value: &Value) -> String {
    if value == "OFPTT_ALL" {
        u8::MAX.to_string()
    } else {
        text(value)
    }
}

/// Open vSwitch prints the number of all queues here.
fn queue_id(value: &Value) -> String {
    if value == "OFPQ_ALL" {
        u32::MAX.to_string()
    } else {
        text(value)
    }
}

fn multipart_name(kind: &str) -> String {
    format!("OFPST_{}", kind.strip_suffix("_STATS").unwrap_or(kind))
}

fn command(name: &str) -> String {
    name.replace("MODIFY", "MOD").replace("DELETE", "DEL")
}

fn timeouts(value: &Value, sign: &str, add: &mut impl FnMut(&'static str, String)) {
    for (key, name) in [("idle_timeout", "idle"), ("hard_timeout", "hard")] {
        if number(&value[key]) != 0 {
            add("word", format!("{name}{sign}{}", value[key]));
        }
    }
}

fn role(message: &Value, add: &mut impl FnMut(&'static str, String)) {
    add(
        "word",
        format!("role={}", renamed(&tail(&message["role"], "OFPCR_ROLE_"))),
    );
    // With NOCHANGE the number means nothing, and all ones mean none: neither is printed.
    if number(&message["generation_id"]) != u64::MAX && message["role"] != "OFPCR_ROLE_NOCHANGE" {
        add("word", format!("generation_id={}", number(&message["generation_id"])));
    }
}

fn request(kind: &str, body: &Value, add: &mut impl FnMut(&'static str, String)) {
    match kind {
        "PORT_STATS" => add("word", format!("port_no={}", port(&body["port_no"]))),
        "QUEUE" => {
            add("word", format!("port={}", port(&body["port_no"])));
            add("word", format!("queue={}", tail(&body["queue_id"], "OFPQ_")));
        }
        "GROUP" => add("word", format!("group_id={}", tail(&body["group_id"], "OFPG_"))),
        "METER" | "METER_CONFIG" => {
            add(
                "word",
                format!("meter={}", tail(&body["meter_id"], "OFPM_").to_lowercase()),
            );
        }
        _ => {}
    }
}

fn reply(kind: &str, body: &Value, add: &mut impl FnMut(&'static str, String)) {
    match kind {
        "DESC" => {
            for key in ["mfr_desc", "hw_desc", "sw_desc", "serial_num", "dp_desc"] {
                name(&body[key])
                    .split_whitespace()
                    .for_each(|word| add("word", word.trim_end_matches(',').to_owned()));
            }
        }
        "FLOW" => {
            for rule in list(body) {
                add("match", match_text(&rule["match"]));
                add("actions", instructions_text(&rule["instructions"]));
                add("word", format!("cookie={:#x}", number(&rule["cookie"])));
                add("word", format!("duration={}", duration(rule)));
                add("word", format!("table={}", table_id(&rule["table_id"])));
                add("word", format!("n_packets={}", counter(&rule["packet_count"])));
                add("word", format!("n_bytes={}", counter(&rule["byte_count"])));
            }
        }
        "AGGREGATE" => {
            for key in ["packet_count", "byte_count", "flow_count"] {
                add("word", format!("{key}={}", number(&body[key])));
            }
        }
        "TABLE" => {
            // A table whose numbers are those of the one before is printed as "ditto".
            let mut last = None;
            for table in list(body) {
                let words = [
                    format!("active={}", table["active_count"]),
                    format!("lookup={}", number(&table["lookup_count"])),
                    format!("matched={}", number(&table["matched_count"])),
                ];
                add("word", format!("{}:", table_id(&table["table_id"])));
                if last.as_ref() != Some(&words) {
                    words.iter().for_each(|word| add("word", word.clone()));
                }
                last = Some(words);
            }
        }
        "PORT_STATS" => {
            add("word", format!("{}", list(body).len()));
            for port in list(body) {
                add("word", format!("{}:", super::ovs_text::port(&port["port_no"])));
                for (key, name) in [
                    ("rx_packets", "pkts"),
                    ("rx_bytes", "bytes"),
                    ("rx_dropped", "drop"),
                    ("rx_errors", "errs"),
                    ("rx_frame_err", "frame"),
                    ("rx_over_err", "over"),
                    ("rx_crc_err", "crc"),
                    ("tx_packets", "pkts"),
                    ("tx_bytes", "bytes"),
                    ("tx_dropped", "drop"),
                    ("tx_errors", "errs"),
                    ("collisions", "coll"),
                ] {
                    add("word", format!("{name}={}", counter(&port[key])));
                }
                // One that is not known is not printed.
                if number(&port["duration_sec"]) != u64::from(u32::MAX) {
                    add("word", format!("duration={}", duration(port)));
                }
            }
        }
        "QUEUE" => {
            add("word", format!("{}", list(body).len()));
            for queue in list(body) {
                add("word", port(&queue["port_no"]));
                add("word", format!("{}:", tail(&queue["queue_id"], "OFPQ_")));
                add("word", format!("bytes={}", counter(&queue["tx_bytes"])));
                add("word", format!("pkts={}", counter(&queue["tx_packets"])));
                add("word", format!("errors={}", counter(&queue["tx_errors"])));
                add("word", format!("duration={}", or_unknown(queue)));
            }
        }
        "GROUP" => {
            for group in list(body) {
                let mut all = format!("group_id={},", group_id(&group["group_id"]));
                if number(&group["duration_sec"]) != u64::from(u32::MAX) {
                    all += &format!("duration={},", duration(group));
                }
                all += &format!("ref_count={}", group["ref_count"]);
                all += &format!(
                    ",packet_count={},byte_count={}",
                    number(&group["packet_count"]),
                    number(&group["byte_count"])
                );
                for (at, bucket) in list(&group["bucket_stats"]).iter().enumerate() {
                    // A bucket that does not count (all ones) is left out.
                    if number(&bucket["packet_count"]) == u64::MAX {
                        continue;
                    }
                    all += &format!(
                        ",bucket{at}:packet_count={},byte_count={}",
                        number(&bucket["packet_count"]),
                        number(&bucket["byte_count"])
                    );
                }
                add("group", all);
            }
        }
        "TABLE_FEATURES" => {
            for table in list(body) {
                add("word", table_id(&table["table_id"]));
                add("word", format!("(\"{}\"):", name(&table["name"])));
                add("word", format!("match={:#x}", number(&table["metadata_match"])));
                add("word", format!("write={:#x}", number(&table["metadata_write"])));
                add("word", format!("max_entries={}", table["max_entries"]));
                list(&table["properties"])
                    .iter()
                    .flat_map(property_text)
                    .for_each(|word| add("anywhere", word));
            }
        }
        "GROUP_DESC" => list(body)
            .iter()
            .for_each(|group| add("group", group_text(group, "type"))),
        "GROUP_FEATURES" => {
            for (at, name) in ["OFPGT_ALL", "OFPGT_SELECT", "OFPGT_INDIRECT", "OFPGT_FF"]
                .iter()
                .enumerate()
            {
                if list(&body["types"]).iter().any(|kind| kind == name) {
                    let max = number(&body["max_groups"][at]);
                    add(
                        "word",
                        if max == 0 {
                            "max_groups=0".to_owned()
                        } else {
                            format!("max_groups={max:#x}")
                        },
                    );
                }
            }
        }
        "METER" => {
            for meter in list(body) {
                add("word", format!("meter:{}", text(&meter["meter_id"])));
                add("word", format!("flow_count:{}", meter["flow_count"]));
                add("word", format!("packet_in_count:{}", number(&meter["packet_in_count"])));
                add("word", format!("byte_in_count:{}", number(&meter["byte_in_count"])));
                add("word", format!("duration:{}", duration(meter)));
                for band in list(&meter["band_stats"]) {
                    add("word", format!("packet_count:{}", number(&band["packet_band_count"])));
                    add("word", format!("byte_count:{}", number(&band["byte_band_count"])));
                }
            }
        }
        "METER_CONFIG" => list(body)
            .iter()
            .flat_map(meter_text)
            .for_each(|word| add("word", word)),
        "METER_FEATURES" => {
            for key in ["max_meter", "max_bands", "max_color"] {
                add("word", format!("{key}:{}", body[key]));
            }
        }
        "PORT_DESC" => in_order(body, "port_no")
            .into_iter()
            .flat_map(port_text)
            .for_each(|word| add("word", word)),
        _ => {}
    }
}

/// What is printed of a table's instructions, actions and fields. The fields that match
/// are printed with their wildcards in one list, under other names when exact.
fn property_text(property: &Value) -> Vec<String> {
    let types = |ids: &str, prefix| -> Vec<String> {
        list(&property[ids])
            .iter()
            .map(|id| tail(&id["type"], prefix).to_lowercase())
            .collect()
    };
    let fields = || list(&property["oxm_ids"]).iter();
    match text(&property["type"]).as_str() {
        "OFPTFPT_INSTRUCTIONS" => types("instruction_ids", "OFPIT_"),
        "OFPTFPT_WRITE_ACTIONS" | "OFPTFPT_APPLY_ACTIONS" => types("action_ids", "OFPAT_"),
        "OFPTFPT_MATCH" => fields()
            .filter(|id| id["hasmask"] == true)
            .map(|id| tail(&id["field"], "OFPXMT_OFB_").to_lowercase())
            .collect(),
        "OFPTFPT_WRITE_SETFIELD" | "OFPTFPT_APPLY_SETFIELD" => fields()
            .map(|id| tail(&id["field"], "OFPXMT_OFB_").to_lowercase())
            .collect(),
        _ => Vec::new(),
    }
}
