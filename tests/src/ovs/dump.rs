//! Text of `ovs-ofctl` made comparable: what changes by itself taken out, lines sorted.

/// Fields of a rule that change by themselves.
const PASSING: [&str; 5] = ["duration=", "n_packets=", "n_bytes=", "idle_age=", "hard_age="];

/// Lines of `dump-flows`.
pub fn flows(text: &str) -> Vec<String> {
    let rules = text
        .lines()
        .map(str::trim)
        .filter(|line| line.contains("actions=") || line.contains("cookie="));
    sorted(rules.map(|line| {
        // Only what stands before the actions has fields of that name.
        let (head, actions) = line.split_once("actions=").unwrap_or((line, ""));
        let kept = head
            .split(' ')
            .filter(|word| !word.is_empty() && !PASSING.iter().any(|field| word.starts_with(field)));
        let head: Vec<&str> = kept.collect();
        format!("{} actions={actions}", head.join(" "))
    }))
}

/// Lines of `dump-groups`.
pub fn groups(text: &str) -> Vec<String> {
    sorted(
        text.lines()
            .map(str::trim)
            .filter(|line| line.starts_with("group_id="))
            .map(str::to_owned),
    )
}

/// Lines of `dump-meters`; a band is a line of its own there.
pub fn meters(text: &str) -> Vec<String> {
    let mut meters: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match meters.last_mut() {
            _ if line.starts_with("meter=") => meters.push(line.to_owned()),
            Some(meter) => {
                meter.push(' ');
                meter.push_str(line);
            }
            // The heading.
            None => {}
        }
    }
    sorted(meters.into_iter())
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_ages_are_taken_out_of_rules() {
        let text = "OFPST_FLOW reply (OF1.3) (xid=0x2):\n \
            cookie=0x1, duration=3.1s, table=2, n_packets=7, n_bytes=70, idle_timeout=9, priority=5,in_port=1 actions=output:2\n \
            cookie=0x1, duration=3.2s, table=0, n_packets=0, n_bytes=0, reset_counts actions=drop\n";
        assert_eq!(
            flows(text),
            [
                "cookie=0x1, table=0, reset_counts actions=drop",
                "cookie=0x1, table=2, idle_timeout=9, priority=5,in_port=1 actions=output:2",
            ]
        );
        assert!(flows("OFPST_FLOW reply (OF1.3) (xid=0x2):\n").is_empty());
    }

    #[test]
    fn a_meter_and_its_bands_become_one_line() {
        let text = "OFPST_METER_CONFIG reply (OF1.3) (xid=0x2):\nmeter=2 pktps bands=\ntype=drop rate=9\n\nmeter=1 kbps bands=\ntype=drop rate=5\n";
        assert_eq!(
            meters(text),
            [
                "meter=1 kbps bands= type=drop rate=5",
                "meter=2 pktps bands= type=drop rate=9"
            ]
        );
    }

    #[test]
    fn groups_are_sorted_without_the_heading() {
        let text = "OFPST_GROUP_DESC reply (OF1.3) (xid=0x2):\n group_id=2,type=all\n group_id=1,type=indirect\n";
        assert_eq!(groups(text), ["group_id=1,type=indirect", "group_id=2,type=all"]);
    }
}
