//! The change feed of a container, physical partition by physical partition: of each document that was created or replaced
//! its latest version, in the order of the changes. It shows neither deletes nor versions that were replaced meanwhile
//! (<https://learn.microsoft.com/azure/cosmos-db/change-feed-modes#latest-version-change-feed-mode>).
//!
//! A place in it is a number: the `etag` of a page is the logical sequence number of its last change, which grows within a
//! physical partition, and which the partitions of a split go on with
//! (<https://learn.microsoft.com/rest/api/cosmos-db/list-documents>). Azure's client keeps it in a token of its own making;
//! here the first page is asked for with the header that the service takes.

use std::time::Duration;

use azure_core::http::headers::{HeaderName, HeaderValue};
use azure_data_cosmos::feed::{ChangeFeedPageIterator, ContinuationToken, FeedPage, FeedRange, FeedScope};
use azure_data_cosmos::models::{ChangeFeedItem, ResponseHeaders};
use azure_data_cosmos::options::{ChangeFeedOptions, ChangeFeedStartFrom, ReadContainerOptions, ReadFeedRangesOptions};
use azure_data_cosmos::{ContainerClient, CosmosError};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::read_back::{Document, PAGE_TIMEOUT, PageRetries};
use super::{CosmosDb, client, connect};
use crate::service::{ConnectError, ServiceName};
use crate::settings::{CosmosDbSettings, Proxy};

const IF_NONE_MATCH: HeaderName = HeaderName::from_static("if-none-match");
/// Pages that are asked for at a time, over all physical partitions.
const AT_A_TIME: usize = 4;
/// Between two looks at a physical partition that has nothing new: what Azure's change feed processor does by default is
/// five seconds.
const IDLE: Duration = Duration::from_secs(1);
/// What Cosmos DB adds to a document.
const SYSTEM: [&str; 6] = ["_rid", "_self", "_etag", "_attachments", "_ts", "_lsn"];

type Item = ChangeFeedItem<Document>;
type Pages = ChangeFeedPageIterator<Item>;

/// The change feed of one container.
#[derive(Clone)]
pub struct ChangeFeed {
    container: ContainerClient,
    endpoint: String,
    rid: String,
    proxy: Option<(Proxy, String)>,
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
    range: FeedRange,
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
        let container = CosmosDb::existing_container(settings, cancel).await?;
        let endpoint = settings.endpoint.to_string();
        let mut feed = Self { container, endpoint, rid: String::new(), proxy: connect::way(settings) };
        let options = ReadContainerOptions::default().with_operation_options(client::for_metadata());
        let container = &feed.container;
        let read = || {
            let options = options.clone();
            async move { container.read(Some(options)).await?.into_model() }
        };
        let properties = feed.with_retries(read).await?;
        feed.rid = properties.system_properties.resource_id.ok_or_else(|| {
            feed.failure("the container has no resource id (_rid), which distinguishes it from others of its name")
        })?;
        Ok(feed)
    }

    /// The resource id of the container: one that is created anew under the same name has another.
    #[must_use]
    pub fn container_rid(&self) -> &str {
        &self.rid
    }

    /// The physical partitions, and how far each is.
    ///
    /// # Errors
    /// When the service does not answer, after all attempts.
    pub async fn look(&self) -> Result<Vec<FeedPartition>, ConnectError> {
        let options = || {
            let options = ReadFeedRangesOptions::default().with_operation_options(client::for_metadata());
            Some(options.with_force_refresh(true))
        };
        let ranges = self.with_retries(|| self.container.read_feed_ranges(options())).await?;
        let mut partitions = Vec::with_capacity(ranges.len());
        for range in ranges {
            let (_, page) = self.with_retries(|| self.first_page(&range, "*")).await?;
            let (id, last) = self.place(page.headers())?;
            let hashes = (range.min_inclusive().to_hex(), range.max_exclusive().to_hex());
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
        let mut retries = PageRetries::new(self.proxy.as_ref());
        let mut feed: Option<Pages> = None;
        loop {
            let turn = turns.acquire().await;
            let read = timeout(PAGE_TIMEOUT, self.next_page(&mut feed, partition, after)).await;
            drop(turn);
            let page = match read {
                Ok(Ok(page)) => page,
                failed => {
                    feed = None;
                    let error = failed.ok().and_then(Result::err);
                    retries.wait_or_give_up(error.as_ref()).await.map_err(|reason| self.failure(&reason))?;
                    continue;
                }
            };
            retries.reset();
            let (id, position) = self.place(page.headers())?;
            if id != partition.id {
                return Err(ChangeFeedError::Split(partition.id));
            }
            let changes = page.into_items().into_iter().filter_map(change).collect::<Option<Vec<_>>>();
            let changes = changes.ok_or_else(|| self.failure("a change has no number (_lsn)"))?;
            let is_last = changes.is_empty();
            if !is_last {
                after = position;
            }
            if pages.send(ChangePage { partition: id, changes, position: after, is_last }).await.is_err() {
                return Ok(());
            }
            if is_last {
                sleep(IDLE).await;
            }
        }
    }

    /// The page after the change `after`; `feed` is where the one before came from, if there was one.
    async fn next_page(
        &self,
        feed: &mut Option<Pages>,
        partition: &FeedPartition,
        after: i64,
    ) -> Result<FeedPage<Item>, CosmosError> {
        if let Some(pages) = feed {
            return next(pages).await;
        }
        let (token, page) = self.first_page(&partition.range, &format!("\"{after}\"")).await?;
        *feed = Some(self.open(&partition.range, None, Some(token)).await?);
        Ok(page)
    }

    /// One page of a range, after the change that `etag` names, and what the next ones are read with. The header would go
    /// with each of the client's further requests, too, so there are none.
    async fn first_page(
        &self,
        range: &FeedRange,
        etag: &str,
    ) -> Result<(ContinuationToken, FeedPage<Item>), CosmosError> {
        let mut pages = self.open(range, Some(etag), None).await?;
        let page = next(&mut pages).await?;
        Ok((pages.to_continuation_token()?, page))
    }

    async fn open(
        &self,
        range: &FeedRange,
        etag: Option<&str>,
        token: Option<ContinuationToken>,
    ) -> Result<Pages, CosmosError> {
        let mut operation = client::for_metadata();
        // Without the header, and with the number 0, the feed begins at its beginning.
        if let Some(etag) = etag.filter(|etag| *etag != "\"0\"") {
            operation.custom_headers = Some([(IF_NONE_MATCH, HeaderValue::from(etag.to_owned()))].into());
        }
        let mut options = ChangeFeedOptions::default().with_operation_options(operation);
        options.feed.continuation_token = token;
        let scope = FeedScope::range(range.clone());
        self.container.query_change_feed(scope, ChangeFeedStartFrom::Beginning, Some(options)).await
    }

    /// The physical partition that an answer comes from, and how far it goes.
    fn place(&self, headers: &ResponseHeaders) -> Result<(u32, i64), ConnectError> {
        let session = headers.session_token().and_then(|token| token.as_ref().split(':').next());
        let id = headers.partition_key_range_id().or(session).and_then(|id| id.parse().ok());
        let etag: Option<&str> = headers.etag().map(AsRef::as_ref);
        let position = etag.and_then(|etag| etag.trim_matches('"').parse().ok());
        id.zip(position).ok_or_else(|| {
            let shown = etag.unwrap_or("none");
            self.failure(&format!("an answer does not name its physical partition and its place (etag: {shown})"))
        })
    }

    async fn with_retries<T, F>(&self, ask: impl Fn() -> F) -> Result<T, ConnectError>
    where
        F: Future<Output = Result<T, CosmosError>>,
    {
        let mut retries = PageRetries::new(self.proxy.as_ref());
        loop {
            let error = match timeout(PAGE_TIMEOUT, ask()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => Some(error),
                Err(_) => None,
            };
            retries.wait_or_give_up(error.as_ref()).await.map_err(|reason| self.failure(&reason))?;
        }
    }

    fn failure(&self, reason: &str) -> ConnectError {
        let message = format!("{}: the change feed cannot be read: {reason}", self.endpoint);
        ConnectError { service: ServiceName::CosmosDb, message }
    }
}

impl std::fmt::Debug for ChangeFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeFeed").field("endpoint", &self.endpoint).field("rid", &self.rid).finish_non_exhaustive()
    }
}

async fn next(pages: &mut Pages) -> Result<FeedPage<Item>, CosmosError> {
    match pages.next().await {
        Some(page) => page,
        // Azure's client promises a feed without an end.
        None => std::future::pending().await,
    }
}

/// An item as a change. The outer `None` is one without a document, the inner one a document without a number.
fn change(item: Item) -> Option<Option<Change>> {
    let lsn = item.metadata().and_then(|metadata| metadata.lsn()).map(|lsn| lsn.value());
    let mut document = item.current()?.clone();
    let system = SYSTEM.map(|name| document.remove(name));
    let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_i64);
    let (timestamp, own_lsn) = (number(&system[4]), number(&system[5]));
    Some(lsn.or(own_lsn).map(|lsn| Change { lsn, changed_unix_s: timestamp, document }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Option<Change>> {
        change(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_change_is_the_document_without_what_the_service_adds() {
        let flat =
            r#"{"id":"i","n":1.5,"_rid":"r","_self":"s","_etag":"e","_attachments":"a","_ts":1700000000,"_lsn":7}"#;
        let change = read(flat).unwrap().unwrap();
        assert_eq!((change.lsn, change.changed_unix_s), (7, Some(1_700_000_000)));
        assert_eq!(Value::Object(change.document.clone()), serde_json::json!({"id": "i", "n": 1.5}));
        let enveloped = format!(r#"{{"current":{flat},"metadata":{{"lsn":7,"crts":1700000000}}}}"#);
        assert_eq!(read(&enveloped).unwrap().unwrap(), change);
    }

    #[test]
    fn a_delete_is_no_change_and_a_change_without_a_number_is_told_apart() {
        assert_eq!(read(r#"{"current":{},"metadata":{"operationType":"delete","lsn":8}}"#), None);
        assert_eq!(read(r#"{"id":"i"}"#), Some(None));
    }
}
