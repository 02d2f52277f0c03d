//! Latencies as HDR histograms: every one is counted, in constant memory, with an error under 0.1 %.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency told apart; longer ones count as this long.
const LONGEST: Duration = Duration::from_secs(3600);

/// A distribution of latencies, kept in microseconds with three significant digits.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
    /// The longest, in microseconds: the histogram knows it only to three digits.
    max: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        // The bounds are constants that `new_with_bounds` accepts: low ≥ 1, high ≥ 2 × low, at most 5 digits.
        #[allow(clippy::expect_used)]
        let histogram =
            Histogram::new_with_bounds(1, LONGEST.as_micros() as u64, 3).expect("the bounds are valid constants");
        Self { histogram, max: 0 }
    }
}

impl Latencies {
    /// Counts one latency.
    pub fn record(&mut self, latency: Duration) {
        let micros = latency.min(LONGEST).as_micros() as u64;
        self.histogram.saturating_record(micros);
        self.max = self.max.max(micros);
    }

    /// Counts everything that `other` has counted.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds, so the addition can neither overflow a value nor need a resize.
        let added = self.histogram.add(&other.histogram);
        debug_assert!(added.is_ok());
        self.max = self.max.max(other.max);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.histogram.reset();
        self.max = 0;
    }

    /// How many latencies were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The figures that are reported, in milliseconds; all 0 when nothing was counted.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        if self.histogram.is_empty() {
            return Percentiles::default();
        }
        let ms = |micros: u64| micros as f64 / 1000.0;
        // A bucket's upper edge can lie above the largest value that was counted; no percentile exceeds the maximum.
        let at = |quantile: f64| ms(self.histogram.value_at_quantile(quantile).min(self.max));
        Percentiles {
            p50: at(0.50),
            p90: at(0.90),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(self.max),
            mean: round3(self.histogram.mean() / 1000.0),
        }
    }
}

fn round3(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// What is reported of a distribution, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half were at most this long.
    pub p50: f64,
    /// 90 % were at most this long.
    pub p90: f64,
    /// 99 % were at most this long.
    pub p99: f64,
    /// 99.9 % were at most this long.
    pub p999: f64,
    /// The longest.
    pub max: f64,
    /// The arithmetic mean.
    pub mean: f64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(millis: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        millis.into_iter().for_each(|ms| latencies.record(Duration::from_millis(ms)));
        latencies
    }

    #[test]
    fn nothing_counted_is_all_zeros() {
        assert_eq!(Latencies::default().percentiles(), Percentiles::default());
    }

    #[test]
    fn percentiles_are_in_milliseconds_within_a_thousandth() {
        let figures = of(1..=1000).percentiles();
        for (is, should) in [(figures.p50, 500.0), (figures.p90, 900.0), (figures.p99, 990.0), (figures.p999, 999.0)] {
            assert!((is - should).abs() <= should / 1000.0, "{is} is not {should}");
        }
        assert!((figures.mean - 500.5).abs() < 0.5);
    }

    #[test]
    fn a_latency_over_an_hour_counts_as_an_hour() {
        assert_eq!(of([7_200_000]).percentiles().max, 3_600_000.0);
    }

    proptest! {
        #[test]
        fn merged_histograms_equal_the_histogram_of_all(a in prop::collection::vec(0u64..100_000, 0..200), b in prop::collection::vec(0u64..100_000, 0..200)) {
            let mut merged = of(a.iter().copied());
            merged.add(&of(b.iter().copied()));
            let all = of(a.into_iter().chain(b));
            prop_assert_eq!(merged.percentiles(), all.percentiles());
            prop_assert_eq!(merged.count(), all.count());
        }
    }
}
