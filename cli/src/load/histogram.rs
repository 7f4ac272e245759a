//! Durations, counted in buckets that grow with them: what a percentile needs, in a fixed amount of memory.

use std::time::Duration;

use serde_json::{Value, json};

/// Buckets of each power of two: a figure is at most 1/64 too large.
const STEPS: usize = 64;
/// Powers of two of nanoseconds that are told apart: up to 36 minutes. What is longer counts as that.
const POWERS: usize = 36;
/// The first powers share buckets of one nanosecond.
const FIRST: usize = STEPS.trailing_zeros() as usize;

/// How often a duration was seen.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    sum: u128,
    least: u64,
    most: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            // Made by the first sample: most histograms of a run stay empty.
            buckets: Vec::new(),
            count: 0,
            sum: 0,
            least: u64::MAX,
            most: 0,
        }
    }
}

fn bucket(nanos: u64) -> usize {
    let power = 63 - (nanos | 1).leading_zeros() as usize;
    if power < FIRST {
        return usize::try_from(nanos).unwrap_or(0);
    }
    // The bits below the highest one, as many as there are steps.
    let step = usize::try_from(nanos >> (power - FIRST)).unwrap_or(0) & (STEPS - 1);
    ((power - FIRST + 1) * STEPS + step).min(POWERS * STEPS - 1)
}

/// The longest duration of a bucket.
fn end(bucket: usize) -> u64 {
    let (row, step) = (bucket / STEPS, (bucket % STEPS) as u64);
    match row {
        0 => step,
        _ => ((STEPS as u64 + step + 1) << (row - 1)) - 1,
    }
}

impl Histogram {
    /// Counts a duration.
    pub fn add(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if self.buckets.is_empty() {
            self.buckets = vec![0; POWERS * STEPS];
        }
        if let Some(bucket) = self.buckets.get_mut(bucket(nanos)) {
            *bucket += 1;
        }
        self.count += 1;
        self.sum += u128::from(nanos);
        self.least = self.least.min(nanos);
        self.most = self.most.max(nanos);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// A duration that this part of all did not exceed, in nanoseconds.
    fn percentile(&self, part: f64) -> u64 {
        let rank = ((self.count as f64 * part).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return end(index).clamp(self.least, self.most);
            }
        }
        self.most
    }

    /// The figures, in microseconds; only the count when there is none.
    pub fn figures(&self) -> Value {
        if self.count == 0 {
            return json!({ "count": 0 });
        }
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let mean = self.sum / u128::from(self.count);
        json!({
            "count": self.count,
            "min_us": micros(self.least),
            "mean_us": micros(u64::try_from(mean).unwrap_or(u64::MAX)),
            "p50_us": micros(self.percentile(0.5)),
            "p90_us": micros(self.percentile(0.9)),
            "p99_us": micros(self.percentile(0.99)),
            "p999_us": micros(self.percentile(0.999)),
            "max_us": micros(self.most),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_at_most_a_sixty_fourth_too_large() {
        let mut exact = Vec::new();
        let mut histogram = Histogram::default();
        // Every order of magnitude, by a multiplier that meets no bucket's edge twice.
        let mut nanos = 1u64;
        while nanos < 1_000_000_000_000 {
            exact.push(nanos);
            histogram.add(Duration::from_nanos(nanos));
            nanos = nanos * 8 / 7 + 1;
        }
        for part in [0.001, 0.5, 0.9, 0.99, 1.0] {
            let rank = ((exact.len() as f64 * part).ceil() as usize).max(1);
            let (wanted, got) = (exact[rank - 1], histogram.percentile(part));
            assert!(
                got >= wanted && got - wanted <= wanted / 64 + 1,
                "{part}: {got} for {wanted}"
            );
        }
        assert_eq!(histogram.count(), exact.len() as u64);
    }

    #[test]
    fn every_bucket_ends_where_the_next_one_begins() {
        for at in 0..POWERS * STEPS - 1 {
            assert_eq!(bucket(end(at)), at, "end of {at}");
            assert_eq!(bucket(end(at) + 1), at + 1, "after {at}");
        }
        assert_eq!(bucket(u64::MAX), POWERS * STEPS - 1);
    }

    #[test]
    fn nothing_has_no_percentile_and_one_is_all_of_them() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.figures(), json!({ "count": 0 }));
        histogram.add(Duration::from_nanos(1_234_567));
        let figures = histogram.figures();
        for name in ["min_us", "mean_us", "p50_us", "p90_us", "p99_us", "p999_us", "max_us"] {
            assert_eq!(figures[name], 1_234.567, "{name}");
        }
    }
}
