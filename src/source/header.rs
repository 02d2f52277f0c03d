//! The first lines of a file: what separates its columns, which they are, and what stands before them.

use std::io::{self, Read};

use super::error::{self, OtherKind, SourceError};
use super::remarks::Leftovers;
use super::replay::ReplayColumns;
use super::rows::{Found, RowReader};
use crate::encoding::{self, Text};
use crate::identity::RunId;
use crate::transaction::{Columns, HeaderProblem};

/// A file whose header is read.
pub(super) struct Opened {
    pub(super) rows: RowReader,
    pub(super) columns: Columns,
    pub(super) separator: u8,
    pub(super) header: Vec<String>,
    pub(super) replay: Option<ReplayColumns>,
    pub(super) leftovers: Leftovers,
}

/// What may separate columns; the one is taken under which most columns are known.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// So many lines may stand before the header: a title, a date, a line for a spreadsheet.
const LINES_BEFORE: usize = 10;

/// What the first line with a known column is under the separator that suits it.
struct Heading {
    separator: u8,
    cells: Vec<String>,
    found: Result<Columns, HeaderProblem>,
}

/// Reads up to the end of the header.
///
/// # Errors
/// When the file is of another kind, or has no usable header.
pub(super) fn read(name: &str, input: Box<dyn Read + Send>) -> Result<Opened, SourceError> {
    let failed = |source| SourceError::Read { name: name.to_owned(), line: 0, source };
    let not_csv = |(looks_like, remedy)| SourceError::NotCsv { name: name.to_owned(), looks_like, remedy };

    let Text { input, decoded_from } = encoding::utf_8(input).map_err(failed)?;
    let mut rows = RowReader::new(input, SEPARATORS[0]);
    let start = rows.peek(error::SIGNATURE).map_err(failed)?;
    if let Some(kind) = error::other_kind(start) {
        return Err(not_csv(kind));
    }
    let other_text = error::other_text(start);
    let not_csv = |kind| not_csv(other_text.unwrap_or(kind));
    if !rows.has_more().map_err(failed)? {
        return Err(SourceError::Empty { name: name.to_owned() });
    }

    let heading = heading(&mut rows).map_err(failed)?.map_err(not_csv)?;
    let Heading { separator, cells: header, found } = heading;
    let columns = found.map_err(|problem| match other_text {
        Some(kind) => not_csv(kind),
        None => SourceError::of_header(name, &problem, separator, &header),
    })?;
    let replay =
        ReplayColumns::find(&header).map_err(|problem| SourceError::Header { name: name.to_owned(), problem })?;
    let leftovers = Leftovers::of_header(decoded_from, rows.row_line() - 1, &header);
    // Nothing to replay is good news, no mistake.
    if replay.is_none() && !rows.has_more().map_err(failed)? {
        return Err(SourceError::HeaderOnly { name: name.to_owned() });
    }
    Ok(Opened { rows, columns, separator, header, replay, leftovers })
}

/// The first line that has a column of the record's under any separator; where none of the first lines has, the first of
/// all. The rows go on behind it.
fn heading(rows: &mut RowReader) -> io::Result<Result<Heading, OtherKind>> {
    let mut first = None;
    for _ in 0..=LINES_BEFORE {
        let Line { known, separator, cells } = match best(rows)? {
            Ok(line) => line,
            Err(kind) if first.is_none() => return Ok(Err(kind)),
            // Rows follow, not a header.
            Err(_) => break,
        };
        rows.again_with(separator);
        rows.advance()?;
        let found = Columns::find(cells.iter().map(String::as_str));
        let heading = Heading { separator, cells, found };
        if known > 0 {
            return Ok(Ok(heading));
        }
        first.get_or_insert(heading);
        if !rows.has_more()? {
            break;
        }
    }
    // There was a first line, or the file would be empty.
    Ok(first.ok_or(("an empty file", "name the CSV file of transactions with --data")))
}

/// A line under the separator that suits it best.
struct Line {
    /// Columns of the record's among its cells.
    known: usize,
    separator: u8,
    cells: Vec<String>,
}

/// The line that comes next.
fn best(rows: &mut RowReader) -> io::Result<Result<Line, OtherKind>> {
    let mut best = Line { known: 0, separator: SEPARATORS[0], cells: Vec::new() };
    for separator in SEPARATORS {
        rows.again_with(separator);
        let cells = match rows.advance()? {
            Some(Found::TooLong { .. }) => {
                return Ok(Err(("data without lines", "name the CSV file of transactions with --data")));
            }
            _ => match rows.cells() {
                Ok(cells) => cells.iter().map(str::to_owned).collect::<Vec<_>>(),
                Err(_) => return Ok(Err(("text that is not UTF-8", "save it as CSV (UTF-8)"))),
            },
        };
        let cells = unwrapped(cells, separator);
        let known = Columns::count_known(cells.iter().map(String::as_str));
        if known > best.known || best.cells.is_empty() {
            best = Line { known, separator, cells };
        }
    }
    Ok(Ok(best))
}

/// The cells of a line that is in quotation marks as a whole, which makes it a single cell.
fn unwrapped(cells: Vec<String>, separator: u8) -> Vec<String> {
    match cells.as_slice() {
        [only] if only.contains(char::from(separator)) => {
            only.split(char::from(separator)).map(|cell| cell.trim_matches('"').to_owned()).collect()
        }
        _ => cells,
    }
}

/// The run that the first dead letter comes from; `None` where there is none. The row is read again afterwards.
pub(super) fn first_run(
    name: &str,
    rows: &mut RowReader,
    columns: &ReplayColumns,
    separator: u8,
) -> Result<Option<RunId>, SourceError> {
    let failed = |source| SourceError::Read { name: name.to_owned(), line: 1, source };
    let found = match rows.advance().map_err(failed)? {
        None => return Ok(None),
        Some(Found::TooLong { line }) => Err((line, "it is too long".to_owned())),
        Some(Found::Row { line }) => match rows.cells() {
            Ok(cells) => columns.identify(&cells).map_err(|problem| (line, problem)),
            Err(_) => Err((line, "it is not UTF-8 text".to_owned())),
        },
    };
    match found {
        Ok(identified) => {
            rows.again_with(separator);
            Ok(Some(identified.run))
        }
        Err((line, problem)) => Err(SourceError::Header {
            name: name.to_owned(),
            problem: format!("has a first dead letter (line {line}) that names no run: {problem}"),
        }),
    }
}
