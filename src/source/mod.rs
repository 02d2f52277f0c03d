//! The streamed CSV: a file goes in, transactions come out, one at a time.
//!
//! The file is never whole in memory, and no row of it, however broken, stops the reading: what cannot be read is named
//! by its line, counted, and passed over. Reading blocks, so a run gives a [`Source`] a thread of its own.

pub(crate) mod dead_letter;
mod error;
mod fingerprint;
pub(crate) mod formula;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod header;
pub mod input;
pub mod profile;
mod remarks;
mod replay;
mod rows;

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::encoding;
use crate::identity::RunId;
use crate::shard::Shard;
pub use crate::transaction::{CellCount, CellReport, Layout, UnreadableCell};
use crate::transaction::{Columns, DecimalMark, RecordWriter, Transaction};
pub use dead_letter::Heading;
pub use error::SourceError;
pub use fingerprint::{DataFile, fingerprint};
use header::{Opened, first_run};
use remarks::Leftovers;
use replay::{ReplayColumns, Restorer};
use rows::{Found, LONGEST_ROW, RowReader};

/// How to read.
#[derive(Clone, Copy, Debug)]
pub struct SourceOptions {
    /// The run whose ids the transactions get.
    pub run: RunId,
    /// Seconds that Cosmos DB keeps each document: the `ttl` of the record.
    pub ttl_seconds: u32,
    /// Whether a row is rejected when a number, a boolean or a date of it is empty or unreadable. Otherwise the cell
    /// becomes 0, false or an empty string, and is counted. Columns that the whole file lacks are no fault of a row.
    pub strict: bool,
    /// Whether the file starts again at its end, for ever.
    pub repeat: bool,
    /// Whose rows are wanted; those of other shards are numbered and passed over.
    pub shard: Shard,
    /// Whether transactions keep their rows as they stand in the file, for dead letters.
    pub keep_records: bool,
}

impl SourceOptions {
    /// The whole file once, with the ids of this run; cells that cannot be read are counted, and rows are not kept.
    #[must_use]
    pub fn new(run: RunId, ttl_seconds: u32) -> Self {
        Self { run, ttl_seconds, strict: false, repeat: false, shard: Shard::WHOLE, keep_records: false }
    }
}

/// What became of the rows so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceReport {
    /// Which columns the file has.
    pub layout: Layout,
    /// The record's columns that the file lacks, in the order of the record.
    pub missing_columns: Vec<&'static str>,
    /// What separates its columns.
    pub separator: char,
    /// Rows seen, over all passes, the rejected ones and those of other shards among them.
    pub rows_read: u64,
    /// Rows that could not be made transactions; of this shard alone, if there are several.
    pub rejected_rows: u64,
    /// Cells that hold no value of their column's kind, in the rows that were not rejected.
    pub cells: CellReport,
    /// How often the file was begun: 1, unless it is read again and again.
    pub passes: u64,
    /// What editors and spreadsheets have left in it.
    #[serde(skip)]
    leftovers: Leftovers,
}

/// A row that is not sent, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectedRow {
    /// Its number in the run, which no transaction has.
    pub row: u64,
    /// Its line in the file, counted from 1; the header is line 1 of most files.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for RejectedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// What a [`Source`] gives in place of a transaction.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// This row is passed over; the next one follows.
    #[error("{0}")]
    Rejected(RejectedRow),
    /// The file cannot be read on; nothing follows.
    #[error(transparent)]
    Fatal(#[from] SourceError),
}

/// Transactions out of a CSV file, as an iterator that blocks.
pub struct Source {
    name: String,
    /// `None` for a stream, which cannot be read twice.
    path: Option<PathBuf>,
    options: SourceOptions,
    rows: RowReader,
    writer: RecordWriter,
    report: SourceReport,
    /// Rows that were accepted, or passed over, since the file was begun.
    usable_in_pass: u64,
    header: Vec<String>,
    /// Present when the file holds dead letters.
    replay: Option<ReplayColumns>,
    restorer: Restorer,
    /// Whether cells are searched for what cannot be seen, which takes time.
    looks_closely: bool,
    foreseen: Vec<String>,
    ended: bool,
}

impl Source {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// When the file cannot be opened, is empty, is of another kind, or lacks a column that every record needs.
    pub fn open(path: &Path, options: SourceOptions) -> Result<Self, SourceError> {
        let name = path.display().to_string();
        let file = open_file(path, &name)?;
        // Standard input cannot be begun again.
        let again = (!input::is_standard_input(path)).then(|| path.to_owned());
        Self::start(name, again, file, options)
    }

    /// Reads from any stream, which `name` stands for in messages. A stream is read once, whatever
    /// [`SourceOptions::repeat`] says.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn from_reader(
        name: &str,
        reader: impl Read + Send + 'static,
        options: SourceOptions,
    ) -> Result<Self, SourceError> {
        Self::start(name.to_owned(), None, Box::new(reader), options)
    }

    fn start(
        name: String,
        path: Option<PathBuf>,
        input: Box<dyn Read + Send>,
        options: SourceOptions,
    ) -> Result<Self, SourceError> {
        let Opened { mut rows, columns, separator, header, replay, leftovers } = header::read(&name, input)?;
        let run = match &replay {
            Some(columns) => first_run(&name, &mut rows, columns, separator)?.unwrap_or(options.run),
            None => options.run,
        };
        let options = SourceOptions { run, repeat: options.repeat && replay.is_none(), ..options };
        let report = SourceReport {
            layout: columns.layout(),
            missing_columns: columns.missing().collect(),
            separator: separator.into(),
            rows_read: 0,
            rejected_rows: 0,
            cells: CellReport::default(),
            passes: 1,
            leftovers,
        };
        let writer = record_writer(columns, separator, options);
        Ok(Self {
            name,
            path,
            options,
            rows,
            writer,
            report,
            header,
            replay,
            restorer: Restorer::default(),
            usable_in_pass: 0,
            looks_closely: false,
            foreseen: Vec::new(),
            ended: false,
        })
    }

    /// Searches cells for what cannot be seen, too.
    #[must_use]
    pub fn looking_closely(self) -> Self {
        Self { looks_closely: true, ..self }
    }

    /// What people should know of the rows read so far, one line each: what editors and spreadsheets left in the file, and
    /// cells that are written in a way that is not read.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        self.report.leftovers.remarks().into_iter().chain(self.report.cells.remarks()).collect()
    }

    /// Looks at the rows to come before the first of them is taken: the first megabyte of a file, and of a stream what has
    /// arrived. Blocks.
    #[must_use]
    pub fn looking_ahead(mut self) -> Self {
        self.foreseen = self.preview();
        self
    }

    /// The remarks on what [`Self::looking_ahead`] has seen.
    #[must_use]
    pub fn foreseen(&self) -> &[String] {
        &self.foreseen
    }

    fn preview(&mut self) -> Vec<String> {
        const AHEAD: usize = 1 << 20;
        let is_file = self.path.as_deref().is_some_and(|path| matches!(input::size(path), Ok(Some(_))));
        // What cannot be read is reported when its turn comes.
        let Ok(ahead) = self.rows.peek(if is_file { AHEAD } else { 1 }) else { return Vec::new() };
        let whole_lines = ahead.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let ahead = io::Cursor::new(ahead[..whole_lines].to_vec());
        let separator = self.separator();
        let options = SourceOptions { strict: false, repeat: false, shard: Shard::WHOLE, ..self.options };
        let mut preview = Self {
            name: self.name.clone(),
            path: None,
            options,
            rows: RowReader::new(Box::new(ahead), separator).starting_at(self.rows.lines_read() + 1),
            writer: record_writer(self.writer.columns().clone(), separator, options),
            report: self.report.clone(),
            usable_in_pass: 0,
            header: Vec::new(),
            replay: self.replay.clone(),
            restorer: Restorer::default(),
            looks_closely: true,
            foreseen: Vec::new(),
            ended: false,
        };
        preview.by_ref().for_each(drop);
        preview.remarks()
    }

    fn separator(&self) -> u8 {
        // One of the four ASCII characters that are taken for separators.
        u8::try_from(self.report.separator).unwrap_or(b',')
    }

    /// The run whose ids the transactions have: that of [`SourceOptions`], or, where the file holds dead letters, that
    /// which they come from.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.options.run
    }

    /// Whether the file holds dead letters, which are sent under the ids that they have.
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.replay.is_some()
    }

    /// What the file's first line says, without the columns that dead letters have beside those of the data.
    #[must_use]
    pub fn heading(&self) -> Heading {
        let is_added = |place: usize| self.replay.as_ref().is_some_and(|added| added.contains(place));
        let columns = self.header.iter().enumerate().map(|(place, name)| {
            let name = if self.replay.is_some() { formula::restored(name) } else { name };
            (!is_added(place)).then(|| name.to_owned())
        });
        Heading { columns: columns.collect(), separator: self.report.separator, is_replay: self.replay.is_some() }
    }

    /// What became of the rows so far.
    #[must_use]
    pub fn report(&self) -> &SourceReport {
        &self.report
    }

    /// The file, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn advance(&mut self) -> Result<Option<Transaction>, RowError> {
        loop {
            match self.rows.advance() {
                Err(source) => {
                    let (name, line) = (self.name.clone(), self.rows.lines_read());
                    return Err(SourceError::Read { name, line, source }.into());
                }
                Ok(Some(Found::Row { line })) if self.rows.is_blank() => self.report.leftovers.blank_row(line),
                Ok(Some(found)) => {
                    self.report.rows_read += 1;
                    let row = self.report.rows_read;
                    if self.options.shard.owns(row) {
                        return self.accept(row, found).map(Some).map_err(RowError::Rejected);
                    }
                    self.pass_over(found);
                }
                Ok(None) if !self.start_again()? => return Ok(None),
                Ok(None) => {}
            }
        }
    }

    fn accept(&mut self, row: u64, found: Found) -> Result<Transaction, RejectedRow> {
        let (line, result) = match found {
            Found::TooLong { line } => {
                (line, Err(format!("longer than {LONGEST_ROW} bytes; is a quotation mark never closed?")))
            }
            Found::Row { line } => (line, self.transaction(row, line)),
        };
        match &result {
            Ok(_) => self.usable_in_pass += 1,
            Err(_) => self.report.rejected_rows += 1,
        }
        result.map_err(|reason| RejectedRow { row, line, reason })
    }

    /// Leaves a row to the shard that owns it. What is no row for that one is none here either, or the two would number
    /// the rows that follow differently; what its cells hold makes no difference, so it is not read.
    fn pass_over(&mut self, found: Found) {
        let is_usable = match found {
            Found::TooLong { .. } => false,
            Found::Row { line } => self.check_fields(line).is_ok(),
        };
        self.usable_in_pass += u64::from(is_usable);
    }

    /// Whether the row has the header's number of fields; where a stray quotation mark swallowed the lines that follow
    /// it, gives them back. Empty fields at the end that have no name are no fields.
    fn check_fields(&mut self, line: u64) -> Result<(), String> {
        let (found, expected) = (self.rows.width(), self.writer.columns().width());
        if !self.rows.has_stray_quote() {
            if found == expected {
                return Ok(());
            }
            let is_nothing_more = found > expected && self.rows.is_empty_beyond(expected);
            if is_nothing_more || (found < expected && found >= self.writer.columns().named_width()) {
                self.report.leftovers.other_width(line, found, expected);
                return Ok(());
            }
            if self.rows.unwrap_only_cell(expected) {
                self.report.leftovers.wrapped_row(line);
                return Ok(());
            }
        }
        Err(if self.rows.give_up_first_line() {
            "a quotation mark opens a field that does not end on this line".to_owned()
        } else {
            let plural = if found == 1 { "field" } else { "fields" };
            format!("{found} {plural}, where the header has {expected}")
        })
    }

    fn transaction(&mut self, row: u64, line: u64) -> Result<Transaction, String> {
        self.check_fields(line)?;
        let mut cells = self.rows.cells().map_err(|field| {
            let byte = encoding::stray(&self.rows.stray_byte());
            self.report.leftovers.not_utf_8(line, field, &byte);
            format!("field {field} is not UTF-8 text ({byte})")
        })?;
        if self.looks_closely {
            self.report.leftovers.look_at(line, &cells, self.writer.columns());
        }
        let mut known = None;
        if let Some(columns) = &self.replay {
            let found = columns.identify(&cells)?;
            let run = self.writer.run();
            if found.run != run {
                return Err(format!(
                    "it comes from run {}, but the first one from run {run}; replay the dead letters of each run apart",
                    found.run
                ));
            }
            known = Some(found);
            cells = self.restorer.restore(&cells);
        }
        let row = known.map_or(row, |known| known.row);
        let written = self.writer.write(row, line, &cells, &mut self.report.cells);
        let transaction = written.map_err(|bad| bad.to_string())?;
        Ok(Transaction {
            record: self.options.keep_records.then(|| self.rows.record().into()),
            may_be_stored: known.is_some_and(|known| known.may_be_stored),
            ..transaction
        })
    }

    /// At the end of the file: begins it again if that is wanted, and returns whether it did.
    fn start_again(&mut self) -> Result<bool, SourceError> {
        let Some(path) = self.path.as_deref().filter(|_| self.options.repeat) else {
            return Ok(false);
        };
        if self.usable_in_pass == 0 {
            let rows = self.report.rows_read;
            return Err(SourceError::NothingToRepeat { name: self.name.clone(), rows });
        }
        let file = open_file(path, &self.name)?;
        let Opened { rows, columns, separator, header, .. } = header::read(&self.name, file)?;
        self.rows = rows;
        if columns != *self.writer.columns() {
            // The file was replaced meanwhile.
            self.header = header;
            self.report.layout = columns.layout();
            self.report.missing_columns = columns.missing().collect();
            self.writer = record_writer(columns, separator, self.options);
        }
        self.usable_in_pass = 0;
        self.report.passes += 1;
        tracing::debug!(file = self.name, pass = self.report.passes, "the data starts again");
        Ok(true)
    }
}

impl Iterator for Source {
    type Item = Result<Transaction, RowError>;

    /// The next transaction, or the row that is passed over in its place. After [`RowError::Fatal`] nothing follows.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.advance();
        self.ended = matches!(next, Ok(None) | Err(RowError::Fatal(_)));
        next.transpose()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).field("report", &self.report).finish_non_exhaustive()
    }
}

fn open_file(path: &Path, name: &str) -> Result<Box<dyn Read + Send>, SourceError> {
    input::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => SourceError::NotFound { name: name.to_owned() },
        io::ErrorKind::IsADirectory => SourceError::Directory { name: name.to_owned() },
        _ => SourceError::Open { name: name.to_owned(), source },
    })
}

fn record_writer(columns: Columns, separator: u8, options: SourceOptions) -> RecordWriter {
    // A spreadsheet separates by semicolons where the comma is taken, as the decimal mark.
    let mark = if separator == b';' { DecimalMark::Comma } else { DecimalMark::Point };
    RecordWriter::new(columns, options.run, options.ttl_seconds, mark, options.strict)
}

#[cfg(test)]
mod tests;
