//! The account's clock: Unix seconds for documents, time since the start for throughput. It can be put forward, so that
//! a test or a demonstration need not wait for a time to live to pass.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock that goes with the machine's steady one from where the system's stood at the start.
pub(super) struct Clock {
    started: Instant,
    started_at: Duration,
    skipped_ms: AtomicU64,
}

impl Clock {
    pub(super) fn start() -> Self {
        let started_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_at, skipped_ms: AtomicU64::new(0) }
    }

    /// Puts the clock forward.
    pub(super) fn skip(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.skipped_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Time since the start.
    pub(super) fn uptime(&self) -> Duration {
        self.started.elapsed() + Duration::from_millis(self.skipped_ms.load(Ordering::Relaxed))
    }

    /// Seconds since 1970-01-01 UTC.
    pub(super) fn unix(&self) -> u32 {
        // Good until 2106, like the service's own `_ts` in most clients.
        u32::try_from((self.started_at + self.uptime()).as_secs()).unwrap_or(u32::MAX)
    }
}
