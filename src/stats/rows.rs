//! Rows of a run as ranges: which ones something happened to, in bounded memory however long the run is.

use std::ops::RangeInclusive;

use rangemap::RangeInclusiveSet;
use serde::{Deserialize, Serialize};

/// Ranges that are kept at most.
const RANGES: usize = 10_000;

/// A set of row numbers, exact until it would need more than 10,000 ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    ranges: RangeInclusiveSet<u64>,
    complete: bool,
}

impl Default for Rows {
    fn default() -> Self {
        Self { ranges: RangeInclusiveSet::new(), complete: true }
    }
}

impl Rows {
    /// Adds a row; past the largest number of ranges it is forgotten, and the set is not complete any more.
    pub fn insert(&mut self, row: u64) {
        self.insert_range(row..=row);
    }

    /// Adds a range of rows, likewise.
    pub fn insert_range(&mut self, rows: RangeInclusive<u64>) {
        let neighbours = rows.start().saturating_sub(1)..=rows.end().saturating_add(1);
        if self.ranges.len() < RANGES || self.ranges.overlaps(&neighbours) {
            self.ranges.insert(rows);
        } else {
            self.complete = false;
        }
    }

    /// There may be more rows in it than are known.
    pub fn forget(&mut self) {
        self.complete = false;
    }

    /// Whether the row is known to be in the set.
    #[must_use]
    pub fn contains(&self, row: u64) -> bool {
        self.ranges.contains(&row)
    }

    /// Whether every row that was added is still known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether no row is known to be in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Adds every row of `other`.
    pub fn extend(&mut self, other: &Self) {
        self.complete &= other.complete;
        other.ranges.iter().for_each(|range| self.insert_range(range.clone()));
    }
}

/// In JSON: `{"ranges": [[1, 3], [7, 7]], "complete": true}`, first and last row of each range.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    ranges: Vec<(u64, u64)>,
    complete: bool,
}

impl Serialize for Rows {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ranges = self.ranges.iter().map(|range| (*range.start(), *range.end())).collect();
        Document { ranges, complete: self.complete }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Document { ranges, complete } = Document::deserialize(deserializer)?;
        let mut rows = Self { complete, ..Self::default() };
        for (first, last) in ranges {
            if first > last {
                return Err(serde::de::Error::custom(format!("rows {first} to {last} are no range")));
            }
            rows.insert_range(first..=last);
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_rows_make_one_range() {
        let mut rows = Rows::default();
        [3, 1, 2, 7].into_iter().for_each(|row| rows.insert(row));
        let json = serde_json::to_value(&rows).unwrap();
        assert_eq!(json, serde_json::json!({ "ranges": [[1, 3], [7, 7]], "complete": true }));
        assert_eq!(serde_json::from_value::<Rows>(json).unwrap(), rows);
        assert!(rows.contains(2) && !rows.contains(4));
    }

    #[test]
    fn a_flood_of_single_rows_is_bounded_and_says_so() {
        let mut rows = Rows::default();
        (0..30_000).for_each(|row| rows.insert(row * 2));
        assert!(!rows.is_complete());
        assert!(rows.contains(0) && !rows.contains(59_998));
        rows.insert(1);
        assert!(rows.contains(1), "a row beside a known range needs no range of its own");
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_refused() {
        let json = serde_json::json!({ "ranges": [[3, 1]], "complete": true });
        assert_eq!(serde_json::from_value::<Rows>(json).unwrap_err().to_string(), "rows 3 to 1 are no range");
    }
}
