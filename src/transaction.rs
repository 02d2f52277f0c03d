//! The record: one CSV row in, one JSON document out.
//!
//! The document is serialised once, by hand in the order that its readers know, into bytes that both services share.
//! Nothing is allocated but those bytes, for a score of documents at a time: a run reads hundreds of thousands of rows a
//! second, and may have a hundred thousand of them pending.

mod cells;
mod columns;
mod explanation;

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::identity::RunId;
use cells::DateTime;
pub(crate) use cells::DecimalMark;
pub use columns::Layout;
pub(crate) use columns::{COLUMNS, Columns, HeaderProblem, Kind};
use explanation::{Explanation, explain};

/// One CSV row, ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    /// Its number in the run, counted from 1 on; with `--loop` the count goes on over the passes.
    pub row: u64,
    /// Its id in this run, the `id` of the JSON.
    pub id: Uuid,
    /// ipCountryCode: the partition key of both services.
    pub partition_key: Arc<str>,
    /// The JSON document, serialised once and shared by both services.
    pub body: Bytes,
    /// Its row as it stands in the file, where the source was asked to keep that: what a dead letter is made of.
    pub record: Option<Box<[u8]>>,
    /// Whether an earlier run may have stored it under this id: a dead letter that is replayed. A document with its id
    /// is its own then, so that a 409 is a success.
    pub may_be_stored: bool,
}

impl Transaction {
    /// A transaction that no run has tried before, and of whose row nothing more is kept.
    #[must_use]
    pub fn new(row: u64, id: Uuid, partition_key: Arc<str>, body: Bytes) -> Self {
        Self { row, id, partition_key, body, record: None, may_be_stored: false }
    }
}

/// The partition key of a row that has none.
const UNKNOWN_COUNTRY: &str = "unk";

/// The cells of one row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cells<'a> {
    text: &'a str,
    ends: &'a [usize],
}

impl<'a> Cells<'a> {
    /// Cells written one after the other, each ending at the next of `ends`; or, where that is not UTF-8 text, the
    /// number of the first cell that is not, counted from 1.
    pub(crate) fn new(text: &'a [u8], ends: &'a [usize]) -> Result<Self, usize> {
        let cell_at = |offset| ends.partition_point(|&end| end <= offset) + 1;
        let text = str::from_utf8(text).map_err(|error| cell_at(error.valid_up_to()))?;
        // Two halves of a character in neighbouring cells look whole once the cells are joined.
        match ends.iter().position(|&end| !text.is_char_boundary(end)) {
            Some(place) => Err(place + 1),
            None => Ok(Self { text, ends }),
        }
    }

    /// Cells of a text, each ending at the next of `ends`, which all lie between characters.
    pub(crate) fn of_text(text: &'a str, ends: &'a [usize]) -> Self {
        Self { text, ends }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The cell at this place, counted from 0; empty where there is none.
    pub(crate) fn get(&self, place: usize) -> &'a str {
        let start = if place == 0 { 0 } else { self.ends.get(place - 1).copied().unwrap_or(usize::MAX) };
        let end = self.ends.get(place).copied().unwrap_or(usize::MAX);
        self.text.get(start..end).unwrap_or_default()
    }

    /// All of them, in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'a str> {
        (0..self.len()).map(move |place| self.get(place))
    }
}

/// How many cells of a column had to be replaced because they hold no value of its kind: by 0, by false, or, for a date,
/// by an empty string.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CellCount {
    /// Cells without any text.
    pub empty: u64,
    /// Cells with a text that means nothing here.
    pub unreadable: u64,
    /// The first of the unreadable ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_unreadable: Option<UnreadableCell>,
    /// The first unreadable one whose meaning can be guessed.
    #[serde(skip)]
    explained: Option<(UnreadableCell, Explanation)>,
}

/// A cell whose text means nothing in its column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnreadableCell {
    /// Its line in the file, counted from 1.
    pub line: u64,
    /// Its text, shortened if it is long.
    pub text: String,
}

/// The replaced cells of a file, by column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellReport([CellCount; COLUMNS.len()]);

impl CellReport {
    /// The columns with replaced cells, in the order of the record.
    pub fn columns(&self) -> impl Iterator<Item = (&'static str, &CellCount)> {
        let columns = COLUMNS.iter().map(|column| column.name).zip(&self.0);
        columns.filter(|(_, count)| count.empty + count.unreadable > 0)
    }

    /// All cells that had no text where a number, a boolean or a date belongs.
    #[must_use]
    pub fn empty(&self) -> u64 {
        self.0.iter().map(|count| count.empty).sum()
    }

    /// All cells whose text could not be read.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.0.iter().map(|count| count.unreadable).sum()
    }

    /// What people should know of cells that are written in another way than txgen reads, one line for each column.
    pub(crate) fn remarks(&self) -> impl Iterator<Item = String> {
        self.columns().filter_map(|(column, count)| {
            let (UnreadableCell { line, text }, explanation) = count.explained.as_ref()?;
            Some(format!("{column}: `{text}` in line {line} of the data {explanation}"))
        })
    }

    fn count(&mut self, column: usize, line: u64, text: &str) {
        let count = &mut self.0[column];
        if text.is_empty() {
            count.empty += 1;
        } else {
            count.unreadable += 1;
            if count.explained.is_none() {
                let explanation = explain(COLUMNS[column].kind, text);
                count.explained =
                    explanation.map(|explanation| (UnreadableCell { line, text: shortened(text) }, explanation));
            }
            count.first_unreadable.get_or_insert_with(|| UnreadableCell { line, text: shortened(text) });
        }
    }
}

impl Serialize for CellReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.columns())
    }
}

/// A strict reading's complaint: this column's cell holds no value of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{column} {}", if .text.is_empty() { "is empty".to_owned() } else { format!("`{}` is not {}", .text, .expected) })]
pub(crate) struct BadCell {
    column: &'static str,
    text: String,
    expected: &'static str,
}

/// Makes transactions of the rows of one file.
pub(crate) struct RecordWriter {
    columns: Columns,
    run: RunId,
    mark: DecimalMark,
    strict: bool,
    /// The document's last properties, the same for every row.
    tail: String,
    document: Vec<u8>,
    /// Where finished documents go, one behind the other.
    block: BytesMut,
    keys: HashSet<Arc<str>>,
}

/// Bytes that are allocated at once. A document that is pending for long keeps its whole block in memory, so a block is no
/// larger than it takes to make the allocation of little account.
const BLOCK: usize = 16 << 10;

impl RecordWriter {
    /// For a file with these columns. `strict` refuses what would otherwise be replaced and counted.
    pub(crate) fn new(columns: Columns, run: RunId, ttl_seconds: u32, mark: DecimalMark, strict: bool) -> Self {
        let tail = format!(",\"ttl\":{ttl_seconds},\"collectionType\":\"Transaction\"}}");
        let (document, block) = (Vec::with_capacity(2048), BytesMut::with_capacity(BLOCK));
        Self { columns, run, mark, strict, tail, document, block, keys: HashSet::new() }
    }

    /// The run whose ids the transactions get.
    pub(crate) fn run(&self) -> RunId {
        self.run
    }

    /// Where the file has its columns.
    pub(crate) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The transaction of one row, whose number in the run is `row` and whose line in the file is `line`.
    pub(crate) fn write(
        &mut self,
        row: u64,
        line: u64,
        cells: &Cells<'_>,
        report: &mut CellReport,
    ) -> Result<Transaction, BadCell> {
        let id = self.run.transaction_id(row);
        let mut partition_key = UNKNOWN_COUNTRY;
        let out = &mut self.document;
        out.clear();
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        out.push(b'"');
        for (index, (column, place)) in self.columns.places().enumerate() {
            out.extend_from_slice(column.label.as_bytes());
            let cell = place.map(|place| cells.get(place));
            let bad_text = match (column.kind, cell, self.columns.raw_date_and_time()) {
                (Kind::Text, cell, _) => {
                    push_text(out, cell.unwrap_or_default());
                    None
                }
                (Kind::PartitionKey, cell, _) => {
                    partition_key = cell.map(str::trim).filter(|key| !key.is_empty()).unwrap_or(UNKNOWN_COUNTRY);
                    push_text(out, partition_key);
                    None
                }
                (Kind::DateTime, None, Some((date, time))) => {
                    let (date, time) = (cells.get(date).trim(), cells.get(time).trim());
                    let is_read = push_moment(out, DateTime::parse_raw(date, time));
                    (!is_read).then(|| Cow::Owned(format!("{date} {time}").trim().to_owned()))
                }
                (kind, Some(cell), _) => {
                    let cell = cell.trim();
                    let is_read = push_value(out, kind, cell, self.mark);
                    (!is_read).then_some(Cow::Borrowed(cell))
                }
                (kind, None, _) => {
                    push_value(out, kind, "", self.mark);
                    None
                }
            };
            if let Some(text) = bad_text {
                if self.strict {
                    let text = shortened(&text);
                    return Err(BadCell { column: column.name, text, expected: expected(column.kind) });
                }
                report.count(index, line, &text);
            }
        }
        out.extend_from_slice(self.tail.as_bytes());
        if self.block.capacity() < out.len() {
            self.block = BytesMut::with_capacity(BLOCK.max(out.len()));
        }
        self.block.extend_from_slice(out);
        let body = self.block.split().freeze();
        Ok(Transaction::new(row, id, shared_key(&mut self.keys, partition_key), body))
    }
}

/// Appends the value of a cell, or what stands in for it, in JSON; returns whether the cell held one.
fn push_value(out: &mut Vec<u8>, kind: Kind, cell: &str, mark: DecimalMark) -> bool {
    match kind {
        Kind::Text | Kind::PartitionKey => {
            push_text(out, cell);
            true
        }
        Kind::Number => {
            let number = cells::number(cell, mark);
            // Writing a number into memory cannot fail.
            let _ = serde_json::to_writer(out, &number.unwrap_or(0.0));
            number.is_some()
        }
        Kind::Integer => {
            let number = cells::integer(cell, mark);
            let _ = serde_json::to_writer(out, &number.unwrap_or(0));
            number.is_some()
        }
        Kind::Boolean => {
            let boolean = cells::boolean(cell);
            out.extend_from_slice(if boolean == Some(true) { b"true" } else { b"false" });
            boolean.is_some()
        }
        Kind::DateTime => push_moment(out, DateTime::parse(cell)),
    }
}

fn push_moment(out: &mut Vec<u8>, moment: Option<DateTime>) -> bool {
    out.push(b'"');
    if let Some(moment) = moment {
        moment.write(out);
    }
    out.push(b'"');
    moment.is_some()
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing a string into memory cannot fail.
        let _ = serde_json::to_writer(out, text);
    }
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::PartitionKey => "a text",
        Kind::Number => "a number",
        Kind::Integer => "a whole number",
        Kind::Boolean => "TRUE or FALSE",
        Kind::DateTime => "a date and time such as 2013-08-15T06:55:00",
    }
}

/// A text for a message: one line, and no longer than a reader wants it.
pub(crate) fn shortened(text: &str) -> String {
    shortened_to(40, text)
}

/// The same, at most so many characters of the text.
pub(crate) fn shortened_to(length: usize, text: &str) -> String {
    let mut short: String = text.chars().take(length).flat_map(char::escape_debug).collect();
    if text.chars().nth(length).is_some() {
        short.push('…');
    }
    short
}

/// One allocation for all transactions of a country. A file with more keys than there can be countries is not
/// remembered in full, so that memory stays bounded.
fn shared_key(keys: &mut HashSet<Arc<str>>, key: &str) -> Arc<str> {
    const REMEMBERED: usize = 4096;
    if let Some(known) = keys.get(key) {
        return Arc::clone(known);
    }
    let key: Arc<str> = key.into();
    if keys.len() < REMEMBERED {
        keys.insert(Arc::clone(&key));
    }
    key
}

#[cfg(test)]
mod tests;
