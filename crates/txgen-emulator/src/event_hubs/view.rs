//! Event hubs to look at, without a client.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use txgen_amqp::message::data_body;

use super::namespace::Namespace;

/// The event hubs of an emulator, for the page that another one serves: see
/// [`CosmosEmulatorOptions::event_hubs`](crate::cosmos::CosmosEmulatorOptions::event_hubs).
#[derive(Clone)]
pub struct EventHubsView(pub(super) Arc<Namespace>);

impl fmt::Debug for EventHubsView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventHubsView").finish_non_exhaustive()
    }
}

/// A hub as it is now.
#[derive(Debug)]
pub(crate) struct HubView {
    pub(crate) name: String,
    pub(crate) consumer_groups: Vec<String>,
    pub(crate) partitions: Vec<PartitionView>,
}

/// A partition as it is now.
#[derive(Debug)]
pub(crate) struct PartitionView {
    /// The sequence number of the oldest event, and the next one's.
    pub(crate) begin: i64,
    pub(crate) end: i64,
    pub(crate) last_offset: i64,
    /// Milliseconds since 1970-01-01 UTC.
    pub(crate) last_enqueued_ms: i64,
    pub(crate) readers: usize,
}

/// An event.
#[derive(Debug)]
pub(crate) struct EventView {
    pub(crate) sequence_number: i64,
    pub(crate) offset: i64,
    /// Milliseconds since 1970-01-01 UTC.
    pub(crate) enqueued_ms: i64,
    pub(crate) key: Option<String>,
    /// The beginning of its body, and how many bytes that has.
    pub(crate) body: Vec<u8>,
    pub(crate) size: usize,
}

impl EventHubsView {
    pub(crate) fn hubs(&self) -> Vec<HubView> {
        let hubs = self.0.hubs().iter().filter(|hub| !hub.is_deleted());
        hubs.map(|hub| HubView {
            name: hub.name.clone(),
            consumer_groups: hub.consumer_groups.clone(),
            partitions: hub
                .partitions()
                .iter()
                .map(|partition| {
                    let mark = partition.mark(|mark| mark);
                    PartitionView {
                        begin: partition.start(),
                        end: mark.next_sequence_number,
                        last_offset: mark.last_offset,
                        last_enqueued_ms: mark.last_enqueued_ms,
                        readers: partition.readers(),
                    }
                })
                .collect(),
        })
        .collect()
    }

    /// The latest events of a partition, latest first, each with at most so many bytes of its body; `None` without such a
    /// partition.
    pub(crate) fn latest(&self, hub: &str, partition: u32, most: u16, bytes: usize) -> Option<Vec<EventView>> {
        let partition = self.0.hub(hub)?.partition(partition)?;
        let mut events = Vec::new();
        partition.read(partition.end().saturating_sub(most.into()), |event| {
            let body = data_body(event.message);
            events.push(EventView {
                sequence_number: event.sequence_number,
                offset: event.offset,
                enqueued_ms: event.enqueued_ms,
                key: event.key.map(str::to_owned),
                body: body.get(..bytes.min(body.len())).unwrap_or_default().to_vec(),
                size: body.len(),
            });
            // More may have come since.
            if events.len() < usize::from(most) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        events.reverse();
        Some(events)
    }
}
