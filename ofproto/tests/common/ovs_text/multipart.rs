//! Multipart requests and replies.

use super::actions::instructions_text;
use super::matches::match_text;
use super::parts::{group_text, meter_text, port_text};
use super::values::{
    counter, duration, group_id, in_order, list, name, number, or_unknown, port, table_id, tail, text,
};
use serde_json::Value;

pub fn multipart_name(kind: &str) -> String {
    format!("OFPST_{}", kind.strip_suffix("_STATS").unwrap_or(kind))
}

pub fn request(kind: &str, body: &Value, add: &mut impl FnMut(&'static str, String)) {
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

pub fn reply(kind: &str, body: &Value, add: &mut impl FnMut(&'static str, String)) {
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
                add("word", format!("{}:", super::values::port(&port["port_no"])));
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
