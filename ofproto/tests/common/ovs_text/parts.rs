//! Groups, meters and ports, which messages and multipart replies tell alike.

use super::actions::{actions_text, or_drop};
use super::values::{flags_text, group_id, list, number, port, port_name, tail, text};
use serde_json::Value;

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

pub fn group_text(group: &Value, kind: &str) -> String {
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

pub fn meter_text(meter: &Value) -> Vec<String> {
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

pub fn port_text(value: &Value) -> Vec<String> {
    let name = format!("{}({}):", port(&value["port_no"]), port_name(&value["name"]));
    let mut out: Vec<String> = name.split_whitespace().map(str::to_owned).collect();
    out.push(format!("addr:{}", text(&value["hw_addr"])));
    out
}
