//! Which grade a latency has: both limits, the threshold and the last stable grade decide.
//!
//! | last stable   | tier 1 starts above | tier 2 starts above |
//! | ------------- | ------------------- | ------------------- |
//! | none          | M1                  | M2                  |
//! | healthy       | M1 (1+h)            | M2                  |
//! | tier 1 failed | M1 (1-h)            | M2 (1+h)            |
//! | tier 2 failed | M1                  | M2 (1-h)            |
//!
//! "Above" is strict. Tier 2 is looked at first: where the margins make it start below tier 1 (M2 within
//! h of M1), a latency between the two is tier 2, as the table says.
//!
//! No figure is ever rounded: h is parts per million, and `L > M (1+h)` is compared as
//! `L * 1,000,000 > M * (1,000,000 + h)` in 128 bits, which hold the product of any two factors used here.

use serde::{Deserialize, Serialize};

const PPM: u32 = 1_000_000;

/// Longest limit that is accepted, milliseconds. An hour is far beyond any path on Earth; a larger
/// figure is a mistake of units and is refused.
pub const LIMIT_MAX_MS: f64 = 3_600_000.0;

/// A limit or threshold that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum LimitError {
    /// A limit is negative, not a number, or larger than [`LIMIT_MAX_MS`].
    #[error("{0} is no latency limit: 0 to 3600000 milliseconds are expected")]
    Limit(f64),
    /// A threshold outside 0 to 1.
    #[error("{0} is no threshold: a fraction of at least 0 and less than 1 is expected")]
    Threshold(f64),
}

/// How good a known latency is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Within the limits.
    Healthy,
    /// Above the first limit.
    #[serde(rename = "tier_1_failed")]
    Tier1Failed,
    /// Above the second limit.
    #[serde(rename = "tier_2_failed")]
    Tier2Failed,
}

impl Grade {
    /// Whether a limit is broken.
    pub fn is_failed(self) -> bool {
        self != Grade::Healthy
    }
}

/// A flow's latency limits, round trip in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// First limit, M1; 0: the flow is not monitored.
    pub tier_1_ns: u64,
    /// Second limit, M2; 0: infinite.
    pub tier_2_ns: u64,
}

impl Limits {
    /// From milliseconds as the REST API has them; absent is 0. Rounded to the nearest nanosecond.
    pub fn from_ms(tier_1: Option<f64>, tier_2: Option<f64>) -> Result<Self, LimitError> {
        Ok(Limits {
            tier_1_ns: ns(tier_1)?,
            tier_2_ns: ns(tier_2)?,
        })
    }

    /// Whether there is a limit to watch.
    pub fn is_monitored(&self) -> bool {
        self.tier_1_ns != 0
    }

    /// The grade of `latency_ns` for a flow whose last stable grade is `last`.
    pub fn grade(&self, latency_ns: u64, threshold: Threshold, last: Option<Grade>) -> Grade {
        let (tier_1, tier_2) = self.bounds(threshold, last);
        if tier_2.is_some_and(|bound| bound.is_below(latency_ns)) {
            Grade::Tier2Failed
        } else if tier_1.is_some_and(|bound| bound.is_below(latency_ns)) {
            Grade::Tier1Failed
        } else {
            Grade::Healthy
        }
    }

    /// The row of the table for `last`; none: infinite.
    fn bounds(&self, Threshold(h): Threshold, last: Option<Grade>) -> (Option<Bound>, Option<Bound>) {
        let (share_1, share_2) = match last {
            None => (PPM, PPM),
            Some(Grade::Healthy) => (PPM + h, PPM),
            Some(Grade::Tier1Failed) => (PPM - h, PPM + h),
            Some(Grade::Tier2Failed) => (PPM, PPM - h),
        };
        (Bound::new(self.tier_1_ns, share_1), Bound::new(self.tier_2_ns, share_2))
    }
}

fn ns(ms: Option<f64>) -> Result<u64, LimitError> {
    let ms = ms.unwrap_or(0.0);
    if !(0.0..=LIMIT_MAX_MS).contains(&ms) {
        return Err(LimitError::Limit(ms));
    }
    Ok((ms * 1e6).round() as u64)
}

/// A limit times a share of it, never multiplied out and divided again.
#[derive(Debug, Clone, Copy)]
struct Bound {
    limit_ns: u64,
    share_ppm: u32,
}

impl Bound {
    fn new(limit_ns: u64, share_ppm: u32) -> Option<Self> {
        (limit_ns != 0).then_some(Bound { limit_ns, share_ppm })
    }

    fn is_below(self, latency_ns: u64) -> bool {
        u128::from(latency_ns) * u128::from(PPM) > u128::from(self.limit_ns) * u128::from(self.share_ppm)
    }
}

/// The threshold h: how far beyond a limit a latency must go to change a stable grade. Parts per million, below one million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold(u32);

impl Threshold {
    /// 5 %, which is what OpenKilda ships.
    pub const DEFAULT: Threshold = Threshold(50_000);

    /// From a fraction such as 0.05, rounded to the nearest part per million.
    pub fn from_fraction(h: f64) -> Result<Self, LimitError> {
        if !(0.0..1.0).contains(&h) {
            return Err(LimitError::Threshold(h));
        }
        // Just below 1 would round to 1, with which a failed flow could never become healthy again.
        Ok(Threshold(((h * f64::from(PPM)).round() as u32).min(PPM - 1)))
    }

    /// Parts per million.
    pub fn ppm(self) -> u32 {
        self.0
    }
}

impl Default for Threshold {
    fn default() -> Self {
        Threshold::DEFAULT
    }
}
