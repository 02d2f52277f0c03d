//! How long one transaction is tried for. Two budgets that do not touch: throttling is waited out by the clock, losses
//! and outages by the number of repeats.

use std::time::{Duration, Instant};

/// Repeats after losses and outages. Together they last 11 to 22 s when each attempt fails at once.
const MOST_REPEATS: u32 = 8;

/// The wait before the first repeat; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest wait between repeats, before jitter.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The least wait after a 429, so that a retry-after of nothing is no busy loop.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// What is left of both budgets.
#[derive(Debug)]
pub(super) struct Patience {
    throttle_wait: Duration,
    throttled_since: Option<Instant>,
    throttled: u32,
    repeats: u32,
}

impl Patience {
    /// Waits out throttling for `throttle_wait`, counted from the first 429.
    pub(super) fn new(throttle_wait: Duration) -> Self {
        Self { throttle_wait, throttled_since: None, throttled: 0, repeats: 0 }
    }

    /// How long to wait after a 429 that came `now`: as the service says, else growing. `None` once that would pass
    /// the throttle wait.
    pub(super) fn after_throttling(&mut self, now: Instant, retry_after: Option<Duration>) -> Option<Duration> {
        let since = *self.throttled_since.get_or_insert(now);
        let wait = retry_after.unwrap_or_else(|| doubled(self.throttled)).max(LEAST_WAIT);
        self.throttled += 1;
        (now.duration_since(since) + wait <= self.throttle_wait).then_some(wait)
    }

    /// How long to wait before the next repeat; `None` once all are spent. `jitter`, from 0 to 1, keeps those who lost
    /// their connection together from coming back together.
    pub(super) fn after_loss(&mut self, jitter: f64) -> Option<Duration> {
        let wait = (self.repeats < MOST_REPEATS).then(|| doubled(self.repeats).mul_f64(1.0 + jitter.clamp(0.0, 1.0)));
        self.repeats += 1;
        wait
    }
}

fn doubled(times: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << times.min(10)).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn throttling_is_waited_out_as_the_service_says() {
        let mut patience = Patience::new(Duration::from_secs(120));
        let now = Instant::now();
        assert_eq!(patience.after_throttling(now, Some(MS(37))), Some(MS(37)));
        assert_eq!(patience.after_throttling(now + MS(40), Some(Duration::ZERO)), Some(MS(1)));
    }

    #[test]
    fn throttling_without_a_retry_after_is_waited_out_with_growing_steps() {
        let mut patience = Patience::new(Duration::from_secs(120));
        let now = Instant::now();
        let waits: Vec<_> = (0..8).map_while(|_| patience.after_throttling(now, None)).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000].map(MS));
    }

    #[test]
    fn throttling_ends_the_wait_at_the_throttle_wait_counted_from_the_first() {
        let mut patience = Patience::new(Duration::from_secs(10));
        let first = Instant::now();
        assert_eq!(patience.after_throttling(first, Some(MS(10_000))), Some(MS(10_000)));
        assert_eq!(patience.after_throttling(first + MS(9_000), Some(MS(1_000))), Some(MS(1_000)));
        assert_eq!(patience.after_throttling(first + MS(9_001), Some(MS(1_000))), None);
    }

    #[test]
    fn losses_are_repeated_a_bounded_number_of_times_with_growing_jittered_waits() {
        let mut patience = Patience::new(Duration::ZERO);
        let waits: Vec<_> = std::iter::from_fn(|| patience.after_loss(0.0)).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000].map(MS));
        assert_eq!(patience.after_loss(0.0), None);
        assert_eq!(Patience::new(Duration::ZERO).after_loss(0.5), Some(MS(150)));
        assert_eq!(Patience::new(Duration::ZERO).after_loss(9.0), Some(MS(200)));
    }

    #[test]
    fn throttling_and_losses_have_budgets_of_their_own() {
        let mut patience = Patience::new(Duration::from_secs(1));
        while patience.after_loss(0.0).is_some() {}
        assert_eq!(patience.after_throttling(Instant::now(), Some(MS(5))), Some(MS(5)));
    }
}
