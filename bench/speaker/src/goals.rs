//! The figures that are promised, and what each should be.

use skerry_bench::figure::Figure;

/// A bound that a value is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Not more.
    AtMost(f64),
    /// Not less.
    AtLeast(f64),
}

use Goal::{AtLeast, AtMost};

/// Every figure with a goal, in the order of the table, with its unit. Ratios have `1`.
pub const GOALS: &[(&str, &str, Goal)] = &[
    ("connect_1000_s", "s", AtMost(2.0)),
    ("idle_switch_kib", "KiB", AtMost(64.0)),
    ("idle_1000_cpu_percent", "%", AtMost(50.0)),
    ("echo_p99_ms", "ms", AtMost(2.0)),
    ("apply_ratio_to_ovs_ofctl", "1", AtLeast(1.2)),
    ("flood_p50_ratio", "1", AtMost(1.2)),
    ("flood_p99_ratio", "1", AtMost(2.0)),
    ("flood_rss_mib", "MiB", AtMost(50.0)),
    ("flood_discovery_lost", "packets", AtMost(0.0)),
    ("echo_p50_ratio", "1", AtMost(1.3)),
    ("echo_rate_ratio", "1", AtLeast(0.4)),
    ("packet_in_per_core_s", "packets/s", AtLeast(500_000.0)),
    ("packet_out_jitter_p99_ms", "ms", AtMost(2.0)),
];

impl Goal {
    fn met(self, value: f64) -> bool {
        match self {
            AtMost(most) => value <= most,
            AtLeast(least) => value >= least,
        }
    }

    fn told(self) -> String {
        match self {
            AtMost(most) => format!("<= {most}"),
            AtLeast(least) => format!(">= {least}"),
        }
    }
}

/// A figure with its goal, if it has one.
pub fn judged(figure: Figure) -> Figure {
    match GOALS.iter().find(|(name, ..)| *name == figure.name) {
        Some((_, _, goal)) => figure.with_goal(goal.told(), |value| goal.met(value)),
        None => figure,
    }
}

/// All figures in the order of the table: those with a goal first, each followed by what belongs to it (its null, the
/// same with TLS), and those that were not measured without a value.
pub fn in_order(mut figures: Vec<Figure>) -> Vec<Figure> {
    let mut ordered = Vec::new();
    for (name, unit, _) in GOALS {
        let mut of: Vec<Figure> = Vec::new();
        let mut rest = Vec::new();
        for figure in figures {
            let belongs = figure
                .name
                .strip_prefix(name)
                .is_some_and(|tail| tail.is_empty() || tail.starts_with('_'));
            if belongs { of.push(figure) } else { rest.push(figure) }
        }
        figures = rest;
        if !of.iter().any(|figure| figure.name == *name) {
            of.insert(0, Figure::new(name, unit, Vec::new()));
        }
        of.sort_by_key(|figure| figure.name.len());
        ordered.extend(of.into_iter().map(judged));
    }
    ordered.extend(figures);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_promised_figure_is_there_in_order_and_what_was_not_measured_has_no_value() {
        let measured = vec![
            Figure::new("echo_p50_ratio_tls", "1", vec![3.0]),
            Figure::new("echo_p50_ratio_null", "1", vec![1.0]),
            Figure::new("other", "s", vec![1.0]),
            Figure::new("echo_p50_ratio", "1", vec![1.25]),
        ];
        let all = in_order(measured);
        let names: Vec<&str> = all.iter().map(|figure| figure.name.as_str()).collect();
        let promised: Vec<&str> = all
            .iter()
            .filter(|f| f.goal.is_some())
            .map(|f| f.name.as_str())
            .collect();
        assert_eq!(promised, GOALS.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
        let at = names
            .iter()
            .position(|name| *name == "echo_p50_ratio")
            .expect("it is there");
        assert_eq!(names[at + 1..at + 3], ["echo_p50_ratio_tls", "echo_p50_ratio_null"]);
        assert_eq!(names.last(), Some(&"other"));
        assert_eq!((all[at].met, all[at].goal.as_deref()), (Some(true), Some("<= 1.3")));
        assert_eq!((all[0].value, all[0].met), (None, None));
        assert_eq!(all[at + 1].goal, None, "with TLS there is no goal");
    }

    #[test]
    fn a_bound_itself_is_met() {
        for (goal, good, bad) in [
            (AtMost(2.0), 2.0, 2.001),
            (AtLeast(0.4), 0.4, 0.399),
            (AtMost(0.0), 0.0, 1.0),
        ] {
            assert!(goal.met(good) && !goal.met(bad));
        }
        assert_eq!(AtLeast(500_000.0).told(), ">= 500000");
    }
}
