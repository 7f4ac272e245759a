//! A figure with its goal, as every `target/bench/*.json` holds it.

use serde::Serialize;

/// One figure.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// The median; none if it was not measured.
    pub value: Option<f64>,
    /// Its unit; ratios have `1`.
    pub unit: &'static str,
    /// What it should be.
    pub goal: Option<String>,
    /// Whether it is; none without a goal, and when it was not measured.
    pub met: Option<bool>,
    /// Rounds of which `value` is the median.
    pub runs: usize,
    /// The least of them.
    pub min: Option<f64>,
    /// The greatest of them.
    pub max: Option<f64>,
    /// Which codec and runtime, in figures of other codecs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How it was warmed up, in figures of other codecs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<String>,
}

impl Figure {
    /// The median of some runs, without a goal.
    pub fn new(name: &str, unit: &'static str, mut values: Vec<f64>) -> Figure {
        values.sort_by(f64::total_cmp);
        Figure {
            name: name.to_owned(),
            value: median(&values).map(rounded),
            unit,
            goal: None,
            met: None,
            runs: values.len(),
            min: values.first().copied().map(rounded),
            max: values.last().copied().map(rounded),
            version: None,
            warm_up: None,
        }
    }

    /// The same with a goal, and whether it is met.
    #[must_use]
    pub fn with_goal(self, goal: String, met: impl Fn(f64) -> bool) -> Self {
        Self {
            goal: Some(goal),
            met: self.value.map(met),
            ..self
        }
    }
}

/// The middle of sorted values; of two in the middle, their mean.
pub fn median(sorted: &[f64]) -> Option<f64> {
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some((lower + upper) / 2.0)
}

/// To a thousandth: more than what is measured is exact to.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_the_middle_and_a_goal_is_judged_by_it() {
        let figure =
            Figure::new("f", "ms", vec![9.0, 1.0, 2.0, 4.0]).with_goal("<= 3".to_owned(), |value| value <= 3.0);
        assert_eq!(
            (figure.value, figure.min, figure.max, figure.runs),
            (Some(3.0), Some(1.0), Some(9.0), 4)
        );
        assert_eq!(figure.met, Some(true));
        let none = Figure::new("f", "ms", Vec::new()).with_goal("<= 3".to_owned(), |value| value <= 3.0);
        assert_eq!((none.value, none.met, none.runs), (None, None, 0));
    }
}
