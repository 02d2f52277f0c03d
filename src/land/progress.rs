//! The steps of landing, for those who watch it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use txgen_lake::Committed;

/// A step of landing.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The table is open, and the source answers.
    Began {
        /// The table's version.
        version: u64,
        /// The partitions, with the last sequence number that the table has of each.
        positions: BTreeMap<u32, Option<i64>>,
        /// How many events are not in the table yet; for a change feed, how many at most.
        behind: u64,
    },
    /// A commit is in the table.
    Committed(Committed, Landed),
    /// Events are gone that were not landed.
    Gap {
        /// The partition.
        partition: u32,
        /// How many.
        lost: u64,
    },
    /// How far each partition is behind.
    Behind(BTreeMap<u32, Lag>),
    /// Something is in trouble that may heal: landing begins again where the table ends.
    Again {
        /// Why.
        why: String,
    },
}

/// How far a partition is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Lag {
    /// Events that are not in the table.
    pub events: u64,
    /// The age of the newest event in the table, in seconds; 0 where there is nothing to land.
    pub seconds: f64,
}

/// What this process has landed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Landed {
    /// Transactions.
    pub transactions: u64,
    /// Events that are no transactions.
    pub rejected: u64,
    /// Events that were gone.
    pub lost: u64,
    /// Commits.
    pub commits: u64,
    /// Files of transactions.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The table's version.
    pub version: u64,
    /// How long it took.
    pub took: Duration,
}

impl Landed {
    pub(super) fn add(&mut self, committed: &Committed) {
        self.transactions += committed.transactions;
        self.rejected += committed.rejected;
        self.commits += 1;
        self.files += committed.files;
        self.bytes += committed.bytes;
        self.version = committed.version;
    }
}

/// How landing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Everything that was there when it began is in the table.
    CaughtUp,
    /// It was asked to stop.
    Stopped,
}
