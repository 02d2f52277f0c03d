//! The change feed of a container, physical partition by physical partition: of each document that was created or replaced
//! its latest version, in the order of the changes. It shows neither deletes nor versions that were replaced meanwhile
//! (<https://learn.microsoft.com/azure/cosmos-db/change-feed-modes#latest-version-change-feed-mode>).
//!
//! A place in it is a number: the `etag` of a page is the logical sequence number of its last change, which grows within a
//! physical partition, and which the partitions of a split go on with
//! (<https://learn.microsoft.com/rest/api/cosmos-db/list-documents>).

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::answer::RequestError;
use super::native::{After, Document, KeyRange};
use super::reading::Reading;
use crate::service::ConnectError;
use crate::settings::CosmosDbSettings;

/// Pages that are asked for at a time, over all physical partitions.
const AT_A_TIME: usize = 4;
/// Between two looks at a physical partition that has nothing new: what Azure's change feed processor does by default is
/// five seconds.
const IDLE: Duration = Duration::from_secs(1);
/// What Cosmos DB adds to a document.
const SYSTEM: [&str; 6] = ["_rid", "_self", "_etag", "_attachments", "_ts", "_lsn"];

/// The change feed of one container.
#[derive(Clone)]
pub struct ChangeFeed {
    reading: Arc<Reading>,
}

/// A physical partition.
#[derive(Clone, Debug)]
pub struct FeedPartition {
    /// The number of its partition key range.
    pub id: u32,
    /// The first hash of a partition key that is in it, and the first after it, in hexadecimal digits.
    pub hashes: (String, String),
    /// The number of its last change.
    pub last: i64,
    range: KeyRange,
}

/// A change: the document as it is since then.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its number. Changes of one transactional batch share it.
    pub lsn: i64,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub changed_unix_s: Option<i64>,
    /// Without what Cosmos DB adds.
    pub document: Document,
}

/// Changes of one physical partition that belong together: a page never ends within a transactional batch.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangePage {
    /// The physical partition.
    pub partition: u32,
    /// In their order.
    pub changes: Vec<Change>,
    /// Where the next page begins: after this number.
    pub position: i64,
    /// Whether nothing came after it when it was read.
    pub is_last: bool,
}

/// Why a change feed is read no longer.
#[derive(Debug, thiserror::Error)]
pub enum ChangeFeedError {
    /// The container has other physical partitions by now: look again, and go on.
    #[error("the physical partition {0} of the container has split")]
    Split(u32),
    /// The container cannot be read.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl ChangeFeed {
    /// Reaches the account and the container, creating neither.
    ///
    /// # Errors
    /// A [`ConnectError`] within 15 s if the account cannot be reached, refuses txgen, or has no such container.
    pub async fn connect(settings: &CosmosDbSettings, cancel: CancellationToken) -> Result<Self, ConnectError> {
        let reading = Reading::connect(settings, "the change feed cannot be read", cancel).await?;
        Ok(Self { reading: Arc::new(reading) })
    }

    /// The resource id of the container: one that is created anew under the same name has another.
    #[must_use]
    pub fn container_rid(&self) -> &str {
        &self.reading.container.rid
    }

    /// The physical partitions, and how far each is.
    ///
    /// # Errors
    /// When the service does not answer, after all attempts.
    pub async fn look(&self) -> Result<Vec<FeedPartition>, ConnectError> {
        // All anew when one has split meanwhile.
        self.reading.ask(|| self.partitions()).await
    }

    async fn partitions(&self) -> Result<Vec<FeedPartition>, RequestError> {
        let resources = &self.reading.resources;
        let mut partitions = Vec::new();
        for range in resources.key_ranges().await? {
            let last = resources.changes(&range, After::Everything).await?.position;
            let id = range.id.parse().map_err(|_| {
                let reason = format!("the partition key range {} has no number for a name", range.id);
                RequestError::unanswered(500, false, reason)
            })?;
            let hashes = (range.min_inclusive.clone(), range.max_exclusive.clone());
            partitions.push(FeedPartition { id, hashes, last, range });
        }
        Ok(partitions)
    }

    /// Reads the partitions after the given numbers, `None` meaning from their beginning, and hands their pages over until
    /// `cancel` says so or nothing takes them. A page without changes is handed over only as the last one.
    ///
    /// # Errors
    /// [`ChangeFeedError::Split`] when a partition is no longer what it was; when the service does not answer, after all
    /// attempts.
    pub async fn follow(
        &self,
        partitions: Vec<(FeedPartition, Option<i64>)>,
        pages: mpsc::Sender<ChangePage>,
        cancel: CancellationToken,
    ) -> Result<(), ChangeFeedError> {
        let turns = Semaphore::new(AT_A_TIME);
        let reading = async {
            let mut readers: FuturesUnordered<_> = partitions
                .iter()
                .map(|(partition, after)| self.follow_one(partition, after.unwrap_or(0), &pages, &turns))
                .collect();
            // The first one that ends is the end of all.
            readers.next().await.unwrap_or(Ok(()))
        };
        cancel.run_until_cancelled(reading).await.unwrap_or(Ok(()))
    }

    async fn follow_one(
        &self,
        partition: &FeedPartition,
        mut after: i64,
        pages: &mpsc::Sender<ChangePage>,
        turns: &Semaphore,
    ) -> Result<(), ChangeFeedError> {
        let mut repeats = self.reading.repeats();
        loop {
            let turn = turns.acquire().await;
            let read = self.reading.resources.changes(&partition.range, After::Change(after)).await;
            drop(turn);
            let page = match read {
                Ok(page) => page,
                Err(error) if error.is_of_gone_range() => return Err(ChangeFeedError::Split(partition.id)),
                Err(error) => {
                    self.reading.wait(&mut repeats, error).await?;
                    continue;
                }
            };
            repeats.reset();
            let changes = page.documents.into_iter().map(change).collect::<Option<Vec<_>>>();
            let changes = changes.ok_or_else(|| self.reading.failure("a change has no number (_lsn)"))?;
            let is_last = changes.is_empty();
            if !is_last {
                after = page.position;
            }
            let page = ChangePage { partition: partition.id, changes, position: after, is_last };
            if pages.send(page).await.is_err() {
                return Ok(());
            }
            if is_last {
                sleep(IDLE).await;
            }
        }
    }
}

impl std::fmt::Debug for ChangeFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeFeed").field("rid", &self.container_rid()).finish_non_exhaustive()
    }
}

/// A document as a change; `None` if it has no number.
fn change(mut document: Document) -> Option<Change> {
    let system = SYSTEM.map(|name| document.remove(name));
    let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_i64);
    let (timestamp, lsn) = (number(&system[4]), number(&system[5]));
    Some(Change { lsn: lsn?, changed_unix_s: timestamp, document })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Change> {
        change(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_change_is_the_document_without_what_the_service_adds() {
        let change = read(
            r#"{"id":"i","n":1.5,"_rid":"r","_self":"s","_etag":"e","_attachments":"a","_ts":1700000000,"_lsn":7}"#,
        );
        let change = change.unwrap();
        assert_eq!((change.lsn, change.changed_unix_s), (7, Some(1_700_000_000)));
        assert_eq!(Value::Object(change.document), serde_json::json!({"id": "i", "n": 1.5}));
    }

    #[test]
    fn a_document_without_a_number_is_no_change() {
        assert_eq!(read(r#"{"id":"i"}"#), None);
    }
}
