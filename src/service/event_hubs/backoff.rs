//! How long to wait before the next try: growing, capped, and jittered, so that thousands of transactions that were
//! turned away together do not come back together.

use std::time::Duration;

use rand::{Rng, RngExt as _};

/// A series of waits. Each is drawn from the upper half of a span that doubles up to a cap ("equal jitter",
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>): it keeps a floor, which a service that
/// asked for peace deserves.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    span: Duration,
    cap: Duration,
}

impl Backoff {
    /// After `com.microsoft:server-busy`. Throughput units are counted by the second, so waits soon pass one second.
    pub(super) fn when_busy() -> Self {
        Self { span: Duration::from_millis(250), cap: Duration::from_secs(15) }
    }

    /// After a lost connection, or an answer that asks for a repeat.
    pub(super) fn when_lost() -> Self {
        Self { span: Duration::from_millis(50), cap: Duration::from_secs(10) }
    }

    /// The next wait.
    pub(super) fn next(&mut self, rng: &mut impl Rng) -> Duration {
        let span = self.span;
        self.span = self.cap.min(span.saturating_mul(2));
        span.mul_f64(rng.random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_stay_in_the_upper_half_of_their_span() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut backoff = Backoff { span: Duration::from_millis(100), cap: Duration::from_millis(500) };
        for span in [100, 200, 400, 500, 500, 500].map(Duration::from_millis) {
            let wait = backoff.next(&mut rng);
            assert!(wait >= span / 2 && wait <= span, "{wait:?} of {span:?}");
        }
    }

    #[test]
    fn two_that_are_turned_away_together_do_not_come_back_together() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let (mut one, mut other) = (Backoff::when_busy(), Backoff::when_busy());
        assert_ne!(one.next(&mut rng), other.next(&mut rng));
    }
}
