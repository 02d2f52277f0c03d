//! Which transactions have come to an end, as far as a file can show after a kill -9.
//!
//! The journal is a text that only grows: a line `requested N` says how far the run has got, a line such as
//! `cosmos_db 1-800 805` which rows are settled at a service, and a line such as `ambiguous event_hubs 7` of which rows an
//! answer was lost. Rows that became dead letters are not among the settled ones: their file records them, and should it
//! have lost its end, they are not forgotten. A line that breaks off at the end of the file was never finished, and says
//! nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::BufRead;

use rangemap::RangeInclusiveSet;

use crate::service::ServiceName;

const REQUESTED: &str = "requested";
const AMBIGUOUS: &str = "ambiguous";

/// What a journal says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Journal {
    /// The row that was requested last.
    pub(super) requested: u64,
    /// The rows that are settled, by service.
    pub(super) settled: BTreeMap<ServiceName, RangeInclusiveSet<u64>>,
    /// The rows of which an answer was lost, so that an event hub may hold them twice, by service.
    pub(super) ambiguous: BTreeMap<ServiceName, RangeInclusiveSet<u64>>,
}

impl Journal {
    /// Reads a journal. Lines that mean nothing are passed over: a row too few settled is sent again, which is harmless.
    ///
    /// # Errors
    /// When reading fails.
    pub(super) fn read(mut input: impl BufRead) -> std::io::Result<Self> {
        let mut journal = Self::default();
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line)? > 0 {
            if let Some(text) = line.strip_suffix(b"\n").and_then(|line| str::from_utf8(line).ok()) {
                journal.take(text);
            }
            line.clear();
        }
        Ok(journal)
    }

    fn take(&mut self, line: &str) {
        let mut words = line.split(' ');
        let Some(mut subject) = words.next() else { return };
        if subject == REQUESTED {
            let row = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
            self.requested = self.requested.max(row);
            return;
        }
        let mut kept = &mut self.settled;
        if subject == AMBIGUOUS {
            kept = &mut self.ambiguous;
            subject = words.next().unwrap_or_default();
        }
        if let Some(service) = ServiceName::ALL.into_iter().find(|service| service.key() == subject) {
            let rows = kept.entry(service).or_default();
            words.filter_map(range).for_each(|(first, last)| rows.insert(first..=last));
        }
    }

    /// Whether the row is settled at the service.
    pub(super) fn is_settled(&self, service: ServiceName, row: u64) -> bool {
        self.settled.get(&service).is_some_and(|settled| settled.contains(&row))
    }

    /// The last row that the run is known to have got to.
    pub(super) fn last_row(&self) -> u64 {
        let settled = self.settled.values().filter_map(|rows| rows.last().map(|range| *range.end())).max();
        self.requested.max(settled.unwrap_or_default())
    }
}

fn range(word: &str) -> Option<(u64, u64)> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

/// The line for how far the run has got.
pub(super) fn requested_line(row: u64) -> String {
    format!("{REQUESTED} {row}\n")
}

/// The line for rows that are settled at a service, in any order; nothing for none.
pub(super) fn settled_line(service: ServiceName, rows: &mut [u64]) -> String {
    line_of(service.key().to_owned(), rows)
}

/// The line for rows of which an answer was lost at a service, likewise.
pub(super) fn ambiguous_line(service: ServiceName, rows: &mut [u64]) -> String {
    line_of(format!("{AMBIGUOUS} {}", service.key()), rows)
}

fn line_of(mut line: String, rows: &mut [u64]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    rows.sort_unstable();
    for chunk in rows.chunk_by(|a, b| b - a <= 1) {
        let (first, last) = (chunk.first().copied().unwrap_or_default(), chunk.last().copied().unwrap_or_default());
        // Writing into a string cannot fail.
        let _ = if first == last { write!(line, " {first}") } else { write!(line, " {first}-{last}") };
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_are_written_as_ranges() {
        assert_eq!(settled_line(ServiceName::CosmosDb, &mut [5, 1, 2, 3, 9]), "cosmos_db 1-3 5 9\n");
        assert_eq!(settled_line(ServiceName::EventHubs, &mut []), "");
        assert_eq!(ambiguous_line(ServiceName::EventHubs, &mut [8, 7]), "ambiguous event_hubs 7-8\n");
    }

    #[test]
    fn rows_of_which_an_answer_was_lost_are_told_apart_from_those_that_are_settled() {
        let text = "event_hubs 1-3\nambiguous event_hubs 2 5-6\nambiguous nobody 4\nambiguous\nambiguous event_hubs 9";
        let journal = Journal::read(text.as_bytes()).unwrap();
        assert!(journal.is_settled(ServiceName::EventHubs, 3) && !journal.is_settled(ServiceName::EventHubs, 5));
        let ambiguous: Vec<_> = journal.ambiguous[&ServiceName::EventHubs].iter().cloned().collect();
        assert_eq!(ambiguous, [2..=2, 5..=6]);
    }

    #[test]
    fn a_line_that_breaks_off_says_nothing() {
        let text = "requested 900\ncosmos_db 1-3 7\nnonsense 5\ncosmos_db x 4\nevent_hubs 2\nevent_hubs 1-10";
        let journal = Journal::read(text.as_bytes()).unwrap();
        assert_eq!((journal.requested, journal.last_row()), (900, 900));
        let settled = |service| (1..10).filter(|row| journal.is_settled(service, *row)).collect::<Vec<_>>();
        assert_eq!(settled(ServiceName::CosmosDb), [1, 2, 3, 4, 7]);
        assert_eq!(settled(ServiceName::EventHubs), [2]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(mut rows in proptest::collection::vec(1u64..200, 0..80)) {
            let expected: std::collections::BTreeSet<u64> = rows.iter().copied().collect();
            let line = settled_line(ServiceName::EventHubs, &mut rows);
            let journal = Journal::read(line.as_bytes()).unwrap();
            for row in 0..200 {
                prop_assert_eq!(journal.is_settled(ServiceName::EventHubs, row), expected.contains(&row));
            }
        }
    }
}
