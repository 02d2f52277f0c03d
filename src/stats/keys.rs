//! How often each partition key was requested: which keys are hot.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;

/// Keys that are told apart at most; what comes after them is counted together.
const TOLD_APART: usize = 4096;
/// Keys that are reported by name.
pub(super) const REPORTED: usize = 256;

/// Requests by partition key, in bounded memory.
#[derive(Clone, Debug, Default)]
pub(super) struct PartitionKeys {
    /// Hashed in a few nanoseconds; who makes keys collide slows down their own run alone.
    counts: HashMap<Arc<str>, u64, RandomState>,
    other: u64,
}

impl PartitionKeys {
    /// Counts one request.
    pub(super) fn requested(&mut self, key: &Arc<str>) {
        if let Some(count) = self.counts.get_mut(key) {
            *count += 1;
        } else if self.counts.len() < TOLD_APART {
            self.counts.insert(Arc::clone(key), 1);
        } else {
            self.other += 1;
        }
    }

    /// The busiest keys with their counts, the busiest first, at most `most` of them.
    pub(super) fn busiest(&self, most: usize) -> Vec<(Arc<str>, u64)> {
        let mut keys: Vec<_> = self.counts.iter().map(|(key, count)| (Arc::clone(key), *count)).collect();
        keys.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        keys.truncate(most);
        keys
    }

    /// The 256 busiest keys, and how many requests had another key.
    pub(super) fn report(&self) -> (BTreeMap<String, u64>, u64) {
        let busiest: BTreeMap<String, u64> =
            self.busiest(REPORTED).into_iter().map(|(key, count)| (key.to_string(), count)).collect();
        let all = self.counts.values().sum::<u64>() + self.other;
        let other = all - busiest.values().sum::<u64>();
        (busiest, other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_keys_come_first_and_no_request_is_lost_from_the_count() {
        let mut keys = PartitionKeys::default();
        for number in 0..5000 {
            keys.requested(&number.to_string().into());
        }
        let us: Arc<str> = "7".into();
        keys.requested(&us);
        assert_eq!(keys.busiest(1), [("7".into(), 2)]);
        let (named, other) = keys.report();
        assert_eq!((named.len(), named["7"]), (256, 2));
        assert_eq!(named.values().sum::<u64>() + other, 5001);
    }
}
