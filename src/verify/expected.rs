//! What must be there: a digest and a partition key for each row of the run, from the data that it sent.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::document::Stored;
use crate::identity::RunId;
use crate::service::ServiceName;
use crate::transaction::Transaction;

/// The highest row number that fits into the memory that a verification may take: about 850 MB.
pub const MOST_ROWS: u64 = 50_000_000;

/// What one row must hold.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    digest: u64,
    key: u32,
    /// The services that it was requested at; none for a row that is not the run's.
    services: u8,
}

/// All rows of a run.
#[derive(Debug)]
pub struct Expected {
    run: RunId,
    ttl: i64,
    /// By row number, counted from 1.
    rows: Vec<Row>,
    keys: Vec<Arc<str>>,
    places: HashMap<Arc<str>, u32>,
}

/// More rows than can be verified at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {0} is too many: {MOST_ROWS} rows can be verified at once")]
pub struct TooManyRows(pub u64);

fn bit(service: ServiceName) -> u8 {
    match service {
        ServiceName::EventHubs => 1,
        ServiceName::CosmosDb => 2,
    }
}

impl Expected {
    /// No rows yet, of this run, whose documents are to have this `ttl` in seconds.
    #[must_use]
    pub fn new(run: RunId, ttl_seconds: u32) -> Self {
        Self { run, ttl: ttl_seconds.into(), rows: Vec::new(), keys: Vec::new(), places: HashMap::new() }
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The `ttl` of every document, in seconds.
    #[must_use]
    pub fn ttl(&self) -> i64 {
        self.ttl
    }

    /// The transaction was requested at these services.
    ///
    /// # Errors
    /// When its row number is too high.
    pub fn add(&mut self, transaction: &Transaction, services: &BTreeSet<ServiceName>) -> Result<(), TooManyRows> {
        let Some(stored) = Stored::of_json(&transaction.body, self.run) else { return Ok(()) };
        let place = usize::try_from(transaction.row).ok().filter(|_| transaction.row <= MOST_ROWS);
        let place = place.ok_or(TooManyRows(transaction.row))?;
        if self.rows.len() <= place {
            self.rows.resize(place + 1, Row::default());
        }
        let key = match self.places.get(&transaction.partition_key) {
            Some(key) => *key,
            None => {
                // No more keys than rows, which are bounded.
                let key = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
                self.keys.push(transaction.partition_key.clone());
                self.places.insert(transaction.partition_key.clone(), key);
                key
            }
        };
        let row = &mut self.rows[place];
        (row.digest, row.key) = (stored.digest, key);
        services.iter().for_each(|service| row.services |= bit(*service));
        Ok(())
    }

    /// Every partition key.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| &**key)
    }

    /// The rows that were requested at the service, in order.
    pub(super) fn rows_of(&self, service: ServiceName) -> impl Iterator<Item = u64> {
        let is_of = move |row: &Row| row.services & bit(service) != 0;
        self.rows.iter().zip(0..).filter(move |(row, _)| is_of(row)).map(|(_, number)| number)
    }

    /// How many rows were requested at the service.
    #[must_use]
    pub fn count(&self, service: ServiceName) -> u64 {
        self.rows_of(service).count() as u64
    }

    /// One past the highest row number.
    pub(super) fn end(&self) -> usize {
        self.rows.len()
    }

    /// Digest and key of a row that was requested at the service.
    pub(super) fn row(&self, service: ServiceName, row: u64) -> Option<(u64, u32)> {
        let row = self.rows.get(usize::try_from(row).ok()?)?;
        (row.services & bit(service) != 0).then_some((row.digest, row.key))
    }

    /// The text of a partition key.
    pub(super) fn key(&self, key: u32) -> &str {
        usize::try_from(key).ok().and_then(|place| self.keys.get(place)).map_or("", |key| key)
    }
}
