//! Values of several runs, and ratios of pairs with the pair of two equal runs that says whether they can be trusted.

use skerry_bench::figure::{Figure, median};

/// A figure with a null above this, or as far below one, says more about the machine than about what is measured.
pub const NULL_MAX: f64 = 1.1;

/// Values that are compared round by round: with what is measured, without it, and without it once more.
#[derive(Clone, Debug, Default)]
pub struct Triples {
    with: Vec<f64>,
    without: Vec<f64>,
    again: Vec<f64>,
}

/// What took its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// What is measured.
    With,
    /// What it is compared with.
    Without,
    /// The same again.
    Again,
}

impl Turn {
    /// The three, in another order each round: whatever wears off or builds up is then in none of them.
    pub fn of(round: usize) -> [Turn; 3] {
        match round % 3 {
            0 => [Turn::Without, Turn::With, Turn::Again],
            1 => [Turn::With, Turn::Again, Turn::Without],
            _ => [Turn::Again, Turn::Without, Turn::With],
        }
    }
}

impl Triples {
    /// One value more.
    pub fn push(&mut self, turn: Turn, value: f64) {
        match turn {
            Turn::With => self.with.push(value),
            Turn::Without => self.without.push(value),
            Turn::Again => self.again.push(value),
        }
    }

    /// With over without, each round.
    pub fn ratios(&self) -> Vec<f64> {
        self.with
            .iter()
            .zip(&self.without)
            .map(|(with, without)| with / without)
            .collect()
    }

    /// Without over with, each round: a ratio of rates from values that are times.
    pub fn inverse(&self) -> Vec<f64> {
        self.ratios().into_iter().map(f64::recip).collect()
    }

    /// The second without over the first, each round.
    pub fn nulls(&self) -> Vec<f64> {
        self.again
            .iter()
            .zip(&self.without)
            .map(|(again, without)| again / without)
            .collect()
    }

    /// Whether two equal runs came out alike.
    pub fn can_be_trusted(&self) -> bool {
        let null = middle(self.nulls());
        null.is_some_and(|null| (NULL_MAX.recip()..=NULL_MAX).contains(&null))
    }

    /// The values with what is measured.
    pub fn with(&self) -> &[f64] {
        &self.with
    }

    /// The values without it, the first of each round.
    pub fn without(&self) -> &[f64] {
        &self.without
    }

    /// The ratio's figure and its null's. A ratio that cannot be trusted has no value.
    pub fn figures(&self, name: &str, ratios: Vec<f64>) -> [Figure; 2] {
        let ratios = if self.can_be_trusted() { ratios } else { Vec::new() };
        [
            Figure::new(name, "1", ratios),
            Figure::new(&format!("{name}_null"), "1", self.nulls()),
        ]
    }
}

/// The median of values in any order.
pub fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    median(&values)
}

/// What this part of all values does not exceed; none if fewer than `least`.
pub fn percentile(values: &mut [f64], part: f64, least: usize) -> Option<f64> {
    if values.len() < least.max(1) {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * part).ceil() as usize;
    values.get(rank.clamp(1, values.len()) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn triples(rows: &[(f64, f64, f64)]) -> Triples {
        let mut triples = Triples::default();
        for (n, (with, without, again)) in rows.iter().enumerate() {
            for turn in Turn::of(n) {
                triples.push(
                    turn,
                    match turn {
                        Turn::With => *with,
                        Turn::Without => *without,
                        Turn::Again => *again,
                    },
                );
            }
        }
        triples
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_own_ratios() {
        // The second round found the machine three times slower.
        let triples = triples(&[(12.0, 10.0, 10.0), (39.0, 30.0, 31.0), (11.0, 10.0, 9.0)]);
        let [ratio, null] = triples.figures("r", triples.ratios());
        assert_eq!(
            (ratio.value, ratio.min, ratio.max, ratio.runs),
            (Some(1.2), Some(1.1), Some(1.3), 3)
        );
        assert_eq!((null.name.as_str(), null.value), ("r_null", Some(1.0)));
        let inverse = triples.inverse();
        assert_eq!(middle(inverse).map(|value| (value * 1e3).round()), Some(833.0));
    }

    #[test]
    fn a_figure_whose_null_is_off_is_not_published_and_the_null_is() {
        for again in [11.2, 8.9] {
            let triples = triples(&[(12.0, 10.0, again), (12.0, 10.0, again), (12.0, 10.0, 10.0)]);
            assert!(!triples.can_be_trusted());
            let [ratio, null] = triples.figures("r", triples.ratios());
            assert_eq!((ratio.value, ratio.runs), (None, 0));
            assert!(
                null.value.is_some_and(|value| (value - again / 10.0).abs() < 1e-9),
                "{null:?}"
            );
        }
        assert!(triples(&[(12.0, 10.0, 11.0)]).can_be_trusted());
        assert!(!Triples::default().can_be_trusted());
    }

    #[test]
    fn each_takes_each_place_once_in_three_rounds() {
        for place in 0..3 {
            let there: Vec<Turn> = (0..3).map(|round| Turn::of(round)[place]).collect();
            for turn in [Turn::With, Turn::Without, Turn::Again] {
                assert!(there.contains(&turn), "{turn:?} at {place}");
            }
        }
    }

    #[test]
    fn a_percentile_needs_its_samples() {
        let mut values: Vec<f64> = (1..=1_000).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut values, 0.99, 1_000), Some(990.0));
        assert_eq!(percentile(&mut values, 0.5, 1_000), Some(500.0));
        values.pop();
        assert_eq!(percentile(&mut values, 0.99, 1_000), None);
        assert_eq!(percentile(&mut [], 0.5, 0), None);
    }
}
