//! The facts of `ovs_text`, taken out of what `ovs-ofctl` printed.

use super::ovs_text::{Facts, sorted};

/// The same facts, from what `ovs-ofctl` printed: every match, list of actions and group
/// in full, and of the words those that `ours` speaks of.
pub fn theirs(printed: &str, ours: &Facts) -> Facts {
    let (head, rest) = printed.split_once(':').unwrap_or((printed, ""));
    let kind = head.split(" (").next().unwrap_or_default().to_owned();
    let xid = head
        .split("(xid=")
        .nth(1)
        .and_then(|tail| tail.split(')').next())
        .unwrap_or_default();
    let mut facts: Facts = vec![("type", kind.clone()), ("xid", xid.to_owned())];
    let words = || rest.split_whitespace().map(|word| word.trim_end_matches(','));
    // Each word behind the one before it: a count that stands in another's place is not it.
    let (mut next, mut unread) = (words(), words().collect::<Vec<_>>());
    let mut texts: Vec<(&'static str, String)> = Vec::new();
    for line in rest.lines() {
        rules(&kind, line, &mut texts);
    }
    let mut texts = texts.into_iter();
    for (name, wanted) in &ours[2..] {
        let found = match *name {
            "word" => next.find(|word| word == wanted),
            "anywhere" => unread
                .iter()
                .position(|word| word == wanted)
                .map(|at| unread.swap_remove(at)),
            _ => {
                facts.extend(texts.next());
                continue;
            }
        };
        let found = found.map_or_else(|| format!("(no such word there in {printed:?})"), str::to_owned);
        facts.push((*name, found));
    }
    facts.extend(texts);
    facts
}

/// The matches, actions and groups of one line.
fn rules(kind: &str, line: &str, texts: &mut Vec<(&'static str, String)>) {
    let actions = |line: &str| {
        let all = line.split_once("actions=").map_or("", |(_, actions)| actions);
        all.split(' ').next().unwrap_or_default().to_owned()
    };
    let fields = |text: &str| {
        let fields = text
            .split(',')
            .filter(|field| !field.is_empty() && !field.starts_with("priority="));
        sorted(fields.map(str::to_owned).collect())
    };
    match kind {
        "OFPT_FLOW_MOD" => {
            let head = line.split_once(" actions=").map_or(line, |(head, _)| head);
            let other = ["table:", "cookie:", "idle:", "hard:", "buf:", "out_port:", "out_group:"];
            let flags = [
                "send_flow_rem",
                "check_overlap",
                "reset_counts",
                "no_packet_counts",
                "no_byte_counts",
            ];
            let text = head
                .split_whitespace()
                .skip(1)
                .find(|word| !other.iter().any(|other| word.starts_with(other)) && !flags.contains(word));
            texts.push(("match", fields(text.unwrap_or_default())));
            texts.push(("actions", actions(line)));
        }
        "OFPT_FLOW_REMOVED" => texts.push(("match", fields(line.split("reason=").next().unwrap_or_default().trim()))),
        "OFPT_PACKET_IN" => {
            if let Some((head, _)) = line.split_once(" (via ") {
                let text = head
                    .split_once("total_len=")
                    .and_then(|(_, tail)| tail.split_once(' '))
                    .map_or("", |(_, text)| text);
                texts.push(("match", fields(text.trim())));
            }
        }
        "OFPT_PACKET_OUT" if line.contains("actions=") => texts.push(("actions", actions(line))),
        "OFPST_FLOW request" | "OFPST_AGGREGATE request" => {
            let other = ["out_port=", "table=", "flags="];
            let text = line
                .split_whitespace()
                .find(|word| !other.iter().any(|other| word.starts_with(other)));
            texts.push(("match", fields(text.unwrap_or_default())));
        }
        "OFPST_FLOW reply" => {
            if let Some((head, _)) = line.split_once(" actions=") {
                texts.push(("match", fields(head.rsplit(' ').next().unwrap_or_default())));
                texts.push(("actions", actions(line)));
            }
        }
        "OFPT_GROUP_MOD" | "OFPST_GROUP_DESC reply" | "OFPST_GROUP reply" => {
            if let Some(at) = line.find("group_id=") {
                texts.push(("group", line[at..].to_owned()));
            }
        }
        _ => {}
    }
}
