//! Throughput units: how much the namespace takes in each second.

/// Bytes a second of one throughput unit. Source:
/// <https://learn.microsoft.com/azure/event-hubs/event-hubs-scalability#throughput-units>.
const BYTES_PER_UNIT: u64 = 1_000_000;
/// Events a second of one throughput unit.
const EVENTS_PER_UNIT: u64 = 1_000;

/// Counts what came in during the current second.
#[derive(Debug)]
pub(super) struct Throttle {
    bytes_per_second: u64,
    events_per_second: u64,
    second: i64,
    bytes: u64,
    events: u64,
}

impl Throttle {
    /// A namespace with so many throughput units; 0 counts as 1.
    pub(super) fn new(units: u32) -> Self {
        let units = u64::from(units.max(1));
        Self {
            bytes_per_second: units * BYTES_PER_UNIT,
            events_per_second: units * EVENTS_PER_UNIT,
            second: i64::MIN,
            bytes: 0,
            events: 0,
        }
    }

    /// Whether so much more may come in at this time, in milliseconds since 1970-01-01 UTC; if so it is counted.
    ///
    /// The delivery that crosses the limit still comes in, so that one larger than a second's worth ever can.
    pub(super) fn admit(&mut self, events: u64, bytes: u64, now_ms: i64) -> bool {
        let second = now_ms.div_euclid(1000);
        if second != self.second {
            (self.second, self.bytes, self.events) = (second, 0, 0);
        }
        if self.bytes >= self.bytes_per_second || self.events >= self.events_per_second {
            return false;
        }
        self.bytes += bytes;
        self.events += events;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_takes_a_thousand_events_in_each_second() {
        let mut throttle = Throttle::new(1);
        let admitted = |throttle: &mut Throttle, now_ms| (0..3000).filter(|_| throttle.admit(1, 10, now_ms)).count();
        assert_eq!(admitted(&mut throttle, 5_000), 1000);
        assert_eq!(admitted(&mut throttle, 5_999), 0);
        assert_eq!(admitted(&mut throttle, 6_000), 1000);
    }

    #[test]
    fn a_unit_takes_a_megabyte_in_each_second() {
        let mut throttle = Throttle::new(2);
        assert_eq!((0..100).filter(|_| throttle.admit(1, 100_000, 0)).count(), 20);
    }
}
