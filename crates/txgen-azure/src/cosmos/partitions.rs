//! Physical partitions: how the ring of hashes is cut into partition key ranges, and how they split.
//!
//! The service gives each physical partition at most 10,000 RU/s
//! (<https://learn.microsoft.com/azure/cosmos-db/partitioning-overview#physical-partitions>); a container with a
//! throughput of its own starts with one for each 6,000 RU/s
//! (<https://learn.microsoft.com/azure/cosmos-db/scaling-provisioned-throughput-best-practices>). Raising the throughput
//! above what the partitions can serve splits as many of them in two as it takes; lowering it never merges them, here as
//! there.

use super::partition_key::Epk;

/// The most that one physical partition serves, in RU/s.
const RU_PER_PARTITION: u32 = 10_000;

/// How many RU/s a new container has for each of its physical partitions, at most. A throughput that one partition can
/// serve alone starts with one.
const RU_PER_NEW_PARTITION: u32 = 6_000;

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
    /// As many equal partitions as it takes to serve this throughput (RU/s).
    pub fn for_throughput(throughput: u32) -> Self {
        Self::even(needed(throughput))
    }

    /// As many equal partitions as a new container has that this throughput (RU/s) is for alone.
    pub fn for_container(throughput: u32) -> Self {
        Self::even(match throughput {
            0..=RU_PER_PARTITION => 1,
            more => more.div_ceil(RU_PER_NEW_PARTITION),
        })
    }

    /// These partitions, of which the next new one gets the id `next_id`; `None` when they are not in order, leave a gap or
    /// overlap.
    pub fn from_ranges(ranges: Vec<Range>, next_id: u32) -> Option<Self> {
        let begins = ranges.first().is_some_and(|first| first.min == Epk::MIN);
        let ends = ranges.last().is_some_and(|last| last.max == Epk::MAX);
        let is_sound = ranges.windows(2).all(|pair| pair[0].max == pair[1].min)
            && ranges.iter().all(|range| range.min < range.max && range.id < next_id);
        (begins && ends && is_sound).then_some(Self { ranges, next_id })
    }

    fn even(count: u32) -> Self {
        let bound = |i: u32| match i {
            0 => Epk::MIN,
            i if i == count => Epk::MAX,
            i => Epk::from_number(Epk::END_OF_HASHES / u128::from(count) * u128::from(i)),
        };
        let range = |id| Range { id, min: bound(id), max: bound(id + 1), parents: Vec::new() };
        Self { ranges: (0..count).map(range).collect(), next_id: count }
    }

    /// Splits partitions in two, the largest first, until there are enough for this throughput (RU/s). Tells where in
    /// [`Self::ranges`], as it was before each split, the partition stood that was split.
    pub fn grow_for(&mut self, throughput: u32) -> Vec<usize> {
        let mut split = Vec::new();
        while self.ranges.len() < needed(throughput) as usize {
            let size = |range: &Range| range.max.number().min(Epk::END_OF_HASHES) - range.min.number();
            // Of equal ones the first.
            let sizes = self.ranges.iter().map(size).enumerate();
            let Some((index, _)) = sizes.rev().max_by_key(|(_, size)| *size) else { return split };
            self.split(index);
            split.push(index);
        }
        split
    }

    fn split(&mut self, index: usize) {
        let range = self.ranges.remove(index);
        let end = range.max.number().min(Epk::END_OF_HASHES);
        let middle = Epk::from_number(range.min.number() + (end - range.min.number()) / 2);
        let parents: Vec<u32> = range.parents.iter().copied().chain([range.id]).collect();
        let first = Range { id: self.next_id, min: range.min, max: middle, parents: parents.clone() };
        let second = Range { id: self.next_id + 1, min: middle, max: range.max, parents };
        self.next_id += 2;
        self.ranges.splice(index..index, [first, second]);
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
    fn partitions_are_put_together_again_and_only_whole() {
        let mut partitions = Partitions::for_throughput(20_000);
        partitions.grow_for(30_000);
        let again = |ranges: &[Range], next_id| Partitions::from_ranges(ranges.to_vec(), next_id);
        assert_eq!(again(partitions.ranges(), partitions.version()).unwrap().ranges(), partitions.ranges());
        assert!(again(partitions.ranges(), 1).is_none());
        assert!(again(&partitions.ranges()[1..], 99).is_none());
        assert!(again(&[], 99).is_none());
    }

    #[test]
    fn a_new_container_has_a_partition_for_each_6000_request_units_beyond_what_one_serves() {
        for (throughput, count) in
            [(400, 1), (10_000, 1), (10_100, 2), (11_000, 2), (12_000, 2), (15_000, 3), (30_000, 5), (60_000, 10)]
        {
            let partitions = Partitions::for_container(throughput);
            assert_eq!(partitions.ranges().len(), count, "{throughput} RU/s");
            assert_gapless(&partitions);
        }
    }

    #[test]
    fn as_many_partitions_split_in_two_as_it_takes_and_never_merge() {
        let mut partitions = Partitions::for_throughput(11_000);
        assert_eq!(partitions.grow_for(25_000), [0]);
        assert_gapless(&partitions);
        let family: Vec<_> = partitions.ranges().iter().map(|range| (range.id, range.parents.clone())).collect();
        assert_eq!(family, [(2, vec![0]), (3, vec![0]), (1, vec![])]);
        assert!(partitions.grow_for(400).is_empty());
        assert_eq!(partitions.ranges().len(), 3);
        // The largest is the one that was not split yet.
        assert_eq!(partitions.grow_for(40_000), [2]);
        assert_eq!(partitions.grow_for(70_000), [0, 2, 4]);
        assert_eq!(partitions.ranges()[0].parents, [0, 2]);
        assert_gapless(&partitions);
        assert_eq!(Partitions::for_throughput(15_000).ranges().len(), 2);
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
