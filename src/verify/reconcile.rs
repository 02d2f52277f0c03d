//! Holds what is read back from one place, an event hub or a container, against what must be there.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::document::Stored;
use super::expected::Expected;
use crate::service::ServiceName;
use crate::stats::Rows;

/// Something that was read back.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// What it is.
    pub stored: Stored,
    /// The partition key that it is stored under, if any.
    pub key: Option<&'a str>,
    /// The partition that holds it; `None` where partitions are of no interest.
    pub partition: Option<u32>,
}

/// Rows of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How many there are.
    pub count: u64,
    /// The first of them, in the order of their numbers.
    pub first: Vec<FoundRow>,
}

/// A row of a finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FoundRow {
    /// Its number in the run.
    pub row: u64,
    /// Its id.
    pub id: String,
    /// What more there is to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What was found in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// The hub or the container.
    pub place: String,
    /// Rows that must be there.
    pub expected: u64,
    /// Events or documents of the run that were read.
    pub read: u64,
    /// Rows that are there, once or more often.
    pub present: u64,
    /// Rows that are there once, as they were sent, where they belong.
    pub intact: u64,
    /// Rows that are not there, or not at each of the keys that name the hub.
    pub missing: Finding,
    /// Rows that are there more than once without any reason.
    pub duplicated: Finding,
    /// Rows that are there more than once after a send whose answer was lost.
    pub duplicated_after_ambiguous: Finding,
    /// Rows that hold something else than the data.
    pub different: Finding,
    /// Rows that are on another partition than the other rows of their key, or under another key.
    pub wrong_partition: Finding,
    /// Rows whose `ttl` is not the run's.
    pub ttl_wrong: Finding,
    /// Rows of the run that its data does not have.
    pub unexpected: Finding,
}

impl Findings {
    /// The findings that count against the place, by name. A duplicate after an ambiguous send does not: at least once is
    /// what a hub promises.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, &Finding)> {
        [
            ("missing", &self.missing),
            ("duplicated", &self.duplicated),
            ("different", &self.different),
            ("wrong partition", &self.wrong_partition),
            ("ttl wrong", &self.ttl_wrong),
            ("unexpected", &self.unexpected),
        ]
        .into_iter()
        .filter(|(_, finding)| finding.count > 0)
    }

    /// Whether every row is there as it was sent, and at least once.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.faults().next().is_none()
    }
}

/// The first rows of a kind, while they are collected in any order.
#[derive(Clone, Debug)]
struct Collected {
    count: u64,
    first: BTreeMap<u64, String>,
    /// So many rows are kept, no more.
    listed: usize,
}

impl Collected {
    fn new(listed: usize) -> Self {
        Self { count: 0, first: BTreeMap::new(), listed }
    }

    fn add(&mut self, row: u64, detail: impl FnOnce() -> String) {
        self.count += 1;
        self.keep(row, detail);
    }

    fn keep(&mut self, row: u64, detail: impl FnOnce() -> String) {
        if self.first.len() < self.listed || self.first.last_key_value().is_some_and(|(last, _)| row < *last) {
            self.first.entry(row).or_insert_with(detail);
            if self.first.len() > self.listed {
                self.first.pop_last();
            }
        }
    }

    fn finding(self, expected: &Expected) -> Finding {
        let row = |(row, detail)| FoundRow { row, id: expected.run().transaction_id(row).to_string(), detail };
        Finding { count: self.count, first: self.first.into_iter().map(row).collect() }
    }
}

/// What is known of one row, in one byte.
mod seen {
    /// How often it is there, up to the number that these bits hold.
    pub(super) const TIMES: u8 = 7;
    pub(super) const DIFFERENT: u8 = 8;
    pub(super) const TTL_WRONG: u8 = 16;
    /// Under another key than its own.
    pub(super) const WRONG_KEY: u8 = 32;
}

/// Takes what is read back from one place.
#[derive(Debug)]
pub struct Reconciler<'a> {
    expected: &'a Expected,
    service: ServiceName,
    listed: usize,
    /// How often every row is expected.
    copies: u8,
    seen: Vec<u8>,
    read: u64,
    different: Collected,
    ttl_wrong: Collected,
    wrong_partition: Collected,
    unexpected: Collected,
    /// Of each key and partition, the rows that are there.
    partitions: HashMap<(u32, u32), Collected>,
}

impl<'a> Reconciler<'a> {
    /// Nothing read yet. So many rows of each kind, the first ones, are listed one by one in the end.
    #[must_use]
    pub fn new(expected: &'a Expected, service: ServiceName, listed: usize) -> Self {
        Self {
            expected,
            service,
            listed,
            copies: 1,
            seen: vec![0; expected.end()],
            read: 0,
            different: Collected::new(listed),
            ttl_wrong: Collected::new(listed),
            wrong_partition: Collected::new(listed),
            unexpected: Collected::new(listed),
            partitions: HashMap::new(),
        }
    }

    /// Every row is expected this often, at most 3 times: a hub that the settings name so often gets every transaction
    /// so often.
    #[must_use]
    pub fn with_copies(self, copies: u8) -> Self {
        Self { copies, ..self }
    }

    /// Events or documents of the run that were taken so far.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Whether a row was not taken as often as it must be there.
    #[must_use]
    pub fn lacks_any(&self) -> bool {
        self.lacking().next().is_some()
    }

    /// How many rows were not taken as often as they must be there.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.lacking().count() as u64
    }

    fn lacking(&self) -> impl Iterator<Item = u64> {
        self.expected.rows_of(self.service).filter(|row| self.marks(*row) & seen::TIMES < self.copies)
    }

    /// Takes one.
    pub fn take(&mut self, item: &Item<'_>) {
        self.read += 1;
        let Stored { row, digest, ttl } = item.stored;
        let Some((right_digest, key)) = self.expected.row(self.service, row) else {
            self.unexpected.add(row, String::new);
            return;
        };
        let expected = self.expected;
        let mut marks = self.marks(row);
        if marks & seen::TIMES < seen::TIMES {
            marks += 1;
        }
        let mut mark = |mark: u8, applies: bool| {
            let is_new = applies && marks & mark == 0;
            if applies {
                marks |= mark;
            }
            is_new
        };
        if mark(seen::DIFFERENT, digest != right_digest) {
            self.different.add(row, String::new);
        }
        if mark(seen::TTL_WRONG, ttl != Some(expected.ttl())) {
            self.ttl_wrong.add(row, || match ttl {
                Some(ttl) => format!("{ttl} s in place of {} s", expected.ttl()),
                None => format!("none in place of {} s", expected.ttl()),
            });
        }
        let has_wrong_key = item.key != Some(expected.key(key));
        if mark(seen::WRONG_KEY, has_wrong_key) {
            self.wrong_partition.add(row, || match item.key {
                Some(other) => format!("under `{}` in place of `{}`", other.escape_debug(), expected.key(key)),
                None => format!("without a key in place of `{}`", expected.key(key)),
            });
        }
        if let Some(partition) = item.partition.filter(|_| !has_wrong_key) {
            let detail = || format!("`{}` on partition {partition}", expected.key(key));
            let listed = self.listed;
            self.partitions.entry((key, partition)).or_insert_with(|| Collected::new(listed)).add(row, detail);
        }
        if let Some(seen) = usize::try_from(row).ok().and_then(|place| self.seen.get_mut(place)) {
            *seen = marks;
        }
    }

    fn marks(&self, row: u64) -> u8 {
        usize::try_from(row).ok().and_then(|place| self.seen.get(place)).copied().unwrap_or_default()
    }

    /// Everything was read. `ambiguous` are the rows of which an answer was lost, each of which may be there twice.
    #[must_use]
    pub fn finish(mut self, place: String, ambiguous: &Rows) -> Findings {
        let wrong_keys = self.wrong_partition.count;
        self.settle_partitions();
        let mut missing = Collected::new(self.listed);
        let mut duplicated = Collected::new(self.listed);
        let mut excused = Collected::new(self.listed);
        let (mut expected, mut present, mut intact) = (0, 0, 0);
        for row in self.expected.rows_of(self.service) {
            expected += 1;
            let marks = self.marks(row);
            let times = marks & seen::TIMES;
            present += u64::from(times > 0);
            intact += u64::from(marks == self.copies);
            if times < self.copies {
                missing.add(row, || if times == 0 { String::new() } else { format!("{times} of {}", self.copies) });
            } else if times > self.copies {
                // Past the ranges that a summary keeps it is no longer known.
                let is_excused = ambiguous.contains(row) || !ambiguous.is_complete();
                if is_excused { excused.add(row, String::new) } else { duplicated.add(row, String::new) }
            }
        }
        let strayed = self.wrong_partition.count - wrong_keys;
        Findings {
            place,
            expected,
            read: self.read,
            present,
            intact: u64::saturating_sub(intact, strayed),
            missing: missing.finding(self.expected),
            duplicated: duplicated.finding(self.expected),
            duplicated_after_ambiguous: excused.finding(self.expected),
            different: self.different.finding(self.expected),
            wrong_partition: self.wrong_partition.finding(self.expected),
            ttl_wrong: self.ttl_wrong.finding(self.expected),
            unexpected: self.unexpected.finding(self.expected),
        }
    }

    /// The partition with most rows of a key is where that key belongs; its rows elsewhere are on the wrong one.
    fn settle_partitions(&mut self) {
        let mut homes: HashMap<u32, (u64, u32)> = HashMap::new();
        for ((key, partition), rows) in &self.partitions {
            let home = homes.entry(*key).or_insert((rows.count, *partition));
            *home = (*home).max((rows.count, *partition));
        }
        for ((key, partition), rows) in std::mem::take(&mut self.partitions) {
            let Some((_, home)) = homes.get(&key).filter(|(_, home)| *home != partition) else { continue };
            self.wrong_partition.count += rows.count;
            for (row, detail) in rows.first {
                self.wrong_partition.keep(row, || format!("{detail}, the others on {home}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::identity::RunId;
    use crate::transaction::Transaction;

    fn run() -> RunId {
        "0b5c1f6e-93d2-8a47".parse().unwrap()
    }

    fn body(row: u64, account: &str, ttl: u32) -> String {
        format!(r#"{{"id":"{}","accountID":"{account}","ttl":{ttl}}}"#, run().transaction_id(row))
    }

    /// Rows 1 to 20, the even ones of `gb`, the others of `us`; row 7 was rejected.
    fn expected() -> Expected {
        let mut expected = Expected::new(run(), 60);
        for row in (1..=20).filter(|row| *row != 7) {
            let body = body(row, &format!("A{row}"), 60);
            let transaction = Transaction::new(row, run().transaction_id(row), key(row).into(), body.into());
            expected.add(&transaction, &BTreeSet::from([ServiceName::EventHubs])).unwrap();
        }
        expected
    }

    fn key(row: u64) -> &'static str {
        if row.is_multiple_of(2) { "gb" } else { "us" }
    }

    fn item(row: u64) -> Item<'static> {
        let stored = Stored::of_json(body(row, &format!("A{row}"), 60).as_bytes(), run()).unwrap();
        Item { stored, key: Some(key(row)), partition: Some(if row.is_multiple_of(2) { 3 } else { 1 }) }
    }

    fn reconcile(items: impl IntoIterator<Item = Item<'static>>, ambiguous: &[u64]) -> Findings {
        let expected = expected();
        let mut reconciler = Reconciler::new(&expected, ServiceName::EventHubs, 10);
        items.into_iter().for_each(|item| reconciler.take(&item));
        let mut rows = Rows::default();
        ambiguous.iter().for_each(|row| rows.insert(*row));
        reconciler.finish("hub".to_owned(), &rows)
    }

    fn all() -> impl Iterator<Item = Item<'static>> {
        (1..=20).filter(|row| *row != 7).map(item)
    }

    fn rows(finding: &Finding) -> Vec<u64> {
        assert!(finding.count >= finding.first.len() as u64);
        finding.first.iter().map(|found| found.row).collect()
    }

    #[test]
    fn each_row_once_as_it_was_sent_is_good() {
        let findings = reconcile(all(), &[]);
        assert!(findings.is_good(), "{findings:?}");
        assert_eq!((findings.expected, findings.read, findings.present, findings.intact), (19, 19, 19, 19));
    }

    #[test]
    fn what_is_not_there_is_missing_the_first_rows_by_name() {
        let findings = reconcile([item(20)], &[]);
        assert_eq!(findings.missing.count, 18);
        assert_eq!(rows(&findings.missing), [1, 2, 3, 4, 5, 6, 8, 9, 10, 11]);
        assert_eq!(findings.missing.first[0].id, "0b5c1f6e-93d2-8a47-8000-000000000001");
        assert!(!findings.is_good());
    }

    #[test]
    fn a_hub_that_is_named_twice_has_every_row_twice() {
        let expected = expected();
        let mut reconciler = Reconciler::new(&expected, ServiceName::EventHubs, 10).with_copies(2);
        all().chain(all().filter(|item| item.stored.row != 3)).chain([item(4)]).for_each(|item| reconciler.take(&item));
        assert_eq!(reconciler.missing(), 1);
        let findings = reconciler.finish("hub".to_owned(), &Rows::default());
        assert_eq!((findings.expected, findings.present, findings.intact), (19, 19, 17));
        assert_eq!((rows(&findings.missing), rows(&findings.duplicated)), (vec![3], vec![4]));
        assert_eq!(findings.missing.first[0].detail, "1 of 2");
    }

    #[test]
    fn as_many_rows_of_each_kind_are_listed_as_were_asked_for() {
        let expected = expected();
        for (listed, rows) in [(0, 0), (3, 3), (100, 19)] {
            let findings =
                Reconciler::new(&expected, ServiceName::EventHubs, listed).finish("hub".to_owned(), &Rows::default());
            assert_eq!((findings.missing.count, findings.missing.first.len()), (19, rows), "{listed}");
        }
    }

    #[test]
    fn a_duplicate_after_an_ambiguous_send_is_told_apart_and_no_fault() {
        let findings = reconcile(all().chain([item(4), item(4), item(9)]), &[4]);
        assert_eq!(rows(&findings.duplicated_after_ambiguous), [4]);
        assert_eq!(rows(&findings.duplicated), [9]);
        assert_eq!((findings.read, findings.present, findings.intact), (22, 19, 17));
        assert!(reconcile(all().chain([item(4)]), &[4]).is_good());
    }

    #[test]
    fn another_content_and_another_ttl_are_different_things() {
        let other = |account: &str, ttl| Stored::of_json(body(2, account, ttl).as_bytes(), run()).unwrap();
        let changed = |stored| all().map(move |item| if item.stored.row == 2 { Item { stored, ..item } } else { item });
        let findings = reconcile(changed(other("other", 60)), &[]);
        assert_eq!((rows(&findings.different), findings.ttl_wrong.count), (vec![2], 0));
        let findings = reconcile(changed(other("A2", 61)), &[]);
        assert_eq!((rows(&findings.ttl_wrong), findings.different.count), (vec![2], 0));
        assert_eq!(findings.ttl_wrong.first[0].detail, "61 s in place of 60 s");
    }

    #[test]
    fn a_key_belongs_where_most_of_its_rows_are() {
        let strayed = |item: Item<'static>| match item.stored.row {
            6 => Item { partition: Some(1), ..item },
            8 => Item { key: None, ..item },
            _ => item,
        };
        let findings = reconcile(all().map(strayed), &[]);
        assert_eq!(rows(&findings.wrong_partition), [6, 8]);
        assert_eq!(findings.wrong_partition.count, 2);
        assert_eq!(findings.wrong_partition.first[0].detail, "`gb` on partition 1, the others on 3");
        assert_eq!(findings.wrong_partition.first[1].detail, "without a key in place of `gb`");
        assert_eq!(findings.intact, 17);
    }

    #[test]
    fn a_row_that_the_data_does_not_have_is_unexpected() {
        let findings = reconcile(all().chain([item(7), item(1_000_000)]), &[]);
        assert_eq!(rows(&findings.unexpected), [7, 1_000_000]);
        assert!(!findings.is_good());
    }

    #[test]
    fn a_row_is_expected_only_where_it_was_requested() {
        assert_eq!(expected().count(ServiceName::EventHubs), 19);
        assert_eq!(expected().count(ServiceName::CosmosDb), 0);
        assert_eq!(expected().keys().collect::<Vec<_>>(), ["us", "gb"]);
    }
}
