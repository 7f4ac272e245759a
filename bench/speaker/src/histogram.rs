//! A histogram of the speaker's `/metrics`: what was counted between two looks.

/// Cumulative counts by the upper bound of their bucket, in the order of the bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram(Vec<(f64, f64)>);

impl Histogram {
    /// The histogram of this name in a page of metrics, over all labels.
    pub fn read(page: &str, name: &str) -> Histogram {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        let prefix = format!("{name}_bucket{{");
        for line in page.lines() {
            let Some(rest) = line.strip_prefix(&prefix) else {
                continue;
            };
            let Some((labels, count)) = rest.rsplit_once(' ') else {
                continue;
            };
            let bound = labels.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
            let bound = bound.and_then(|bound| match bound {
                "+Inf" => Some(f64::INFINITY),
                bound => bound.parse().ok(),
            });
            let (Some(bound), Ok(count)) = (bound, count.parse::<f64>()) else {
                continue;
            };
            match buckets.iter_mut().find(|(have, _)| *have == bound) {
                Some((_, sum)) => *sum += count,
                None => buckets.push((bound, count)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        Histogram(buckets)
    }

    /// What came since an earlier look.
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let before = |bound: f64| {
            earlier
                .0
                .iter()
                .find(|(have, _)| *have == bound)
                .map_or(0.0, |(_, count)| *count)
        };
        Histogram(
            self.0
                .iter()
                .map(|(bound, count)| (*bound, count - before(*bound)))
                .collect(),
        )
    }

    /// How many there are.
    pub fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// What this part of all does not exceed, as exactly as the buckets tell: the upper bound of the one it falls into. None
    /// if there are fewer than `least`, or if it is beyond all bounds.
    pub fn percentile(&self, part: f64, least: usize) -> Option<f64> {
        let count = self.count();
        if count < least.max(1) as f64 {
            return None;
        }
        let bucket = self.0.iter().find(|(_, below)| *below >= count * part)?;
        Some(bucket.0).filter(|bound| bound.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TYPE x_seconds histogram\n\
        x_seconds_bucket{region=\"a\",le=\"0.001\"} 90\n\
        x_seconds_bucket{region=\"a\",le=\"0.002\"} 99\n\
        x_seconds_bucket{region=\"a\",le=\"+Inf\"} 100\n\
        x_seconds_sum{region=\"a\"} 0.1\n\
        x_seconds_count{region=\"a\"} 100\n\
        other_bucket{le=\"0.001\"} 7\n";

    #[test]
    fn a_percentile_is_the_bound_of_the_bucket_it_falls_into() {
        let all = Histogram::read(PAGE, "x_seconds");
        assert_eq!(all.count(), 100.0);
        assert_eq!(all.percentile(0.5, 1), Some(0.001));
        assert_eq!(all.percentile(0.99, 1), Some(0.002));
        assert_eq!(all.percentile(0.999, 1), None, "beyond all bounds");
        assert_eq!(all.percentile(0.5, 101), None, "too few");
        assert_eq!(Histogram::read(PAGE, "absent").percentile(0.5, 1), None);
    }

    #[test]
    fn what_was_there_before_does_not_count() {
        let now = PAGE
            .replace(" 90", " 91")
            .replace(" 99\n", " 119\n")
            .replace(" 100\n", " 120\n");
        let since = Histogram::read(&now, "x_seconds").since(&Histogram::read(PAGE, "x_seconds"));
        assert_eq!(since.count(), 20.0);
        assert_eq!(since.percentile(0.5, 1), Some(0.002));
    }
}
