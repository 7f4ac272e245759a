//! What `ovs-ofctl` would print of a message, made from our JSON of it, as a list of facts:
//! the type, the transaction id, each match as the set of its fields, each list of actions,
//! and the numbers beside them. A `word` stands behind the one before it in what is printed;
//! `anywhere` is a word of a list that Open vSwitch prints in an order of its own.

mod actions;
mod matches;
mod multipart;
mod parts;
mod values;

pub use values::sorted;

use actions::{actions_text, instructions_text, or_drop};
use matches::match_text;
use parts::{group_text, meter_text, port_text};
use serde_json::Value;
use values::{duration, flags_text, hex, in_order, list, number, port, queue_id, tail, text};

/// One message's facts, in a fixed order.
pub type Facts = Vec<(&'static str, String)>;

/// The facts of a message, from our JSON.
pub fn ours(message: &Value) -> Facts {
    let kind = text(&message["type"]);
    let body = &message["body"];
    let multipart = tail(&message["multipart_type"], "OFPMP_");
    let name = match kind.as_str() {
        "OFPT_MULTIPART_REQUEST" => format!("{} request", multipart::multipart_name(&multipart)),
        "OFPT_MULTIPART_REPLY" => format!("{} reply", multipart::multipart_name(&multipart)),
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
        "OFPT_MULTIPART_REQUEST" => multipart::request(&multipart, body, &mut add),
        "OFPT_MULTIPART_REPLY" => multipart::reply(&multipart, body, &mut add),
        _ => {}
    }
    facts
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
