//! What is landed, and what can go wrong with that.

use std::collections::BTreeSet;
use std::time::Duration;

use txgen_lake::{LakeError, Location, Store};

use super::origin::Origin;
use crate::service::ConnectError;
use crate::service::cosmos::change_feed::ChangeFeedError;
use crate::service::event_hubs::FollowError;

/// Where to begin with a partition of which the table has nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the first event that is there.
    Earliest,
    /// With the first event that comes.
    Latest,
}

/// What is landed, where, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where events come from.
    pub origin: Origin,
    /// Its partitions that are landed; all where none is named.
    pub partitions: BTreeSet<u32>,
    /// The table.
    pub location: Location,
    /// The store that holds it.
    pub store: Store,
    /// The store that holds the table of rejected events.
    pub rejected: Store,
    /// The column by which a new table is partitioned.
    pub partition_by: Option<String>,
    /// Where to begin where the table has no position.
    pub start: Start,
    /// Whether to stop at what is the end when landing begins.
    pub until_caught_up: bool,
    /// The longest time between an event's arrival and its commit.
    pub commit_every: Duration,
    /// The size of files at which a commit is made earlier.
    pub commit_bytes: usize,
    /// Whether events that are gone before they were landed are accepted.
    pub allow_gaps: bool,
    /// How long the store, or the way to it, may be in trouble.
    pub retry_for: Duration,
    /// Who lands.
    pub lander: String,
}

/// Why landing ended early.
#[derive(Debug, thiserror::Error)]
pub enum LandError {
    /// The event hub or the container cannot be read.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Another reader has taken a partition over.
    #[error("another process reads this hub as the same consumer group, and has taken over: {0}")]
    TakenOver(String),
    /// The table cannot be written, or another process writes it.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Events are gone that were not landed.
    #[error(
        "partition {partition} has lost {lost} that were not landed yet: the table ends at sequence number {landed}, and the \
         next that the hub has is {next}; its retention is too short for so long a break. Land what is left with \
         --allow-gaps"
    )]
    Gap {
        /// The partition.
        partition: u32,
        /// How many events, in words.
        lost: String,
        /// The last sequence number in the table.
        landed: i64,
        /// The next one that is there.
        next: i64,
    },
    /// The table has more than the event hub or the container.
    #[error(
        "partition {partition} ends at sequence number {last}, but the table has events up to {landed}: it is not the one \
         that was landed, or was set back, or merged with another; land it in another table"
    )]
    Ahead {
        /// The partition.
        partition: u32,
        /// Its last sequence number.
        last: i64,
        /// The last one in the table.
        landed: i64,
    },
    /// There is no such partition.
    #[error("--partitions: there is no partition {0}, only {1}")]
    NoSuchPartition(u32, String),
    /// A physical partition of the container has split.
    #[error("the physical partition {0} of the container has split")]
    Split(u32),
    /// The task that reads ended.
    #[error("the task that reads the events ended unexpectedly")]
    Internal,
}

impl From<FollowError> for LandError {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::TakenOver(message) => Self::TakenOver(message),
            FollowError::Connect(error) => Self::Connect(error),
        }
    }
}

impl From<ChangeFeedError> for LandError {
    fn from(error: ChangeFeedError) -> Self {
        match error {
            ChangeFeedError::Split(partition) => Self::Split(partition),
            ChangeFeedError::Connect(error) => Self::Connect(error),
        }
    }
}

impl LandError {
    /// Whether to begin again may help.
    #[must_use]
    pub(super) fn may_heal(&self) -> bool {
        match self {
            Self::Lake(error) => error.may_heal(),
            Self::Split(_) => true,
            _ => false,
        }
    }
}
