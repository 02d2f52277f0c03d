//! What editors and spreadsheets leave in a file: passed over where that is safe, and reported, each kind once, with the line
//! where it was first seen.

use crate::characters::StrayCharacter;
use crate::transaction::{Cells, Columns, shortened};

/// What was left in a file, as far as it is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Leftovers {
    decoded_from: Option<&'static str>,
    lines_before_header: u64,
    /// Of a column whose name holds what cannot be seen, the name and that.
    odd_column: Option<(String, StrayCharacter)>,
    /// The line of the first row with empty fields beyond the header, and the columns that that has.
    surplus: Option<(u64, usize)>,
    /// The line of the first row without the header's columns that have no name.
    shortfall: Option<u64>,
    blank_row: Option<u64>,
    /// The line of the first row that is in quotation marks as a whole.
    wrapped_row: Option<u64>,
    /// Of an id in scientific notation, its column and line.
    rounded: Option<(&'static str, u64, String)>,
    /// The line of the first row that sums up others, and what it begins with.
    total: Option<(u64, String)>,
    not_utf_8: Option<(u64, usize, String)>,
    /// Of each column, the first cell that holds what cannot be seen.
    odd_cells: Vec<(&'static str, u64, StrayCharacter)>,
}

impl Leftovers {
    /// Those of the lines up to the header.
    pub(super) fn of_header(decoded_from: Option<&'static str>, lines_before_header: u64, header: &[String]) -> Self {
        // Blanks around a name are common, and mean nothing.
        let odd = header.iter().find_map(|name| Some((shortened(name), StrayCharacter::invisible(name.trim())?)));
        Self { decoded_from, lines_before_header, odd_column: odd, ..Self::default() }
    }

    pub(super) fn blank_row(&mut self, line: u64) {
        self.blank_row.get_or_insert(line);
    }

    pub(super) fn wrapped_row(&mut self, line: u64) {
        self.wrapped_row.get_or_insert(line);
    }

    /// A row has more fields than the header, which are empty, or fewer, whose columns have no name.
    pub(super) fn other_width(&mut self, line: u64, found: usize, expected: usize) {
        if found > expected {
            self.surplus.get_or_insert((line, expected));
        } else {
            self.shortfall.get_or_insert(line);
        }
    }

    pub(super) fn not_utf_8(&mut self, line: u64, field: usize, byte: &str) {
        self.not_utf_8.get_or_insert_with(|| (line, field, byte.to_owned()));
    }

    /// Searches a row for what cannot be seen, and for a total.
    pub(super) fn look_at(&mut self, line: u64, cells: &Cells<'_>, columns: &Columns) {
        if self.total.is_none() {
            self.total = total(cells, columns).map(|total| (line, total));
        }
        for (place, cell) in cells.iter().enumerate() {
            if self.rounded.is_none() && is_scientific(cell.trim()) {
                let column = columns.name_at(place).filter(|column| matches!(*column, "transactionID" | "accountID"));
                self.rounded = column.map(|column| (column, line, shortened(cell.trim())));
            }
            let Some(odd) = StrayCharacter::invisible(cell.trim()) else { continue };
            let Some(column) = columns.name_at(place) else { continue };
            if !self.odd_cells.iter().any(|(known, ..)| *known == column) {
                self.odd_cells.push((column, line, odd));
            }
        }
    }

    /// One line for each kind.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(encoding) = self.decoded_from {
            remarks.push(format!("the data is {encoding} text, not UTF-8; it is read all the same"));
        }
        match self.lines_before_header {
            0 => {}
            1 => remarks.push("line 1 of the data comes before the header; it is passed over".to_owned()),
            lines => {
                remarks.push(format!("lines 1 to {lines} of the data come before the header; they are passed over"))
            }
        }
        if let Some((name, odd)) = &self.odd_column {
            let name = name.escape_debug();
            remarks.push(format!("column `{name}` of the data holds {} in its name; it is read without", odd.name()));
        }
        if let Some((line, width)) = self.surplus {
            remarks.push(format!(
                "rows of the data have empty fields beyond the header's {width} columns, first in line {line}; they are \
                 passed over"
            ));
        }
        if let Some(line) = self.shortfall {
            remarks.push(format!(
                "rows of the data, first in line {line}, lack the columns at the header's end that have no name; they are \
                 read without"
            ));
        }
        if let Some(line) = self.blank_row {
            remarks.push(format!(
                "rows of the data hold separators and nothing else, first in line {line}; they are passed over"
            ));
        }
        if let Some(line) = self.wrapped_row {
            remarks.push(format!(
                "rows of the data are in quotation marks as a whole, first in line {line}; they are read without"
            ));
        }
        if let Some((column, line, cell)) = &self.rounded {
            remarks.push(format!(
                "{column}: `{cell}` in line {line} of the data is a long number as spreadsheets shorten it, which loses digits; \
                 it is sent as it stands; make that column text before saving"
            ));
        }
        if let Some((line, total)) = &self.total {
            remarks.push(format!(
                "line {line} of the data begins with `{total}` and has no account, as rows do that sum up others; it is sent \
                 as a transaction; delete it if it is none"
            ));
        }
        if let Some((line, field, byte)) = &self.not_utf_8 {
            remarks.push(format!(
                "rows of the data are not UTF-8 text, first in line {line}, field {field}: {byte}; they are rejected; save \
                 the file as CSV UTF-8"
            ));
        }
        let odd_cells = self.odd_cells.iter().map(|(column, line, odd)| {
            format!(
                "{column} in line {line} of the data holds {}, which cannot be seen; it is sent as it stands, and equals \
                 no text without it",
                odd.name()
            )
        });
        remarks.extend(odd_cells);
        remarks
    }
}

/// `1.23457E+15`.
fn is_scientific(cell: &str) -> bool {
    let Some((digits, exponent)) = cell.split_once(['E', 'e']) else { return false };
    let is_number =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','));
    is_number(digits) && exponent.strip_prefix('+').is_some_and(is_number)
}

/// What spreadsheets begin the row with that sums up the others.
const TOTALS: [&str; 14] = [
    "total",
    "totals",
    "grand total",
    "sub total",
    "subtotal",
    "sum",
    "count",
    "average",
    "mean",
    "summe",
    "gesamt",
    "somme",
    "totale",
    "suma",
];

/// What a row begins with that is a total, and no transaction: it names no account.
fn total(cells: &Cells<'_>, columns: &Columns) -> Option<String> {
    let (mut id, mut account) = ("", "");
    for (place, cell) in cells.iter().enumerate() {
        match columns.name_at(place) {
            Some("transactionID") => id = cell,
            Some("accountID") => account = cell,
            _ => {}
        }
    }
    let word = id.trim().trim_end_matches(':').to_lowercase();
    (account.trim().is_empty() && TOTALS.contains(&word.as_str())).then(|| shortened(id.trim()))
}
