//! What is in a CSV file, before anything is sent: rows, rows that cannot be read, countries, amounts, sizes.
//!
//! The file is read with the very same code as by a run, so what a profile finds is what a run will meet. Memory is
//! bounded: only the first rejected rows are kept, and the countries up to a number that no real file has.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::identity::RunId;
use crate::source::{RejectedRow, RowError, Source, SourceError, SourceOptions, SourceReport};
use crate::transaction::Transaction;

/// Rejected rows that are named.
const NAMED_ROWS: usize = 20;
/// Countries told apart at most; further ones are counted together.
const MOST_COUNTRIES: usize = 10_000;
/// Countries shown in the text.
const SHOWN_COUNTRIES: usize = 10;
/// The workshop's time to live: a profile only needs some number there.
const TTL_SECONDS: u32 = 5_184_000;

/// What is in a CSV file. `Display` is the text for people, `Serialize` the JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    /// The file, as it was given.
    pub file: String,
    /// Layout, rows, and cells without a readable value.
    #[serde(flatten)]
    pub report: SourceReport,
    /// The first rows that cannot be read.
    pub rejected: Vec<RejectedRow>,
    /// Rows by ipCountryCode, the most frequent first.
    pub countries: Vec<Country>,
    /// The size of the JSON documents in bytes.
    pub document_bytes: Range,
    /// transactionAmountUSD.
    pub amount_usd: Range,
    /// The earliest and the latest transactionDateTime.
    pub dates: Option<(String, String)>,
}

/// One ipCountryCode, which is the partition key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Country {
    /// The code.
    pub code: String,
    /// Rows that have it.
    pub rows: u64,
    /// Their part of all rows that can be read, in percent.
    pub percent: f64,
}

/// The spread of a figure over the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Range {
    /// The smallest.
    pub min: f64,
    /// The arithmetic mean.
    pub mean: f64,
    /// The largest.
    pub max: f64,
}

/// Reads the whole file and tells what is in it. Blocks.
///
/// # Errors
/// When the file cannot be read, or is no CSV of transactions. Single rows that cannot be read are part of the profile.
pub fn profile(path: &Path) -> Result<Profile, SourceError> {
    let options = SourceOptions { run: RunId::random(), ttl_seconds: TTL_SECONDS, strict: false, repeat: false };
    let mut source = Source::open(path, options)?;
    let mut tally = Tally::default();
    while let Some(row) = source.next() {
        match row {
            Ok(transaction) => tally.count(&transaction),
            Err(RowError::Rejected(row)) => {
                if tally.rejected.len() < NAMED_ROWS {
                    tally.rejected.push(row);
                }
            }
            Err(RowError::Fatal(error)) => return Err(error),
        }
    }
    Ok(tally.profile(source.name().to_owned(), source.report().clone()))
}

/// What is added up on the way.
#[derive(Default)]
struct Tally {
    rejected: Vec<RejectedRow>,
    countries: HashMap<Arc<str>, u64>,
    bytes: Sum,
    amount: Sum,
    dates: Option<(String, String)>,
}

#[derive(Default)]
struct Sum {
    count: u64,
    total: f64,
    min: f64,
    max: f64,
}

/// The part of a document that a profile looks at.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(rename = "transactionAmountUSD")]
    amount_usd: f64,
    #[serde(rename = "transactionDateTime", borrow)]
    date: std::borrow::Cow<'a, str>,
}

impl Tally {
    fn count(&mut self, transaction: &Transaction) {
        let known = self.countries.len() < MOST_COUNTRIES || self.countries.contains_key(&transaction.partition_key);
        let code = if known { transaction.partition_key.clone() } else { "(further codes)".into() };
        *self.countries.entry(code).or_default() += 1;
        self.bytes.add(transaction.body.len() as f64);
        if let Ok(document) = serde_json::from_slice::<Document<'_>>(&transaction.body) {
            self.amount.add(document.amount_usd);
            self.date(&document.date);
        }
    }

    fn date(&mut self, date: &str) {
        if date.is_empty() {
            return;
        }
        // The dates of the record sort as texts.
        match &mut self.dates {
            None => self.dates = Some((date.to_owned(), date.to_owned())),
            Some((first, _)) if date < first.as_str() => date.clone_into(first),
            Some((_, last)) if date > last.as_str() => date.clone_into(last),
            Some(_) => {}
        }
    }

    fn profile(self, file: String, report: SourceReport) -> Profile {
        let readable = report.rows_read - report.rejected_rows;
        let mut countries: Vec<Country> = self
            .countries
            .into_iter()
            .map(|(code, rows)| Country { code: code.to_string(), rows, percent: percent(rows, readable) })
            .collect();
        countries.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.code.cmp(&b.code)));
        Profile {
            file,
            report,
            rejected: self.rejected,
            countries,
            document_bytes: self.bytes.range(),
            amount_usd: self.amount.range(),
            dates: self.dates,
        }
    }
}

impl Sum {
    fn add(&mut self, value: f64) {
        (self.min, self.max) = match self.count {
            0 => (value, value),
            _ => (self.min.min(value), self.max.max(value)),
        };
        self.count += 1;
        self.total += value;
    }

    fn range(&self) -> Range {
        let mean = if self.count == 0 { 0.0 } else { self.total / self.count as f64 };
        Range { min: self.min, mean, max: self.max }
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 1e4).round() / 100.0 }
}

impl Profile {
    /// Rows that cannot be read.
    #[must_use]
    pub fn rejected_rows(&self) -> u64 {
        self.report.rejected_rows
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        writeln!(f, "File       {}", self.file)?;
        writeln!(f, "Layout     {}", report.layout)?;
        if !report.missing_columns.is_empty() {
            writeln!(f, "Missing    {}", report.missing_columns.join(", "))?;
        }
        writeln!(f, "Rows       {}, of which {} cannot be read", report.rows_read, report.rejected_rows)?;
        for row in &self.rejected {
            writeln!(f, "           line {}: {}", row.line, row.reason)?;
        }
        if report.rejected_rows > self.rejected.len() as u64 {
            writeln!(f, "           … and {} more", report.rejected_rows - self.rejected.len() as u64)?;
        }
        let Range { min, mean, max } = self.document_bytes;
        writeln!(f, "Documents  {min:.0} to {max:.0} bytes of JSON, {mean:.0} on average")?;
        let Range { min, mean, max } = self.amount_usd;
        writeln!(f, "Amounts    {min:.2} to {max:.2} USD, {mean:.2} on average")?;
        if let Some((first, last)) = &self.dates {
            writeln!(f, "Dates      {first} to {last}")?;
        }
        writeln!(f, "Countries  {} codes (ipCountryCode, the partition key)", self.countries.len())?;
        for country in self.countries.iter().take(SHOWN_COUNTRIES) {
            writeln!(f, "           {:<4} {:>9} rows {:>6.2} %", country.code, country.rows, country.percent)?;
        }
        if report.cells.columns().next().is_none() {
            return writeln!(f, "Cells      all have a readable value");
        }
        writeln!(f, "Cells      without a readable value, sent as 0, false or an empty date:")?;
        for (column, count) in report.cells.columns() {
            writeln!(f, "           {column:<30} {:>9} empty {:>9} unreadable", count.empty, count.unreadable)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile_of(rows: u64, extra: &str) -> Profile {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.csv");
        let mut csv = Vec::new();
        crate::data::generate(rows, 1, &mut csv).unwrap();
        csv.extend_from_slice(extra.as_bytes());
        std::fs::write(&path, csv).unwrap();
        profile(&path).unwrap()
    }

    #[test]
    fn a_made_up_file_is_half_from_the_united_states() {
        let profile = profile_of(2000, "");
        assert_eq!((profile.report.rows_read, profile.rejected_rows()), (2000, 0));
        assert_eq!(profile.countries[0].code, "us");
        assert!((40.0..60.0).contains(&profile.countries[0].percent), "{:?}", profile.countries[0]);
        assert_eq!(profile.countries.iter().map(|country| country.rows).sum::<u64>(), 2000);
        let Range { min, mean, max } = profile.document_bytes;
        assert!(500.0 < min && min < mean && mean < max && max < 2000.0);
    }

    #[test]
    fn rows_that_cannot_be_read_are_named_by_line_and_the_rest_counted() {
        let profile = profile_of(10, &"too,short\n".repeat(25));
        assert_eq!((profile.rejected_rows(), profile.rejected.len()), (25, NAMED_ROWS));
        assert_eq!(profile.rejected[0].line, 12);
        assert!(profile.to_string().contains("… and 5 more"), "{profile}");
    }
}
