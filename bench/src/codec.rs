//! The codec's figures and their goals: what stands in `target/bench/codec.json`.

use crate::corpus::Kind;
use crate::figure::Figure;
use crate::peer::Mode;
use crate::rounds::Measured;

/// Another codec, as its figures name it.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Which codec and runtime.
    pub version: String,
    /// How it was warmed up.
    pub warm_up: String,
}

/// The other codecs, in the order of the table.
pub const PEERS: [&str; 2] = ["openflowj", "os_ken"];

/// The peer with a goal.
const OPENFLOWJ: &str = "openflowj";

/// At most this much of the time of openflowj: half.
const OF_OPENFLOWJ: f64 = 0.5;

/// Messages per second through the framer on one core.
const FRAMER_GOAL: f64 = 5_000_000.0;

/// How many times the machine's own time a figure may take.
fn of_machine(kind: Kind, mode: Mode) -> Option<f64> {
    match (kind, mode) {
        (Kind::FlowMod, Mode::Decode) => Some(9.0),
        (Kind::PacketIn, Mode::Decode) => Some(4.0),
        (Kind::FlowStats100, Mode::Decode) => Some(10.0),
        (Kind::FlowMod | Kind::GroupMod, Mode::Encode) => Some(10.0),
        _ => None,
    }
}

/// Kinds whose structures have a fixed size, or a payload and nothing else behind it:
/// they are decoded without allocating.
fn allocates_nothing(kind: Kind) -> bool {
    matches!(kind, Kind::Echo | Kind::Barrier | Kind::PacketIn | Kind::PortStatus)
}

/// What the machine itself does, which a mode is compared with.
pub fn machine(mode: Mode) -> &'static str {
    match mode {
        Mode::Decode => "touch",
        Mode::Encode => "memcpy",
    }
}

/// Every figure of what was measured, those without a value included. `about` says
/// what the codecs are that took part.
pub fn figures(measured: &Measured, about: &[(&str, About)]) -> Vec<Figure> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        for mode in Mode::ALL {
            of_mode(&mut all, measured, about, kind, mode);
        }
    }
    let framer = "framer_messages_per_s";
    let goal = format!(">= {FRAMER_GOAL}");
    all.push(
        figure(framer, "messages/s", measured.values(framer).to_vec()).with_goal(goal, |value| value >= FRAMER_GOAL),
    );
    let framer = "framer_message_allocs";
    all.push(figure(framer, "allocations", measured.values(framer).to_vec()));
    all
}

fn of_mode(all: &mut Vec<Figure>, measured: &Measured, about: &[(&str, About)], kind: Kind, mode: Mode) {
    let (name, mode_name, machine) = (kind.name(), mode.name(), machine(mode));
    let ours = format!("{name}_{mode_name}_ns");
    let time = |name: &str| figure(name, "ns", measured.values(name).to_vec());
    let ratio = |of: &str, to: &str| {
        let pairs = measured.values(&ours).iter().zip(measured.values(of));
        figure(
            &format!("{ours}_over_{to}"),
            "1",
            pairs.map(|(ours, other)| ours / other).collect(),
        )
    };

    let floor = format!("{name}_{machine}_ns");
    let mut over = vec![ratio(&floor, machine)];
    let limit = of_machine(kind, mode);
    if let (Some(limit), Some(first)) = (limit, over.first_mut()) {
        *first = first.clone().with_goal(format!("<= {limit}"), |value| value <= limit);
    }
    let mut peers = Vec::new();
    for peer in PEERS {
        let theirs = format!("{name}_{mode_name}_{peer}_ns");
        let mut to_peer = ratio(&theirs, peer);
        if limit.is_some() && peer == OPENFLOWJ {
            to_peer = to_peer.with_goal(format!("<= {OF_OPENFLOWJ}"), |value| value <= OF_OPENFLOWJ);
        }
        over.push(to_peer);
        let mut theirs = time(&theirs);
        if let Some((_, about)) = about.iter().find(|(name, _)| *name == peer) {
            theirs.version = Some(about.version.clone());
            theirs.warm_up = Some(about.warm_up.clone());
        }
        peers.push(theirs);
    }

    let mut first = time(&ours);
    if let Some(limit) = limit {
        first.goal = Some(format!(
            "<= {limit} times {machine}, <= {OF_OPENFLOWJ} times {OPENFLOWJ}"
        ));
        let met: Option<Vec<bool>> = over
            .iter()
            .filter(|ratio| ratio.goal.is_some())
            .map(|ratio| ratio.met)
            .collect();
        first.met = met.map(|met| met.into_iter().all(|met| met));
    }
    let allocs = format!("{name}_{mode_name}_allocs");
    let mut allocs = figure(&allocs, "allocations", measured.values(&allocs).to_vec());
    if mode == Mode::Decode && allocates_nothing(kind) {
        allocs = allocs.with_goal("<= 0".to_owned(), |value| value <= 0.0);
    }

    all.push(first);
    all.append(&mut over);
    all.push(time(&floor));
    all.append(&mut peers);
    all.push(allocs);
}

fn figure(name: &str, unit: &'static str, values: Vec<f64>) -> Figure {
    Figure::new(name, unit, values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::Series;

    fn measured(values: &[(&str, &[f64])]) -> Measured {
        let series = values.iter().map(|(name, values)| Series {
            name: (*name).to_owned(),
            values: values.to_vec(),
        });
        Measured(series.collect())
    }

    fn named<'f>(all: &'f [Figure], name: &str) -> &'f Figure {
        all.iter()
            .find(|figure| figure.name == name)
            .expect("every name is there")
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_own_ratios() {
        // The second round found the machine three times slower.
        let all = figures(
            &measured(&[
                ("flow_mod_decode_ns", &[40.0, 120.0, 50.0]),
                ("flow_mod_touch_ns", &[10.0, 30.0, 10.0]),
            ]),
            &[],
        );
        let ratio = named(&all, "flow_mod_decode_ns_over_touch");
        assert_eq!(
            (ratio.value, ratio.min, ratio.max, ratio.runs),
            (Some(4.0), Some(4.0), Some(5.0), 3)
        );
        assert_eq!((ratio.goal.as_deref(), ratio.met), (Some("<= 9"), Some(true)));
        assert_eq!(named(&all, "flow_mod_decode_ns").value, Some(50.0));
    }

    #[test]
    fn a_goal_that_was_not_measured_is_neither_met_nor_missed() {
        let all = figures(
            &measured(&[("packet_in_decode_ns", &[10.0]), ("packet_in_touch_ns", &[5.0])]),
            &[],
        );
        assert_eq!(named(&all, "packet_in_decode_ns_over_touch").met, Some(true));
        assert_eq!(named(&all, "packet_in_decode_ns_over_openflowj").met, None);
        assert_eq!(named(&all, "packet_in_decode_ns").met, None);
        assert_eq!(named(&all, "framer_messages_per_s").met, None);
    }

    #[test]
    fn a_figure_with_two_goals_meets_both_or_misses() {
        let rounds = |openflowj: f64| {
            figures(
                &measured(&[
                    ("group_mod_encode_ns", &[40.0]),
                    ("group_mod_memcpy_ns", &[5.0]),
                    ("group_mod_encode_openflowj_ns", &[openflowj]),
                ]),
                &[],
            )
        };
        assert_eq!(named(&rounds(80.0), "group_mod_encode_ns").met, Some(true));
        assert_eq!(named(&rounds(79.0), "group_mod_encode_ns").met, Some(false));
    }

    #[test]
    fn allocations_have_a_goal_where_nothing_needs_any() {
        let all = figures(
            &measured(&[("echo_decode_allocs", &[0.0]), ("flow_mod_decode_allocs", &[2.0])]),
            &[],
        );
        assert_eq!(named(&all, "echo_decode_allocs").met, Some(true));
        assert_eq!(named(&all, "flow_mod_decode_allocs").met, None);
    }
}
