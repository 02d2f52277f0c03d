//! Latencies as HDR histograms: every one is counted, in constant memory, with an error under 0.1 %.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer, V2Serializer};
use serde::{Deserialize, Serialize};

/// The longest latency that is distinguished; longer ones count as this long.
const LONGEST: Duration = Duration::from_secs(3600);

/// A distribution of latencies, kept in microseconds with three significant digits.
///
/// Serialises as text: base64 of the HDR histogram's V2 encoding, compressed with DEFLATE, which the HDR tools of other
/// languages read: <https://github.com/HdrHistogram/HdrHistogram>. Of the longest latency that keeps three digits.
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

/// Equal when they count the same latencies.
impl PartialEq for Latencies {
    fn eq(&self, other: &Self) -> bool {
        self.max == other.max && self.histogram == other.histogram
    }
}

/// A text or bytes that hold no histogram of latencies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an HDR histogram of latencies: {0}")]
pub struct InvalidHistogram(String);

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

    /// The histogram itself, in microseconds.
    #[must_use]
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }

    /// The same with the longest latency as it was measured, in milliseconds, where an encoded histogram has kept three
    /// digits of it.
    #[must_use]
    pub fn with_max(mut self, max_ms: f64) -> Self {
        if self.count() > 0 && max_ms.is_finite() {
            self.max = (max_ms * 1000.0).round() as u64;
        }
        self
    }

    /// How many were at most as long as each of these bounds, but longer than the one before; bounds ascend.
    #[must_use]
    pub fn buckets(&self, bounds: &[Duration]) -> Vec<u64> {
        let mut counts = vec![0; bounds.len()];
        for step in self.histogram.iter_recorded() {
            // The shortest that is not distinguished from it: a latency of exactly a bound counts as within it.
            let shortest = self.histogram.lowest_equivalent(step.value_iterated_to());
            let bucket = bounds.partition_point(|bound| bound.as_micros() < u128::from(shortest));
            if let Some(count) = counts.get_mut(bucket) {
                *count += step.count_at_value();
            }
        }
        counts
    }

    /// All of them one after the other, within a thousandth; never falls while latencies are counted.
    #[must_use]
    pub fn sum(&self) -> Duration {
        let micros = self.histogram.iter_recorded().map(|step| {
            u128::from(self.histogram.median_equivalent(step.value_iterated_to())) * u128::from(step.count_at_value())
        });
        Duration::from_micros(u64::try_from(micros.sum::<u128>()).unwrap_or(u64::MAX))
    }

    /// The latency, in milliseconds, that this share of all latencies (0 to 1) does not exceed; 0 when nothing was
    /// counted.
    #[must_use]
    pub fn at(&self, quantile: f64) -> f64 {
        // A bucket's upper edge can lie above the largest value that was counted; no percentile exceeds the maximum.
        self.histogram.value_at_quantile(quantile).min(self.max) as f64 / 1000.0
    }

    /// The figures that are reported, in milliseconds; all 0 when nothing was counted.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        if self.histogram.is_empty() {
            return Percentiles::default();
        }
        let ms = |micros: u64| micros as f64 / 1000.0;
        let at = |quantile| self.at(quantile);
        Percentiles {
            p50: at(0.50),
            p90: at(0.90),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(self.max),
            mean: round3(self.histogram.mean() / 1000.0),
        }
    }

    /// A small copy to be kept for a while: the V2 encoding, uncompressed.
    pub(super) fn pack(&self) -> Packed {
        let mut bytes = Vec::new();
        // Writing to memory cannot fail, and the encoding takes every histogram of these bounds.
        let written = V2Serializer::new().serialize(&self.histogram, &mut bytes);
        debug_assert!(written.is_ok());
        Packed { bytes: bytes.into_boxed_slice(), max: self.max }
    }

    /// Counts everything that was counted when this copy was made.
    pub(super) fn add_packed(&mut self, packed: &Packed) {
        let unpacked = Self::decode(&packed.bytes);
        debug_assert!(unpacked.is_ok());
        if let Ok(unpacked) = unpacked {
            self.add(&Self { max: packed.max, ..unpacked });
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, InvalidHistogram> {
        let mut input = bytes;
        let decoded: Histogram<u64> =
            Deserializer::new().deserialize(&mut input).map_err(|error| InvalidHistogram(error.to_string()))?;
        // Foreign bounds are brought to ours, so that histograms can be added without looking at them again.
        let mut latencies = Self::default();
        latencies.histogram.add(&decoded).map_err(|error| InvalidHistogram(error.to_string()))?;
        latencies.max = latencies.histogram.max().min(LONGEST.as_micros() as u64);
        Ok(latencies)
    }
}

/// An encoded distribution, at a hundredth of the size.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    bytes: Box<[u8]>,
    max: u64,
}

impl Serialize for Latencies {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.histogram, &mut bytes).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD
            .decode(text)
            .map_err(|error| serde::de::Error::custom(InvalidHistogram(error.to_string())))?;
        Self::decode(&bytes).map_err(serde::de::Error::custom)
    }
}

fn round3(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// What is reported of a distribution, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    fn a_latency_of_exactly_a_bound_is_within_it_and_one_beyond_the_last_in_no_bucket() {
        let bounds = [10, 100, 1000].map(Duration::from_millis);
        assert_eq!(of([1, 10, 11, 100, 100, 999, 5000]).buckets(&bounds), [2, 3, 1]);
    }

    #[test]
    fn a_latency_over_an_hour_counts_as_an_hour() {
        assert_eq!(of([7_200_000]).percentiles().max, 3_600_000.0);
    }

    #[test]
    fn a_text_that_holds_no_histogram_is_refused() {
        let mut two_hours = Histogram::<u64>::new_with_bounds(1, 10_000_000_000, 3).unwrap();
        two_hours.record(7_200_000_000).unwrap();
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&two_hours, &mut bytes).unwrap();
        let two_hours = BASE64_STANDARD.encode(bytes);
        for text in ["", "!", "aGVsbG8=", "HISTFAAAAAB42g==", &two_hours] {
            let error = serde_json::from_value::<Latencies>(text.into()).unwrap_err().to_string();
            assert!(error.starts_with("not an HDR histogram of latencies"), "{error}");
        }
    }

    proptest! {
        // Unoptimised, a histogram takes its time.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn the_sum_is_right_within_a_thousandth(millis in prop::collection::vec(0u64..100_000, 0..200)) {
            let should = millis.iter().sum::<u64>() as f64;
            let is = of(millis).sum().as_secs_f64() * 1000.0;
            prop_assert!((is - should).abs() <= should / 1000.0, "{is} is not {should}");
        }

        #[test]
        fn a_distribution_survives_being_written_and_read(millis in prop::collection::vec(0u64..4_000_000, 0..200)) {
            let latencies = of(millis);
            let read: Latencies = serde_json::from_value(serde_json::to_value(&latencies).unwrap()).unwrap();
            prop_assert_eq!(read.with_max(latencies.percentiles().max), latencies.clone());
            let mut unpacked = Latencies::default();
            unpacked.add_packed(&latencies.pack());
            prop_assert_eq!(unpacked, latencies);
        }

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
