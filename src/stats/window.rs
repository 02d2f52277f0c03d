//! The latest 1,000 settlements of a service: how long it took for them.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How many settlements the processing time is about, the same as the number of transactions in a batch.
const SETTLEMENTS: usize = 1000;

/// The times of a service's latest settlements.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The first send, then the settlements; once full, the oldest settlement takes the first send's place.
    times: VecDeque<Instant>,
}

/// The wall time that a service took for its latest settlements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processing {
    /// How many settlements: 1,000, or fewer when it has not settled more yet.
    pub settlements: usize,
    /// From the settlement (or the first send) before them to the last of them.
    pub time: Duration,
}

impl Processing {
    /// Whether it is about a whole window, so that two services' times can be compared.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.settlements == SETTLEMENTS
    }
}

impl Window {
    /// Notes a settlement; `first_sent` is when the service's first request left.
    pub(super) fn settled(&mut self, first_sent: Instant, now: Instant) {
        if self.times.is_empty() {
            self.times.push_back(first_sent);
        }
        if self.times.len() > SETTLEMENTS {
            self.times.pop_front();
        }
        self.times.push_back(now);
    }

    pub(super) fn processing(&self) -> Option<Processing> {
        let (first, last) = (self.times.front()?, self.times.back()?);
        Some(Processing { settlements: self.times.len() - 1, time: last.saturating_duration_since(*first) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(count: u64) -> Option<Processing> {
        let start = Instant::now();
        let mut window = Window::default();
        for i in 1..=count {
            window.settled(start, start + Duration::from_millis(i));
        }
        window.processing()
    }

    #[test]
    fn nothing_settled_has_no_processing_time() {
        assert_eq!(settle(0), None);
    }

    #[test]
    fn fewer_than_a_thousand_are_timed_from_the_first_send() {
        let processing = settle(640).unwrap();
        assert_eq!((processing.settlements, processing.time), (640, Duration::from_millis(640)));
        assert!(!processing.is_full());
    }

    #[test]
    fn only_the_latest_thousand_count() {
        let processing = settle(5500).unwrap();
        assert_eq!((processing.settlements, processing.time), (1000, Duration::from_secs(1)));
        assert!(processing.is_full());
    }
}
