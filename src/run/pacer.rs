//! The absolute schedule of `--rate`: transaction i is meant to be requested at start + i / rate.
//!
//! The schedule never shifts: when a transaction is late, the next ones are still meant to be on time, so a pause in
//! the generator shows as latency instead of disappearing (no coordinated omission).

use std::time::Duration;

use tokio::time::Instant;

/// When each transaction is meant to be requested.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pacer {
    start: Instant,
    rate: f64,
}

impl Pacer {
    /// A schedule of `rate` transactions per second, which must be finite and above 0, from `start` on.
    pub(super) fn new(start: Instant, rate: f64) -> Self {
        debug_assert!(rate.is_finite() && rate > 0.0);
        Self { start, rate }
    }

    /// When the transaction with this index, counted from 0, is meant to be requested.
    pub(super) fn due(&self, index: u64) -> Instant {
        // A rate so low that the moment lies beyond the clock's range means "never" in practice: a year from the start.
        const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
        let after = Duration::try_from_secs_f64(index as f64 / self.rate).unwrap_or(FAR).min(FAR);
        self.start + after
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_thousand_per_second_are_a_millisecond_apart() {
        let start = Instant::now();
        let pacer = Pacer::new(start, 1000.0);
        assert_eq!(pacer.due(0), start);
        assert_eq!(pacer.due(1), start + Duration::from_millis(1));
        assert_eq!(pacer.due(60_000), start + Duration::from_secs(60));
    }

    #[test]
    fn a_rate_next_to_nothing_does_not_overflow_the_clock() {
        let start = Instant::now();
        assert!(Pacer::new(start, f64::MIN_POSITIVE).due(u64::MAX) > start);
    }

    proptest! {
        #[test]
        fn the_schedule_never_goes_back_and_never_drifts(rate in 0.001f64..1e6, index in 0u64..10_000_000) {
            let start = Instant::now();
            let pacer = Pacer::new(start, rate);
            prop_assert!(pacer.due(index) <= pacer.due(index + 1));
            let exact = (index as f64 / rate).min(365.0 * 24.0 * 3600.0);
            let is = (pacer.due(index) - start).as_secs_f64();
            prop_assert!((is - exact).abs() < 1e-6 + exact * 1e-12);
        }
    }
}
