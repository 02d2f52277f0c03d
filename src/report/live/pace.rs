//! How fast a service is going, over the latest few seconds.

use std::collections::VecDeque;
use std::time::Duration;

/// The stretch of time that a pace is about: throttling strikes second by second, which a shorter one would show as
/// leaps.
const STRETCH: Duration = Duration::from_secs(5);

/// What a service has done at a few recent moments.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// The oldest first; the first one is the latest that is at least a whole stretch old, or the very first.
    moments: VecDeque<Reading>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Duration,
    succeeded: u64,
    settled: u64,
    request_units: f64,
}

impl Pace {
    /// Notes what is done after this time; times only grow.
    pub fn observe(&mut self, at: Duration, succeeded: u64, settled: u64, request_units: f64) {
        if self.moments.is_empty() {
            self.moments.push_back(Reading { at: Duration::ZERO, succeeded: 0, settled: 0, request_units: 0.0 });
        }
        self.moments.push_back(Reading { at, succeeded, settled, request_units });
        while self.moments.get(1).is_some_and(|second| at.saturating_sub(second.at) >= STRETCH) {
            self.moments.pop_front();
        }
    }

    /// Transactions stored per second.
    #[must_use]
    pub fn writes_per_second(&self) -> f64 {
        self.per_second(|reading| reading.succeeded as f64)
    }

    /// Request units charged per second.
    #[must_use]
    pub fn request_units_per_second(&self) -> f64 {
        self.per_second(|reading| reading.request_units)
    }

    /// How long it takes until this many more are settled; `None` while nothing moves.
    #[must_use]
    pub fn time_for(&self, transactions: u64) -> Option<Duration> {
        if transactions == 0 {
            return Some(Duration::ZERO);
        }
        let per_second = self.per_second(|reading| reading.settled as f64);
        if per_second > 0.0 { Duration::try_from_secs_f64(transactions as f64 / per_second).ok() } else { None }
    }

    fn per_second(&self, of: impl Fn(&Reading) -> f64) -> f64 {
        let (Some(first), Some(last)) = (self.moments.front(), self.moments.back()) else { return 0.0 };
        let seconds = last.at.saturating_sub(first.at).as_secs_f64();
        if seconds > 0.0 { (of(last) - of(first)).max(0.0) / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(readings: impl IntoIterator<Item = (u64, u64)>) -> Pace {
        let mut pace = Pace::default();
        for (millis, done) in readings {
            pace.observe(Duration::from_millis(millis), done, done, done as f64 * 15.0);
        }
        pace
    }

    #[test]
    fn nothing_seen_is_no_pace_and_no_forecast() {
        let pace = after([]);
        assert_eq!((pace.writes_per_second(), pace.time_for(5)), (0.0, None));
        assert_eq!(pace.time_for(0), Some(Duration::ZERO));
    }

    #[test]
    fn at_first_the_pace_is_that_since_the_start() {
        let pace = after([(500, 100), (1000, 300)]);
        assert_eq!((pace.writes_per_second(), pace.request_units_per_second()), (300.0, 4500.0));
        assert_eq!(pace.time_for(600), Some(Duration::from_secs(2)));
    }

    #[test]
    fn only_the_latest_seconds_count() {
        let pace = after((0..=200).map(|i| (i * 100, if i < 100 { 0 } else { (i - 100) * 10 })));
        assert_eq!(pace.writes_per_second(), 100.0);
        assert!(pace.moments.len() <= 52);
    }

    #[test]
    fn a_service_that_stalls_has_no_forecast() {
        let pace = after((0..=200).map(|i| (i * 100, 50)));
        assert_eq!(pace.time_for(1), None);
    }
}
