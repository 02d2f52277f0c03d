//! Where a run's transactions went on Cosmos DB: a model of its physical partitions.
//!
//! RU/s are split evenly over the physical partitions, one for each 10,000 RU/s or so, and a partition key lives on one
//! of them. So a stream that favours a key cannot use all that is provisioned. The service's own hash places the keys;
//! the borders between the partitions are assumed to be even, which they are as long as none has been split or merged.

use txgen_azure::cosmos::partition_key::PartitionKey;
use txgen_azure::cosmos::partitions::Partitions;

/// RU/s for each physical partition at most.
const RU_PER_PARTITION: u32 = 10_000;
/// Partitions that are distinguished at most: ten times what the service lets anyone provision. A summary may be foreign.
const MOST_PARTITIONS: u32 = 1000;

/// The keys of a run over the physical partitions of its container.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// RU/s provisioned, over all partitions.
    pub provisioned: u32,
    /// In the order of their hashes.
    pub partitions: Vec<Partition>,
    /// The share of transactions whose key is not known by name, and which are therefore in no partition here.
    pub unplaced: f64,
}

/// One physical partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partition {
    /// The share of the run's transactions, from 0 to 1.
    pub share: f64,
    /// The keys that live on it with their shares of the run's transactions, the busiest first.
    pub keys: Vec<(String, f64)>,
}

impl Placement {
    /// Places keys with their counts, and `other` transactions without a known key. `physical_partitions` is how many
    /// there are, where the service says so; otherwise as many as `provisioned` RU/s need.
    #[must_use]
    pub fn of<'a>(
        keys: impl IntoIterator<Item = (&'a String, &'a u64)>,
        other: u64,
        provisioned: u32,
        physical_partitions: Option<usize>,
    ) -> Self {
        let count = physical_partitions.and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0);
        let needed = count.map_or(provisioned, |count| count.saturating_mul(RU_PER_PARTITION));
        let borders = Partitions::for_throughput(needed.min(MOST_PARTITIONS * RU_PER_PARTITION));
        let mut partitions = vec![Partition::default(); borders.ranges().len()];
        let keys: Vec<_> = keys.into_iter().collect();
        let all = (keys.iter().map(|(_, count)| **count).sum::<u64>() + other).max(1) as f64;
        for (key, count) in keys {
            let share = *count as f64 / all;
            let partition = &mut partitions[borders.index_of(PartitionKey::String(key.clone()).effective())];
            partition.share += share;
            partition.keys.push((key.clone(), share));
        }
        for partition in &mut partitions {
            partition.keys.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        }
        Self { provisioned, partitions, unplaced: other as f64 / all }
    }

    /// The number of the partition with most of the transactions, counted from 0.
    #[must_use]
    pub fn hottest(&self) -> usize {
        let shares = self.partitions.iter().map(|partition| partition.share).enumerate();
        shares.fold((0, 0.0), |most, this| if this.1 > most.1 { this } else { most }).0
    }

    /// What one partition may spend, in RU/s.
    #[must_use]
    pub fn share_of_throughput(&self) -> f64 {
        f64::from(self.provisioned) / self.partitions.len() as f64
    }

    /// The most that this stream of keys can spend before the hottest partition is throttled, in RU/s.
    #[must_use]
    pub fn usable(&self) -> f64 {
        let hottest = self.partitions[self.hottest()].share;
        if hottest > 0.0 {
            f64::from(self.provisioned).min(self.share_of_throughput() / hottest)
        } else {
            f64::from(self.provisioned)
        }
    }

    /// Keys that alone ask for more than an even share of the RU/s, with their shares of the transactions, the busiest
    /// first. Empty with one partition, where every key may use everything.
    #[must_use]
    pub fn outgrown(&self) -> Vec<(&str, f64)> {
        if self.partitions.len() < 2 {
            return Vec::new();
        }
        let even = 1.0 / self.partitions.len() as f64;
        let mut keys: Vec<_> = self
            .partitions
            .iter()
            .flat_map(|partition| &partition.keys)
            .filter(|(_, share)| *share > even)
            .map(|(key, share)| (key.as_str(), *share))
            .collect();
        keys.sort_by(|a, b| b.1.total_cmp(&a.1));
        keys
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn keys(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        counts.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect()
    }

    #[test]
    fn a_key_that_is_more_than_half_of_the_stream_outgrows_one_of_two_partitions() {
        let placement = Placement::of(&keys(&[("us", 60), ("ca", 30), ("gb", 10)]), 0, 15_000, None);
        assert_eq!(placement.partitions.len(), 2);
        assert_eq!(placement.outgrown(), [("us", 0.6)]);
        let hottest = &placement.partitions[placement.hottest()];
        assert!(hottest.share >= 0.6 && hottest.keys[0].0 == "us", "{placement:?}");
        assert!((placement.usable() - 7500.0 / hottest.share).abs() < 1e-6);
    }

    #[test]
    fn one_partition_is_never_outgrown_and_an_even_stream_uses_everything() {
        let one = Placement::of(&keys(&[("us", 100)]), 0, 700, None);
        assert_eq!((one.partitions.len(), one.outgrown(), one.usable()), (1, Vec::new(), 700.0));
        assert_eq!(Placement::of(&keys(&[]), 0, 15_000, None).usable(), 15_000.0);
    }

    #[test]
    fn the_services_own_number_of_partitions_counts_and_unknown_keys_are_told_apart() {
        let placement = Placement::of(&keys(&[("us", 30), ("ca", 30)]), 40, 15_000, Some(4));
        assert_eq!((placement.partitions.len(), placement.unplaced), (4, 0.4));
        assert_eq!(placement.outgrown().len(), 2);
    }
}
