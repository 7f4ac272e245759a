//! How our JSON of a message differs from what `ovs-ofctl` prints of it, and whether
//! `ovs-differs.md` explains that.

use super::ovs_printed::theirs;
use super::ovs_text::ours;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The name of the error with which Open vSwitch refuses what it prints so, if it does.
pub fn refused(printed: &str) -> Option<&str> {
    // What an error is about is printed too, and is often cut off: that is not this message.
    let own = if printed.starts_with("OFPT_ERROR") {
        printed.lines().next().unwrap_or_default()
    } else {
        printed
    };
    let (_, error) = own.split_once("***decode error: ")?;
    error.split("***").next()
}

/// How one message differs, if it does: Open vSwitch's error, or the facts that are not equal.
pub fn difference(json: &Value, printed: &str) -> Option<String> {
    if let Some(error) = refused(printed) {
        return Some(format!("refused with {error}\n{json}"));
    }
    let ours = ours(json);
    let theirs = theirs(printed, &ours);
    let unequal = |(ours, theirs): (&_, &_)| (ours != theirs).then(|| format!("{ours:?} is {theirs:?}"));
    let mut all: Vec<String> = ours.iter().zip(&theirs).filter_map(unequal).collect();
    if ours.len() != theirs.len() {
        all.push(format!(
            "{} facts are {}: {ours:?} {theirs:?}",
            ours.len(),
            theirs.len()
        ));
    }
    (!all.is_empty()).then(|| format!("{}\n{json}\n{printed}", all.join("\n")))
}

/// The names of the vectors that `ovs-differs.md` speaks of.
pub fn explained() -> BTreeSet<String> {
    let text = include_str!("../ovs-differs.md");
    let name = |line: &str| Some(line.strip_prefix("* `")?.split_once('`')?.0.to_owned());
    text.lines().filter_map(name).collect()
}

/// Fails when a vector differs that `ovs-differs.md` does not explain, and when one that it
/// explains does not differ. `differ` is how, by the vector's name.
pub fn assert_explained(differ: &BTreeMap<String, String>) {
    let explained = explained();
    let news: Vec<String> = differ
        .iter()
        .filter(|(name, _)| !explained.contains(*name))
        .map(|(name, how)| format!("{name}: {how}"))
        .collect();
    assert!(
        news.is_empty(),
        "not explained in ovs-differs.md:\n{}",
        news.join("\n\n")
    );
    let olds: Vec<&String> = explained.iter().filter(|name| !differ.contains_key(*name)).collect();
    assert!(olds.is_empty(), "explained in ovs-differs.md and equal: {olds:?}");
}
