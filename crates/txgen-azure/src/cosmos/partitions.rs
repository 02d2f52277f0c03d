//! Physical partitions: how the ring of hashes is cut into partition key ranges, and how they split.
//!
//! The service gives each physical partition at most 10,000 RU/s
//! (<https://learn.microsoft.com/azure/cosmos-db/partitioning-overview#physical-partitions>). Raising the throughput
//! above what the partitions can serve splits them in two; lowering it never merges them, here as there.

use super::partition_key::Epk;

/// The most that one physical partition serves, in RU/s.
const RU_PER_PARTITION: u32 = 10_000;

/// One physical partition: all keys from `min` to just before `max`.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// Its id, as clients see it.
    pub id: u32,
    /// The first key.
    pub min: Epk,
    /// The key after the last one.
    pub max: Epk,
    /// The ids of the ranges that it was split off from, oldest first.
    pub parents: Vec<u32>,
}

impl Range {
    #[cfg(test)]
    fn contains(&self, key: Epk) -> bool {
        self.min <= key && key < self.max
    }
}

/// The physical partitions of a database or container: in order, without gap or overlap.
#[derive(Clone, Debug)]
pub struct Partitions {
    ranges: Vec<Range>,
    next_id: u32,
}

impl Partitions {
    /// As many equal partitions as this throughput (RU/s) needs.
    pub fn for_throughput(throughput: u32) -> Self {
        let count = needed(throughput);
        let bound = |i: u32| match i {
            0 => Epk::MIN,
            i if i == count => Epk::MAX,
            i => Epk::from_number(Epk::END_OF_HASHES / u128::from(count) * u128::from(i)),
        };
        let range = |id| Range { id, min: bound(id), max: bound(id + 1), parents: Vec::new() };
        Self { ranges: (0..count).map(range).collect(), next_id: count }
    }

    /// Splits every partition in two until there are enough for this throughput (RU/s); returns how often it did.
    pub fn grow_for(&mut self, throughput: u32) -> u32 {
        let mut times = 0;
        while self.ranges.len() < needed(throughput) as usize {
            self.split_all();
            times += 1;
        }
        times
    }

    fn split_all(&mut self) {
        let mut next_id = self.next_id;
        self.ranges = std::mem::take(&mut self.ranges)
            .into_iter()
            .flat_map(|range| {
                let end = range.max.number().min(Epk::END_OF_HASHES);
                let middle = Epk::from_number(range.min.number() + (end - range.min.number()) / 2);
                let parents: Vec<u32> = range.parents.iter().copied().chain([range.id]).collect();
                let first = Range { id: next_id, min: range.min, max: middle, parents: parents.clone() };
                let second = Range { id: next_id + 1, min: middle, max: range.max, parents };
                next_id += 2;
                [first, second]
            })
            .collect();
        self.next_id = next_id;
    }

    /// In the order of their keys.
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Where in [`Self::ranges`] the partition is that holds this key.
    pub fn index_of(&self, key: Epk) -> usize {
        // The first range starts at the start of the ring, so there is always one at or before the key.
        self.ranges.partition_point(|range| range.min <= key).saturating_sub(1)
    }

    /// The partition with this id; `None` when it never was, or was split.
    pub fn find(&self, id: u32) -> Option<&Range> {
        self.ranges.iter().find(|range| range.id == id)
    }

    /// Changes whenever the partitions do.
    pub fn version(&self) -> u32 {
        self.next_id
    }
}

/// How many partitions serve this throughput (RU/s): at least one.
fn needed(throughput: u32) -> u32 {
    throughput.div_ceil(RU_PER_PARTITION).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosmos::partition_key::PartitionKey;

    fn assert_gapless(partitions: &Partitions) {
        let ranges = partitions.ranges();
        assert_eq!(ranges[0].min, Epk::MIN);
        assert_eq!(ranges[ranges.len() - 1].max, Epk::MAX);
        for pair in ranges.windows(2) {
            assert!(pair[0].min < pair[0].max);
            assert_eq!(pair[0].max, pair[1].min);
        }
    }

    #[test]
    fn there_is_one_partition_for_each_10000_request_units() {
        for (throughput, count) in [(400, 1), (10_000, 1), (10_100, 2), (15_000, 2), (20_000, 2), (100_000, 10)] {
            let partitions = Partitions::for_throughput(throughput);
            assert_eq!(partitions.ranges().len(), count, "{throughput} RU/s");
            assert_gapless(&partitions);
        }
    }

    #[test]
    fn partitions_split_in_two_and_never_merge() {
        let mut partitions = Partitions::for_throughput(15_000);
        assert_eq!(partitions.grow_for(25_000), 1);
        assert_gapless(&partitions);
        let family: Vec<_> = partitions.ranges().iter().map(|range| (range.id, range.parents.clone())).collect();
        assert_eq!(family, [(2, vec![0]), (3, vec![0]), (4, vec![1]), (5, vec![1])]);
        assert_eq!(partitions.grow_for(400), 0);
        assert_eq!(partitions.ranges().len(), 4);
        assert_eq!(partitions.grow_for(70_000), 1);
        assert_eq!(partitions.ranges()[0].parents, [0, 2]);
    }

    #[test]
    fn each_key_is_in_the_one_partition_that_its_index_names() {
        let partitions = Partitions::for_throughput(70_000);
        for key in ["us", "ca", "gb", "", "unk"] {
            let epk = PartitionKey::String(key.to_owned()).effective();
            let index = partitions.index_of(epk);
            let holders: Vec<_> = (0..7).filter(|&i| partitions.ranges()[i].contains(epk)).collect();
            assert_eq!(holders, [index], "{key}");
        }
    }
}
