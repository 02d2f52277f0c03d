//! Whether two runs differ by more than their own spread.
//!
//! The figures of a run's intervals are its sample. Intervals next to each other are not independent, so they are averaged
//! into batches first (the method of batch means; Law, *Simulation Modeling and Analysis*, section 9.5.3); the two samples
//! of batches are then held against each other by the Mann-Whitney U test (Mann and Whitney 1947,
//! <https://doi.org/10.1214/aoms/1177730491>), which asks nothing of how they are distributed.

use serde::Serialize;
use statrs::stats_tests::Alternative;
use statrs::stats_tests::mannwhitneyu::{MannWhitneyUMethod, mannwhitneyu};

/// Batches of a run at most.
pub(super) const MOST_BATCHES: usize = 20;
/// Batches of a run at least: the test's normal approximation holds from here on.
pub(super) const LEAST_BATCHES: usize = 8;
/// A difference that chance alone brings about less often than this is more than noise.
pub(super) const LEVEL: f64 = 0.01;

/// What the spread says of a difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The first run's batches, in the order of time.
    pub a: Vec<f64>,
    /// The second run's.
    pub b: Vec<f64>,
    /// How often chance alone would bring about at least this difference; `null` where there are too few batches.
    pub p: Option<f64>,
}

impl Spread {
    /// The spread of two runs, from their intervals' figures in the order of time.
    pub(super) fn of(a: &[f64], b: &[f64]) -> Self {
        let (a, b) = (batches(a), batches(b));
        let p = (a.len() >= LEAST_BATCHES && b.len() >= LEAST_BATCHES).then(|| probability(&a, &b)).flatten();
        Self { a, b, p }
    }

    /// Whether the difference is more than noise; `None` where that cannot be known.
    pub(super) fn is_more_than_noise(&self) -> Option<bool> {
        self.p.map(|p| p < LEVEL)
    }
}

/// Neighbours averaged, so that there are at most [`MOST_BATCHES`], of equal size; what is left over at the end joins
/// the last one.
fn batches(intervals: &[f64]) -> Vec<f64> {
    let size = intervals.len().div_ceil(MOST_BATCHES).max(1);
    let full = intervals.len() / size;
    let batch = |i: usize| &intervals[i * size..if i + 1 == full { intervals.len() } else { (i + 1) * size }];
    (0..full).map(|i| mean(batch(i))).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn probability(a: &[f64], b: &[f64]) -> Option<f64> {
    let method = MannWhitneyUMethod::AsymptoticInclContinuityCorrection;
    // Figures that cannot be compared come from a broken summary alone.
    let (_, p) = mannwhitneyu(a, b, method, Alternative::TwoSided).ok()?;
    p.is_finite().then_some(p)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `count` figures that go up and down around `level`.
    fn around(level: f64, count: usize) -> Vec<f64> {
        (0..count).map(|i| level + ((i * 7) % 11) as f64).collect()
    }

    #[test]
    fn runs_that_differ_by_more_than_they_spread_differ_by_more_than_noise() {
        assert_eq!(Spread::of(&around(100.0, 40), &around(120.0, 40)).is_more_than_noise(), Some(true));
        assert_eq!(Spread::of(&around(100.0, 40), &around(100.5, 37)).is_more_than_noise(), Some(false));
        assert_eq!(Spread::of(&[5.0; 20], &[5.0; 20]).is_more_than_noise(), Some(false), "nothing differs at all");
    }

    #[test]
    fn too_few_intervals_tell_nothing() {
        assert_eq!(Spread::of(&around(100.0, 7), &around(900.0, 40)).is_more_than_noise(), None);
        assert_eq!(Spread::of(&[], &[]).is_more_than_noise(), None);
    }

    /// Computed with scipy 1.17: `mannwhitneyu(a, b, method="asymptotic")`.
    #[test]
    fn the_probability_is_the_one_that_other_tools_compute() {
        let a = [19.0, 22.0, 16.0, 29.0, 24.0, 31.0, 27.0, 18.0];
        let b = [20.0, 11.0, 17.0, 12.0, 16.0, 10.0, 21.0, 14.0, 13.0];
        let p = Spread::of(&a, &b).p.unwrap();
        assert!((p - 0.007_018_742_284_173).abs() < 1e-9, "{p}");
    }

    proptest! {
        #[test]
        fn there_are_few_batches_and_they_keep_the_level(figures in prop::collection::vec(0.0_f64..1e6, 0..700)) {
            let batches = batches(&figures);
            prop_assert!(batches.len() <= MOST_BATCHES);
            prop_assert_eq!(batches.is_empty(), figures.is_empty());
            let (least, most) = figures.iter().fold((f64::INFINITY, 0.0_f64), |(l, m), v| (l.min(*v), m.max(*v)));
            prop_assert!(batches.iter().all(|batch| (least - 1e-6..=most + 1e-6).contains(batch)));
        }
    }
}
