//! Where events come from: an event hub, or a container's change feed.

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use txgen_lake::{Event, Source, Span};

use super::plan::LandError;
use crate::service::cosmos::change_feed::{Change, ChangeFeed, ChangePage, FeedPartition};
use crate::service::event_hubs::{Followed, HubEvent, HubState};
use crate::settings::CosmosDbSettings;

/// Batches of events that wait for the next step.
const EVENTS_WAITING: usize = 16;
/// Pages of changes that do; each may have megabytes.
const PAGES_WAITING: usize = 1;

/// What is landed.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The events of an event hub.
    EventHub(Followed),
    /// The documents of a container, by its change feed.
    Container(Box<CosmosDbSettings>),
}

/// What a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The number of its first event, or of the next one where it is empty.
    pub(super) first: i64,
    /// The number of its last event, or of the last one that it had.
    pub(super) last: i64,
}

/// Events that are taken together, all of one partition.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) partition: u32,
    pub(super) events: Vec<Event>,
    /// The partition's position behind them, where it is not the last event's.
    pub(super) position: Option<i64>,
    /// Whether nothing came after them.
    pub(super) is_last: bool,
}

/// An origin that has been looked at.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Its name in the table.
    pub(super) source: Source,
    pub(super) partitions: BTreeMap<u32, Extent>,
    reader: Reader,
}

#[derive(Clone, Debug)]
enum Reader {
    EventHub(Followed),
    Container(ChangeFeed, BTreeMap<u32, FeedPartition>),
}

impl Origin {
    /// Whether a partition's numbers have no holes, so that a hole is a loss.
    pub(super) fn has_dense_numbers(&self) -> bool {
        matches!(self, Self::EventHub(_))
    }

    pub(super) async fn look(&self) -> Result<View, LandError> {
        match self {
            Self::EventHub(hub) => {
                let state = hub.look().await?;
                let source =
                    Source::event_hub(&hub.hub.address(), &hub.hub.hub, state.created_unix_ms, &hub.consumer_group);
                Ok(View { source, partitions: extents_of_hub(&state), reader: Reader::EventHub(hub.clone()) })
            }
            Self::Container(settings) => {
                let feed = ChangeFeed::connect(settings, CancellationToken::new()).await?;
                let partitions: BTreeMap<u32, FeedPartition> =
                    feed.look().await?.into_iter().map(|partition| (partition.id, partition)).collect();
                let span = |partition: &FeedPartition| {
                    let (min, max) = partition.hashes.clone();
                    (partition.id, Span { min, max })
                };
                let host = settings.endpoint.host_str().unwrap_or_default();
                Ok(View {
                    source: Source::change_feed(host, feed.container_rid(), partitions.values().map(span).collect()),
                    partitions: extents_of_feed(partitions.values()),
                    reader: Reader::Container(feed, partitions),
                })
            }
        }
    }
}

impl View {
    /// How far the partitions are by now.
    pub(super) async fn extents(&self) -> Result<BTreeMap<u32, Extent>, LandError> {
        Ok(match &self.reader {
            Reader::EventHub(hub) => extents_of_hub(&hub.look().await?),
            Reader::Container(feed, _) => extents_of_feed(&feed.look().await?),
        })
    }

    /// Hands over what comes after these numbers, until `cancel` says so or nothing takes it.
    pub(super) async fn follow(
        self,
        after: BTreeMap<u32, Option<i64>>,
        batches: mpsc::Sender<Batch>,
        cancel: CancellationToken,
    ) -> Result<(), LandError> {
        match self.reader {
            Reader::EventHub(hub) => {
                let (events, arrived) = mpsc::channel(EVENTS_WAITING);
                let (followed, ()) =
                    tokio::join!(hub.follow(after, events, cancel), hand_on(arrived, batches, batch_of_events));
                Ok(followed?)
            }
            Reader::Container(feed, partitions) => {
                let (pages, arrived) = mpsc::channel(PAGES_WAITING);
                let partitions =
                    after.into_iter().filter_map(|(id, after)| Some((partitions.get(&id)?.clone(), after))).collect();
                let (followed, ()) =
                    tokio::join!(feed.follow(partitions, pages, cancel), hand_on(arrived, batches, batch_of_page));
                Ok(followed?)
            }
        }
    }
}

async fn hand_on<T>(mut arrived: mpsc::Receiver<T>, batches: mpsc::Sender<Batch>, batch: fn(T) -> Option<Batch>) {
    while let Some(next) = arrived.recv().await {
        if let Some(batch) = batch(next)
            && batches.send(batch).await.is_err()
        {
            return;
        }
    }
}

fn batch_of_events(events: Vec<HubEvent>) -> Option<Batch> {
    let partition = events.first()?.partition;
    Some(Batch { partition, events: events.into_iter().map(event).collect(), position: None, is_last: false })
}

fn batch_of_page(page: ChangePage) -> Option<Batch> {
    let ChangePage { partition, changes, position, is_last } = page;
    let events: Vec<Event> = changes.into_iter().map(|change| event_of_change(partition, change)).collect();
    let position = (!events.is_empty()).then_some(position);
    Some(Batch { partition, events, position, is_last })
}

fn event(event: HubEvent) -> Event {
    Event {
        partition: event.partition,
        sequence_number: event.sequence_number,
        offset: event.offset,
        enqueued_unix_us: event.enqueued_unix_ms.map(|moment| moment.saturating_mul(1_000)),
        partition_key: event.partition_key,
        properties: event.properties,
        body: event.body.into(),
    }
}

fn event_of_change(partition: u32, change: Change) -> Event {
    Event {
        partition,
        sequence_number: change.lsn,
        offset: None,
        enqueued_unix_us: change.changed_unix_s.map(|moment| moment.saturating_mul(1_000_000)),
        partition_key: None,
        properties: None,
        // Maps of strings and values always become JSON.
        body: serde_json::to_vec(&change.document).unwrap_or_default().into(),
    }
}

fn extents_of_hub(hub: &HubState) -> BTreeMap<u32, Extent> {
    let extent = |(partition, state): (&u32, &crate::service::event_hubs::PartitionState)| {
        (*partition, Extent { first: state.first_sequence_number, last: state.last_sequence_number })
    };
    hub.partitions.iter().map(extent).collect()
}

fn extents_of_feed<'a>(partitions: impl IntoIterator<Item = &'a FeedPartition>) -> BTreeMap<u32, Extent> {
    // Numbers begin with 1.
    partitions.into_iter().map(|partition| (partition.id, Extent { first: 1, last: partition.last })).collect()
}
