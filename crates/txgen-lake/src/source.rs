//! Where events come from, as the table's log names it.

use std::collections::BTreeMap;

/// A source: an event hub as one consumer group reads it, or a container's change feed.
///
/// The table keeps a position for each partition of each source. What is created anew under an old name begins its
/// numbers again, and is another source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    name: String,
    partitions: Partitions,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Partitions {
    /// Partitions are known by their numbers, and no two events of one have the same number.
    Numbered,
    /// Partitions are known by their spans of hashes, and the changes of one transaction share a number.
    Spans(BTreeMap<u32, Span>),
}

/// The hashes of partition keys that a physical partition of a container holds, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first one; empty is the first of all.
    pub min: String,
    /// The first one after it.
    pub max: String,
}

impl Source {
    /// An event hub: the host of its namespace, its name, when it was created in milliseconds since 1970-01-01 UTC, and the
    /// consumer group.
    #[must_use]
    pub fn event_hub(host: &str, hub: &str, created_unix_ms: i64, consumer_group: &str) -> Self {
        let name = format!("{host}/{hub}@{created_unix_ms}/{consumer_group}");
        Self { name: format!("txgen:event-hubs:{}", name.to_ascii_lowercase()), partitions: Partitions::Numbered }
    }

    /// A container's change feed: the host of the account, the resource id of the container, which no other one has, and
    /// its physical partitions by their numbers.
    ///
    /// When a physical partition splits, the new ones go on with its numbers: their positions are that of the narrowest
    /// partition in the table that held all their hashes, until they have their own.
    #[must_use]
    pub fn change_feed(host: &str, container_rid: &str, partitions: BTreeMap<u32, Span>) -> Self {
        let name = format!("txgen:cosmos-db:{}/{container_rid}", host.to_ascii_lowercase());
        Self { name, partitions: Partitions::Spans(partitions) }
    }

    /// The application id of a partition's position.
    pub(crate) fn application(&self, partition: u32) -> String {
        match &self.partitions {
            Partitions::Spans(spans) => match spans.get(&partition) {
                Some(span) => self.of_span(&span.min, &span.max),
                None => format!("{}/unknown-{partition}", self.name),
            },
            Partitions::Numbered => format!("{}/{partition}", self.name),
        }
    }

    /// The application ids of the partitions that this one may have come from by a split, the narrowest first. A split adds
    /// a bound and takes none away, so that they lie between bounds of today.
    pub(crate) fn ancestors(&self, partition: u32) -> Vec<String> {
        let Partitions::Spans(spans) = &self.partitions else { return Vec::new() };
        let mut spans: Vec<(u32, &Span)> = spans.iter().map(|(partition, span)| (*partition, span)).collect();
        spans.sort_by_key(|(_, span)| *span);
        let Some(own) = spans.iter().position(|(known, _)| *known == partition) else { return Vec::new() };
        let mut wider: Vec<(usize, usize)> = (0..=own)
            .flat_map(|first| (own..spans.len()).map(move |last| (first, last)))
            .filter(|(first, last)| first < last)
            .collect();
        wider.sort_by_key(|(first, last)| last - first);
        wider.into_iter().map(|(first, last)| self.of_span(&spans[first].1.min, &spans[last].1.max)).collect()
    }

    /// The partitions that may come from others by a split: all of them, those that others land included.
    pub(crate) fn may_be_of_a_split(&self) -> Vec<u32> {
        match &self.partitions {
            Partitions::Numbered => Vec::new(),
            Partitions::Spans(spans) => spans.keys().copied().collect(),
        }
    }

    /// Whether an event's number is its own within its partition.
    pub(crate) fn has_unique_numbers(&self) -> bool {
        matches!(self.partitions, Partitions::Numbered)
    }

    fn of_span(&self, min: &str, max: &str) -> String {
        format!("{}/{min}-{max}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_that_was_created_anew_is_another_source() {
        let of = |created| {
            Source::event_hub("NS.servicebus.windows.net", "Transactions", created, "$Default").application(3)
        };
        assert_eq!(of(1), "txgen:event-hubs:ns.servicebus.windows.net/transactions@1/$default/3");
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn a_physical_partition_may_come_from_every_wider_one_between_todays_bounds_the_narrowest_first() {
        let span = |min: &str, max: &str| Span { min: min.to_owned(), max: max.to_owned() };
        // 0 split into 1 and 2, and 2 into 3 and 4.
        let spans = BTreeMap::from([(1, span("", "1F")), (3, span("1F", "2F")), (4, span("2F", "FF"))]);
        let source = Source::change_feed("Acme.documents.azure.com", "rid=", spans);
        assert_eq!(source.application(3), "txgen:cosmos-db:acme.documents.azure.com/rid=/1F-2F");
        let ancestors = |partition| {
            let names = source.ancestors(partition).into_iter();
            names.map(|name| name.rsplit('/').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ancestors(3), ["-2F", "1F-FF", "-FF"]);
        assert_eq!(ancestors(4), ["1F-FF", "-FF"]);
        assert_eq!(ancestors(1), ["-2F", "-FF"]);
    }
}
