//! Numbers, names and lists of our JSON, as Open vSwitch prints them.

use serde_json::Value;

pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A number, whether it stands as one or as `0x..`.
pub fn number(value: &Value) -> u64 {
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
pub fn port_name(value: &Value) -> String {
    let all = name(value);
    all.chars()
        .take_while(|letter| letter.is_ascii_graphic() || *letter == ' ')
        .collect()
}

/// A name, which ends at the first zero.
pub fn name(value: &Value) -> String {
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

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A list by a number in its elements: queues and ports are printed so. Names of ports are
/// those of the largest numbers.
pub fn in_order<'v>(value: &'v Value, key: &str) -> Vec<&'v Value> {
    let mut all: Vec<&Value> = list(value).iter().collect();
    all.sort_by_key(|element| element[key].as_u64().unwrap_or(u64::MAX));
    all
}

/// A name without what stands in front of it.
pub fn tail(value: &Value, prefix: &str) -> String {
    let text = text(value);
    text.strip_prefix(prefix).unwrap_or(&text).to_owned()
}

/// A port as Open vSwitch prints it.
pub fn port(value: &Value) -> String {
    tail(value, "OFPP_")
}

/// The flags that have a name: others are not printed.
pub fn flags_text(value: &Value, prefix: &str) -> Vec<String> {
    list(value)
        .iter()
        .filter(|flag| flag.is_string())
        .map(|flag| tail(flag, prefix).to_lowercase())
        .collect()
}

/// Seconds: three decimals when that says it all, else as many of nine as it takes.
pub fn duration(value: &Value) -> String {
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
pub fn or_unknown(value: &Value) -> String {
    if number(&value["duration_sec"]) == u64::from(u32::MAX) {
        "?".to_owned()
    } else {
        duration(value)
    }
}

/// As a set: Open vSwitch prints fields in an order of its own.
pub fn sorted(mut fields: Vec<String>) -> String {
    fields.sort();
    fields.join(",")
}

/// Hexadecimal, but 0 without a prefix.
pub fn hex(value: u64) -> String {
    if value == 0 {
        "0".to_owned()
    } else {
        format!("{value:#x}")
    }
}

/// Open vSwitch prints a reserved group as a number here.
pub fn group_id(value: &Value) -> String {
    if value == "OFPG_ALL" {
        0xffff_fffc_u32.to_string()
    } else {
        text(value)
    }
}

/// A counter; all ones are none.
pub fn counter(value: &Value) -> String {
    match number(value) {
        u64::MAX => "?".to_owned(),
        count => count.to_string(),
    }
}

/// Open vSwitch prints the number of all tables here.
pub fn table_id(value: &Value) -> String {
    if value == "OFPTT_ALL" {
        u8::MAX.to_string()
    } else {
        text(value)
    }
}

/// Open vSwitch prints the number of all queues here.
pub fn queue_id(value: &Value) -> String {
    if value == "OFPQ_ALL" {
        u32::MAX.to_string()
    } else {
        text(value)
    }
}
