//! CSV rows out of a stream, in bounded memory, each with its line number.
//!
//! A line is what editors call one: it ends with a line feed, with a carriage return, or with both.
//!
//! The parser is csv-core's. What is added is what a file from the wild needs: a row has a greatest length, and a quote
//! that is opened but never closed costs the row that it is in, not the rest of the file.

use std::io::{self, Read};

use csv_core::ReadRecordResult;

use crate::transaction::Cells;

/// The longest row that is read; a transaction has some 200 bytes.
pub(super) const LONGEST_ROW: usize = 1 << 20;
const CHUNK: usize = 128 << 10;

/// What the stream had next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A row; its cells are in [`RowReader::cells`].
    Row {
        /// Where it starts, counted from 1.
        line: u64,
    },
    /// A row longer than [`LONGEST_ROW`], which is skipped.
    TooLong {
        /// Where it starts, counted from 1.
        line: u64,
    },
}

/// Rows of a stream.
pub(super) struct RowReader {
    input: Box<dyn Read + Send>,
    at_end: bool,
    parser: csv_core::Reader,
    /// What was read of the stream and is still needed: everything from the start of the current row on.
    buffer: Vec<u8>,
    filled: usize,
    /// The first byte after the current row.
    next: usize,
    /// The line of that byte.
    next_line: u64,
    /// Whether a carriage return is right before it: a line feed there ends no other line.
    after_return: bool,
    /// The current row.
    row: usize,
    row_line: u64,
    /// The lines that end in it.
    row_breaks: u64,
    text: Vec<u8>,
    text_length: usize,
    ends: Vec<usize>,
    cells: usize,
    separator: u8,
}

impl RowReader {
    /// Rows whose cells are separated by this byte.
    pub(super) fn new(input: Box<dyn Read + Send>, separator: u8) -> Self {
        Self {
            input,
            at_end: false,
            parser: parser(separator),
            buffer: vec![0; CHUNK],
            filled: 0,
            next: 0,
            next_line: 1,
            after_return: false,
            row: 0,
            row_line: 1,
            row_breaks: 0,
            text: vec![0; 4096],
            text_length: 0,
            ends: vec![0; 64],
            cells: 0,
            separator,
        }
    }

    /// Counts lines from here on, where the stream is a part of another one.
    pub(super) fn starting_at(self, line: u64) -> Self {
        Self { next_line: line, row_line: line, ..self }
    }

    /// What comes next, as it stands in the stream: this many bytes or more, fewer only at its end.
    pub(super) fn peek(&mut self, at_least: usize) -> io::Result<&[u8]> {
        self.start_row();
        while self.filled - self.next < at_least && !self.at_end {
            self.fill()?;
        }
        Ok(&self.buffer[self.next..self.filled])
    }

    fn start_row(&mut self) {
        (self.row, self.row_line) = (self.next, self.next_line);
    }

    /// Passes over blank lines, and returns whether anything follows.
    pub(super) fn has_more(&mut self) -> io::Result<bool> {
        loop {
            let blank = self.peek(1)?.iter().take_while(|&&byte| byte == b'\n' || byte == b'\r').count();
            self.pass(blank);
            self.start_row();
            if self.next < self.filled || self.at_end {
                return Ok(self.next < self.filled);
            }
        }
    }

    /// Passes over so many bytes, and gives the lines that end in them.
    fn pass(&mut self, bytes: usize) -> u64 {
        let passed = &self.buffer[self.next..self.next + bytes];
        let breaks = line_breaks(passed) - u64::from(self.after_return && passed.starts_with(b"\n"));
        if let Some(last) = passed.last() {
            self.after_return = *last == b'\r';
        }
        self.next += bytes;
        self.next_line += breaks;
        breaks
    }

    /// The next row; blank lines are no rows.
    pub(super) fn advance(&mut self) -> io::Result<Option<Found>> {
        if !self.has_more()? {
            return Ok(None);
        }
        (self.text_length, self.cells) = (0, 0);
        loop {
            let (result, read, written, ended) = self.parser.read_record(
                &self.buffer[self.next..self.filled],
                &mut self.text[self.text_length..],
                &mut self.ends[self.cells..],
            );
            self.next += read;
            self.text_length += written;
            self.cells += ended;
            match result {
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => {
                    let length = self.next - self.row;
                    self.take_back();
                    self.row_breaks = self.pass(length);
                    return Ok(Some(Found::Row { line: self.row_line }));
                }
                // The parser takes an empty input for the end of the stream, and says `InputEmpty` before.
                ReadRecordResult::InputEmpty | ReadRecordResult::End if !self.at_end => {
                    if self.next - self.row > LONGEST_ROW {
                        let line = self.row_line;
                        self.skip_line()?;
                        return Ok(Some(Found::TooLong { line }));
                    }
                    self.fill()?;
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    /// The current row's cells; or the number of the first one that is not UTF-8 text, counted from 1.
    pub(super) fn cells(&self) -> Result<Cells<'_>, usize> {
        Cells::new(&self.text[..self.text_length], &self.ends[..self.cells])
    }

    /// The current row as it stands in the stream, its line break included.
    pub(super) fn record(&self) -> &[u8] {
        &self.buffer[self.row..self.next]
    }

    /// The lines that were read whole so far.
    pub(super) fn lines_read(&self) -> u64 {
        self.next_line - 1
    }

    /// Whether the current row goes over several lines because of a stray quotation mark: the quoted cell that crosses
    /// a line's end is never closed, or is closed in the middle of what must be another cell.
    pub(super) fn has_stray_quote(&self) -> bool {
        let row = &self.buffer[self.row..self.next];
        let own_end = u64::from(row.ends_with(b"\n") || row.ends_with(b"\r"));
        self.row_breaks > own_end && !is_well_quoted(row, self.separator)
    }

    /// The first byte of the current row that is not UTF-8 text; 0 where all are.
    pub(super) fn stray_byte(&self) -> u8 {
        let text = &self.text[..self.text_length];
        let place = std::str::from_utf8(text).err().map_or(text.len(), |error| error.valid_up_to());
        text.get(place).copied().unwrap_or_default()
    }

    /// Whether the current row has separators and nothing else, as spreadsheets write the rows below the last one.
    pub(super) fn is_blank(&self) -> bool {
        self.text_length == 0
    }

    /// Whether all cells from this one on, counted from 0, are empty.
    pub(super) fn is_empty_beyond(&self, place: usize) -> bool {
        place == 0 || self.ends.get(place - 1) == Some(&self.text_length)
    }

    /// Reads the only cell of the current row as a row of its own, where that has as many cells as this; returns whether it did.
    ///
    /// Spreadsheets write rows like that which they took for text: `"1,""a"",2"`.
    pub(super) fn unwrap_only_cell(&mut self, width: usize) -> bool {
        if self.cells != 1 || width < 2 {
            return false;
        }
        let inner = self.text[..self.text_length].to_vec();
        let (mut text, mut ends) = (vec![0; inner.len() + 1], vec![0; width + 1]);
        let (_, _, written, cells) = parser(self.separator).read_record(&inner, &mut text, &mut ends);
        // The last cell ends with its row.
        if cells + 1 != width || inner.contains(&b'\n') || inner.contains(&b'\r') {
            return false;
        }
        ends[cells] = written;
        ends.truncate(width);
        self.text[..written].copy_from_slice(&text[..written]);
        self.text_length = written;
        if self.ends.len() < width {
            self.ends.resize(width, 0);
        }
        self.ends[..width].copy_from_slice(&ends);
        self.cells = width;
        true
    }

    /// Where the current row starts, counted from 1.
    pub(super) fn row_line(&self) -> u64 {
        self.row_line
    }

    /// How many cells the current row has.
    pub(super) fn width(&self) -> usize {
        self.cells
    }

    /// Takes the current row back if it goes over several lines, and gives up its first line alone: the next row starts
    /// on the line after that. Tells whether it did.
    ///
    /// That is for a row with the wrong number of cells: some quote in its first line was never closed, and swallowed
    /// the rows that follow. Each line that opens a quote closes the one that was open before, so lines are not read
    /// over and over.
    pub(super) fn give_up_first_line(&mut self) -> bool {
        let row = &self.buffer[self.row..self.next];
        match first_line(row) {
            Some(length) if length < row.len() => {
                self.take_back();
                self.pass(length);
                self.parser.reset();
                true
            }
            _ => false,
        }
    }

    /// Takes the current row back, to read it with another separator.
    pub(super) fn again_with(&mut self, separator: u8) {
        self.take_back();
        self.separator = separator;
        self.parser = parser(separator);
    }

    /// Goes back to the start of the current row, which no line break is right before that counts on.
    fn take_back(&mut self) {
        (self.next, self.next_line, self.after_return) = (self.row, self.row_line, false);
    }

    /// Passes over the rest of the current row's first line, however long it is.
    fn skip_line(&mut self) -> io::Result<()> {
        self.parser.reset();
        self.take_back();
        loop {
            if let Some(length) = first_line(&self.buffer[self.next..self.filled]) {
                self.pass(length);
                return Ok(());
            }
            self.next = self.filled;
            self.row = self.next;
            if self.at_end {
                return Ok(());
            }
            self.fill()?;
        }
    }

    /// Reads on, once. Keeps the current row.
    fn fill(&mut self) -> io::Result<()> {
        if self.row > 0 {
            self.buffer.copy_within(self.row..self.filled, 0);
            self.filled -= self.row;
            self.next -= self.row;
            self.row = 0;
        }
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(read) => {
                    self.filled += read;
                    self.at_end = read == 0;
                    return Ok(());
                }
            }
        }
    }
}

fn parser(separator: u8) -> csv_core::Reader {
    csv_core::ReaderBuilder::new().delimiter(separator).build()
}

/// Whether every quoted cell of a row is closed, and nothing follows its closing quote but a separator or the row's end.
fn is_well_quoted(row: &[u8], separator: u8) -> bool {
    let mut rest = row;
    loop {
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            rest = quoted;
            loop {
                let Some(quote) = rest.iter().position(|&byte| byte == b'"') else { return false };
                rest = &rest[quote + 1..];
                match rest.strip_prefix(b"\"") {
                    Some(after_escaped) => rest = after_escaped,
                    None => break,
                }
            }
            if !rest.first().is_none_or(|&byte| byte == separator || byte == b'\r' || byte == b'\n') {
                return false;
            }
        }
        match rest.iter().position(|&byte| byte == separator) {
            Some(end) => rest = &rest[end + 1..],
            None => return true,
        }
    }
}

/// The lines that end in these bytes.
fn line_breaks(bytes: &[u8]) -> u64 {
    let count = |byte: u8| bytes.iter().map(|found| u64::from(*found == byte)).sum::<u64>();
    let returns = count(b'\r');
    let both = if returns == 0 {
        0
    } else {
        bytes.iter().zip(bytes.iter().skip(1)).map(|pair| u64::from(pair == (&b'\r', &b'\n'))).sum()
    };
    count(b'\n') + returns - both
}

/// How long the first of these lines is, its line break included; `None` where it does not end.
fn first_line(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|&byte| byte == b'\n' || byte == b'\r')?;
    Some(end + if bytes[end..].starts_with(b"\r\n") { 2 } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out so many bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(buffer.len());
            self.0.by_ref().take(length as u64).read(buffer)
        }
    }

    fn all(rows: &mut RowReader) -> Vec<(u64, Vec<String>)> {
        let mut found = Vec::new();
        while let Some(row) = rows.advance().unwrap() {
            match row {
                Found::Row { line } => {
                    found.push((line, rows.cells().unwrap().iter().map(str::to_owned).collect()));
                }
                Found::TooLong { line } => found.push((line, vec!["too long".to_owned()])),
            }
        }
        found
    }

    fn read(text: &'static str, at_a_time: usize) -> Vec<(u64, String)> {
        let mut rows = RowReader::new(Box::new(Drip(text.as_bytes(), at_a_time)), b',');
        all(&mut rows).into_iter().map(|(line, cells)| (line, cells.join("|"))).collect()
    }

    fn lines(rows: &[(u64, &str)]) -> Vec<(u64, String)> {
        rows.iter().map(|(line, row)| (*line, (*row).to_owned())).collect()
    }

    #[test]
    fn rows_are_the_same_however_the_stream_is_cut() {
        for at_a_time in [1, 2, 3, 5, 1000] {
            let rows = read("a,b\r\n\r\n\n1,\"2\r\n\"\"3\"\"\"\n4,\n", at_a_time);
            assert_eq!(rows, lines(&[(1, "a|b"), (4, "1|2\r\n\"3\""), (6, "4|")]), "{at_a_time}");
        }
    }

    #[test]
    fn a_line_ends_with_a_line_feed_a_carriage_return_or_both() {
        for at_a_time in [1, 2, 3, 5, 1000] {
            let rows = read("a\rb\r\rc\r\nd\n\re\n\nf\r\n\r\n\"g\rg\nh\r\ni\"\rj", at_a_time);
            let expected =
                [(1, "a"), (2, "b"), (4, "c"), (5, "d"), (7, "e"), (9, "f"), (11, "g\rg\nh\r\ni"), (15, "j")];
            assert_eq!(rows, lines(&expected), "{at_a_time}");
        }
    }

    #[test]
    fn what_an_open_quote_swallowed_is_read_again_where_carriage_returns_part_the_rows() {
        for at_a_time in [1, 7, 1000] {
            let mut rows = RowReader::new(Box::new(Drip(b"a,b\r1,\"2\r3,4\r5,6\r", at_a_time)), b',');
            assert_eq!(rows.advance().unwrap(), Some(Found::Row { line: 1 }));
            assert!(!rows.has_stray_quote());
            assert_eq!(rows.advance().unwrap(), Some(Found::Row { line: 2 }));
            assert!(rows.has_stray_quote() && rows.give_up_first_line());
            let rest = all(&mut rows);
            assert_eq!(rest, [(3, vec!["3".to_owned(), "4".to_owned()]), (4, vec!["5".to_owned(), "6".to_owned()])]);
        }
    }

    #[test]
    fn a_row_that_is_too_long_ends_with_its_line_where_carriage_returns_part_the_rows() {
        let endless = io::repeat(b'x').take(3 << 20).chain(&b"\ra,b\r"[..]);
        let mut rows = RowReader::new(Box::new(endless), b',');
        assert_eq!(rows.advance().unwrap(), Some(Found::TooLong { line: 1 }));
        assert_eq!(all(&mut rows), [(2, vec!["a".to_owned(), "b".to_owned()])]);
    }

    #[test]
    fn the_last_row_needs_no_line_break() {
        assert_eq!(read("a,b\n1,2", 100), lines(&[(1, "a|b"), (2, "1|2")]));
        assert_eq!(read("a", 1), lines(&[(1, "a")]));
        assert_eq!(read("a,", 1), lines(&[(1, "a|")]));
        assert_eq!(read("", 1), []);
        assert_eq!(read("\r\n\r\n", 1), []);
    }

    #[test]
    fn what_an_open_quote_swallowed_is_read_again_from_the_next_line_on() {
        for at_a_time in [1, 7, 1000] {
            let text = b"a,b\n1,\"2\n3,4\n5,6\n";
            let mut rows = RowReader::new(Box::new(Drip(text, at_a_time)), b',');
            assert_eq!(rows.advance().unwrap(), Some(Found::Row { line: 1 }));
            assert!(!rows.give_up_first_line());
            assert_eq!(rows.advance().unwrap(), Some(Found::Row { line: 2 }));
            assert!(rows.give_up_first_line());
            let rest = all(&mut rows);
            assert_eq!(rest, [(3, vec!["3".to_owned(), "4".to_owned()]), (4, vec!["5".to_owned(), "6".to_owned()])]);
        }
    }

    #[test]
    fn an_endless_row_is_skipped_in_bounded_memory() {
        let endless_line = io::repeat(b'x').take(6 << 20);
        let endless_quote = b"\n\"".chain(io::repeat(b'y').take(1000)).chain(&b"\nc,d\n"[..]);
        let quoted_lines = io::Cursor::new(b"e,f\n".repeat(1 << 20));
        let mut rows = RowReader::new(Box::new(endless_line.chain(endless_quote).chain(quoted_lines)), b',');
        assert_eq!(rows.advance().unwrap(), Some(Found::TooLong { line: 1 }));
        assert_eq!(rows.advance().unwrap(), Some(Found::TooLong { line: 2 }));
        assert_eq!(rows.advance().unwrap(), Some(Found::Row { line: 3 }));
        assert_eq!(rows.cells().unwrap().iter().collect::<Vec<_>>(), ["c", "d"]);
        assert_eq!(rows.advance().unwrap(), Some(Found::Row { line: 4 }));
        assert!(rows.buffer.len() + rows.text.len() <= 4 * LONGEST_ROW);
    }

    #[test]
    fn a_row_in_quotation_marks_as_a_whole_is_unwrapped_where_its_cells_are_as_many_as_wanted() {
        let mut rows = RowReader::new(Box::new(&b"\"1,\"\"a,b\"\",3\"\n\"1,2\"\n\"1,2,\"\n"[..]), b',');
        let mut unwrapped = Vec::new();
        while rows.advance().unwrap().is_some() {
            let did = rows.unwrap_only_cell(3);
            unwrapped.push((did, rows.cells().unwrap().iter().collect::<Vec<_>>().join("|")));
        }
        let expected = [(true, "1|a,b|3"), (false, "1,2"), (true, "1|2|")];
        assert_eq!(unwrapped, expected.map(|(did, row)| (did, row.to_owned())));
    }

    #[test]
    fn a_header_can_be_read_again_with_another_separator() {
        let mut rows = RowReader::new(Box::new(&b"a;b\n1;2\n"[..]), b',');
        rows.advance().unwrap();
        assert_eq!(rows.width(), 1);
        rows.again_with(b';');
        assert_eq!(all(&mut rows).len(), 2);
        assert_eq!(rows.width(), 2);
    }
}
