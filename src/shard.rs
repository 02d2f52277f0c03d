//! One run in several processes: which rows are whose.
//!
//! A row belongs to exactly one of N processes, by its number in the run alone, so that no process has to know of the
//! others. Shards count from 0, as the indices of a Kubernetes Job do, and neighbouring rows go to different shards, so
//! that all of them see the same mixture and come to the end of the data together.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of the processes that share a run: `0/4` to `3/4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Document", into = "Document")]
pub struct Shard {
    index: u32,
    count: NonZeroU32,
}

impl Shard {
    /// The only process of its run, to which every row belongs.
    pub const WHOLE: Self = Self { index: 0, count: NonZeroU32::MIN };
    /// Processes that can share a run.
    pub const MOST: u32 = 100_000;

    /// Shard `index`, counted from 0, of `count`.
    ///
    /// # Errors
    /// When there is no such shard.
    pub fn new(index: u32, count: u32) -> Result<Self, InvalidShard> {
        match NonZeroU32::new(count) {
            Some(shards) if count <= Self::MOST => match index < count {
                true => Ok(Self { index, count: shards }),
                false => Err(InvalidShard::NoSuchShard { index, count }),
            },
            _ => Err(InvalidShard::Count),
        }
    }

    /// Which one it is, counted from 0.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// Of how many.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count.get()
    }

    /// Whether there are other shards.
    #[must_use]
    pub fn is_part(self) -> bool {
        self.count.get() > 1
    }

    /// Whether the row with this number, counted from 1, is this shard's.
    #[must_use]
    pub fn owns(self, row: u64) -> bool {
        row.wrapping_sub(1) % u64::from(self.count.get()) == u64::from(self.index)
    }

    /// This shard's part of a number of transactions of the whole run. The parts of all shards add up to it.
    #[must_use]
    pub fn part_of(self, transactions: u64) -> u64 {
        let count = u64::from(self.count.get());
        transactions / count + u64::from(u64::from(self.index) < transactions % count)
    }

    /// This shard's part of a rate of the whole run.
    #[must_use]
    pub fn part_of_rate(self, rate: f64) -> f64 {
        rate / f64::from(self.count.get())
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// A text or a pair of numbers that names no shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidShard {
    /// Not two numbers.
    #[error("must be I/N, such as 0/4 for the first of four processes")]
    Form,
    /// No process at all, or too many.
    #[error("N must be a whole number from 1 to {}", Shard::MOST)]
    Count,
    /// Past the last one.
    #[error("there is no shard {index} of {count}: they count from 0, so the last one is {}/{count}", .count - 1)]
    NoSuchShard {
        /// The index asked for.
        index: u32,
        /// How many there are.
        count: u32,
    },
}

impl FromStr for Shard {
    type Err = InvalidShard;

    fn from_str(text: &str) -> Result<Self, InvalidShard> {
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse::<u64>().ok().map(|number| u32::try_from(number).unwrap_or(u32::MAX)),
            false => None,
        };
        let (index, count) = text.split_once('/').ok_or(InvalidShard::Form)?;
        let (index, count) = number(index).zip(number(count)).ok_or(InvalidShard::Form)?;
        Self::new(index, count)
    }
}

/// A shard in JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    index: u32,
    count: u32,
}

impl From<Shard> for Document {
    fn from(shard: Shard) -> Self {
        Self { index: shard.index, count: shard.count.get() }
    }
}

impl TryFrom<Document> for Shard {
    type Error = InvalidShard;

    fn try_from(document: Document) -> Result<Self, InvalidShard> {
        Self::new(document.index, document.count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(count: u32) -> impl Iterator<Item = Shard> {
        (0..count).map(move |index| Shard::new(index, count).unwrap())
    }

    #[test]
    fn neighbouring_rows_go_round_the_shards() {
        let owners: Vec<u32> = (1..=7).map(|row| all(3).find(|shard| shard.owns(row)).unwrap().index()).collect();
        assert_eq!(owners, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn a_run_in_one_process_owns_every_row() {
        assert!((1..100).all(|row| Shard::WHOLE.owns(row)));
        assert!(!Shard::WHOLE.is_part());
    }

    #[test]
    fn what_names_no_shard_is_answered_with_what_does() {
        let refusal = |text: &str| text.parse::<Shard>().unwrap_err().to_string();
        for text in ["", "1", "/", "1/", "/4", "a/4", "1/4/2", "-1/4", "+1/4", "1 / 4", "0.5/4"] {
            assert_eq!(refusal(text), "must be I/N, such as 0/4 for the first of four processes", "{text}");
        }
        assert_eq!(refusal("4/4"), "there is no shard 4 of 4: they count from 0, so the last one is 3/4");
        assert_eq!(refusal("0/0"), "N must be a whole number from 1 to 100000");
        assert_eq!(refusal("0/99999999999"), "N must be a whole number from 1 to 100000");
    }

    #[test]
    fn a_shard_in_json_is_checked_like_one_that_is_typed() {
        let json = serde_json::to_value(Shard::new(2, 4).unwrap()).unwrap();
        assert_eq!(json, serde_json::json!({ "index": 2, "count": 4 }));
        assert_eq!(serde_json::from_value::<Shard>(json).unwrap(), "2/4".parse().unwrap());
        assert!(serde_json::from_str::<Shard>(r#"{"index": 4, "count": 4}"#).is_err());
    }

    proptest! {
        #[test]
        fn every_row_belongs_to_exactly_one_shard(row in 1..u64::MAX, count in 1u32..200) {
            prop_assert_eq!(all(count).filter(|shard| shard.owns(row)).count(), 1);
        }

        #[test]
        fn the_parts_of_a_number_add_up_to_it_and_are_what_the_shards_own(total in 0u64..500, count in 1u32..50) {
            prop_assert_eq!(all(count).map(|shard| shard.part_of(total)).sum::<u64>(), total);
            for shard in all(count) {
                let owned = (1..=total).filter(|row| shard.owns(*row)).count() as u64;
                prop_assert_eq!(shard.part_of(total), owned);
            }
        }

        #[test]
        fn a_shard_survives_being_written_and_read(count in 1u32..=Shard::MOST, index in any::<u32>()) {
            let shard = Shard::new(index % count, count).unwrap();
            prop_assert_eq!(shard.to_string().parse(), Ok(shard));
        }
    }
}
