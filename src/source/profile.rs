//! What is in a CSV file of transactions: what a run would make of it, without sending anything.
//!
//! The file is read exactly as a run reads it, once, and in bounded memory whatever it holds.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{CellReport, Layout, RejectedRow, RowError, Source, SourceError, SourceOptions};
use crate::identity::RunId;
use crate::shard::Shard;
use crate::transaction::Transaction;

/// Of the rows that cannot be read, so many are listed.
const REJECTED_LISTED: usize = 20;
/// Keys beyond these are counted together.
const KEYS_TOLD_APART: usize = 10_000;
/// How long documents live unless said otherwise; it counts for their size.
const TTL_SECONDS: u32 = 5_184_000;

/// What is in a file. Figures are of the rows that can be read, unless they say otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    /// The file, as it was given.
    pub file: String,
    /// Which columns it has.
    pub layout: Layout,
    /// The record's columns that it lacks.
    pub missing_columns: Vec<&'static str>,
    /// What separates its columns.
    pub separator: char,
    /// All rows.
    pub rows: u64,
    /// The rows that cannot be read.
    pub rejected_rows: u64,
    /// The first of them.
    pub first_rejected: Vec<RejectedRow>,
    /// The cells that hold no value of their column's kind.
    pub cells: CellReport,
    /// Rows by ipCountryCode, the most frequent first.
    pub countries: Vec<KeyCount>,
    /// Rows whose key came after too many others to be told apart from the rest; 0 for any real file.
    pub rows_of_other_countries: u64,
    /// About how many accounts there are (linear counting over a bitmap: within one percent up to ten million).
    pub accounts_estimated: u64,
    /// The JSON documents' sizes.
    pub document_bytes: Option<Sizes>,
    /// The amounts in dollars.
    pub amount_usd: Option<Amounts>,
    /// The earliest transactionDateTime.
    pub earliest: Option<String>,
    /// The latest transactionDateTime.
    pub latest: Option<String>,
    /// What editors and spreadsheets have left in it, and cells that are written in a way that is not read, one line each.
    pub remarks: Vec<String>,
}

/// How many rows have a partition key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyCount {
    /// The key.
    pub key: String,
    /// Rows that have it.
    pub rows: u64,
    /// Their share of all rows that can be read.
    pub percent: f64,
}

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sizes {
    /// The smallest.
    pub min: u64,
    /// The mean.
    pub mean: f64,
    /// The largest.
    pub max: u64,
}

/// Amounts in dollars. Percentiles are within a thousandth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Amounts {
    /// The smallest.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// Half of the amounts are at most this.
    pub p50: f64,
    /// 90 of a hundred are at most this.
    pub p90: f64,
    /// 99 of a hundred are at most this.
    pub p99: f64,
    /// The largest.
    pub max: f64,
    /// Rows with an amount of 0, the unreadable ones among them.
    pub zero: u64,
    /// Rows with an amount below 0; percentiles take them for 0.
    pub negative: u64,
}

/// Reads a whole file and describes what is in it.
///
/// # Errors
/// When the file cannot be opened, has no usable header, or cannot be read to its end.
pub fn profile(path: &Path) -> Result<Profile, SourceError> {
    of_source(Source::open(path, options())?.looking_closely())
}

/// Every row, as a run that rejects nothing would read it.
fn options() -> SourceOptions {
    SourceOptions {
        run: RunId::random(),
        ttl_seconds: TTL_SECONDS,
        strict: false,
        repeat: false,
        shard: Shard::WHOLE,
        keep_records: false,
    }
}

fn of_source(mut source: Source) -> Result<Profile, SourceError> {
    let mut tally = Tally::default();
    let mut first_rejected = Vec::new();
    for row in source.by_ref() {
        match row {
            Ok(transaction) => tally.add(&transaction),
            Err(RowError::Rejected(row)) if first_rejected.len() < REJECTED_LISTED => first_rejected.push(row),
            Err(RowError::Rejected(_)) => {}
            Err(RowError::Fatal(error)) => return Err(error),
        }
    }
    let report = source.report().clone();
    let readable = report.rows_read - report.rejected_rows;
    Ok(Profile {
        file: source.name().to_owned(),
        layout: report.layout,
        missing_columns: report.missing_columns,
        separator: report.separator,
        rows: report.rows_read,
        rejected_rows: report.rejected_rows,
        first_rejected,
        cells: report.cells,
        countries: tally.keys.by_count(readable),
        rows_of_other_countries: tally.keys.others,
        accounts_estimated: tally.accounts.estimate(),
        document_bytes: tally.sizes,
        amount_usd: tally.amounts.figures(),
        earliest: tally.earliest,
        latest: tally.latest,
        remarks: source.remarks(),
    })
}

/// What a profile needs of a document.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, rename = "accountID")]
    account: Cow<'a, str>,
    #[serde(rename = "transactionAmountUSD")]
    amount_usd: f64,
    #[serde(borrow, rename = "transactionDateTime")]
    moment: Cow<'a, str>,
}

#[derive(Default)]
struct Tally {
    rows: u64,
    keys: Keys,
    accounts: Distinct,
    bytes: u64,
    sizes: Option<Sizes>,
    amounts: AmountTally,
    earliest: Option<String>,
    latest: Option<String>,
}

impl Tally {
    fn add(&mut self, transaction: &Transaction) {
        self.rows += 1;
        self.keys.add(&transaction.partition_key);
        let size = transaction.body.len() as u64;
        self.bytes += size;
        let sizes = self.sizes.get_or_insert(Sizes { min: size, mean: 0.0, max: size });
        sizes.min = sizes.min.min(size);
        sizes.max = sizes.max.max(size);
        sizes.mean = self.bytes as f64 / self.rows as f64;
        let Ok(document) = serde_json::from_slice::<Document<'_>>(&transaction.body) else {
            // The record writer made it, and its tests hold it to be JSON with these types.
            tracing::error!(row = transaction.row, "the document cannot be read back");
            return;
        };
        self.accounts.add(&document.account);
        self.amounts.add(document.amount_usd);
        // Dates are written so that the order of their texts is the order of time.
        let moment = &*document.moment;
        if !moment.is_empty() {
            if self.earliest.as_deref().is_none_or(|earliest| moment < earliest) {
                self.earliest = Some(moment.to_owned());
            }
            if self.latest.as_deref().is_none_or(|latest| moment > latest) {
                self.latest = Some(moment.to_owned());
            }
        }
    }
}

#[derive(Default)]
struct Keys {
    counts: HashMap<Arc<str>, u64>,
    others: u64,
}

impl Keys {
    fn add(&mut self, key: &Arc<str>) {
        if let Some(count) = self.counts.get_mut(key) {
            *count += 1;
        } else if self.counts.len() < KEYS_TOLD_APART {
            self.counts.insert(Arc::clone(key), 1);
        } else {
            self.others += 1;
        }
    }

    fn by_count(&self, all_rows: u64) -> Vec<KeyCount> {
        let percent = |rows: u64| 100.0 * rows as f64 / all_rows.max(1) as f64;
        let mut counts: Vec<_> = self
            .counts
            .iter()
            .map(|(key, &rows)| KeyCount { key: key.to_string(), rows, percent: percent(rows) })
            .collect();
        counts.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.key.cmp(&b.key)));
        counts
    }
}

/// About how many different texts there were, in a megabyte: linear counting (Whang, Vander-Zanden and Taylor, 1990,
/// "A linear-time probabilistic counting algorithm for database applications").
struct Distinct(Vec<u64>);

impl Default for Distinct {
    fn default() -> Self {
        Self(vec![0; 1 << 17])
    }
}

impl Distinct {
    fn add(&mut self, text: &str) {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let bit = hasher.finish() as usize % (self.0.len() * 64);
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    fn estimate(&self) -> u64 {
        let bits = (self.0.len() * 64) as f64;
        let unset: u64 = self.0.iter().map(|word| u64::from(word.count_zeros())).sum();
        (bits * (bits / unset.max(1) as f64).ln()).round() as u64
    }
}

#[derive(Default)]
struct AmountTally {
    rows: u64,
    zero: u64,
    negative: u64,
    min: f64,
    sum: f64,
    max: f64,
    cents: Option<Histogram<u64>>,
}

impl AmountTally {
    fn add(&mut self, amount: f64) {
        (self.min, self.max) =
            if self.rows == 0 { (amount, amount) } else { (self.min.min(amount), self.max.max(amount)) };
        self.rows += 1;
        self.sum += amount;
        self.zero += u64::from(amount == 0.0);
        self.negative += u64::from(amount < 0.0);
        if self.cents.is_none() {
            // Three digits are within the one to five that the library takes.
            self.cents = Histogram::new_with_bounds(1, HIGHEST_CENTS, 3).ok();
        }
        if let Some(cents) = &mut self.cents {
            cents.saturating_record((amount * 100.0).round() as u64);
        }
    }

    fn figures(&self) -> Option<Amounts> {
        let cents = self.cents.as_ref()?;
        let at = |percentile| (cents.value_at_percentile(percentile) as f64 / 100.0).clamp(self.min, self.max);
        Some(Amounts {
            min: self.min,
            mean: self.sum / self.rows as f64,
            p50: at(50.0),
            p90: at(90.0),
            p99: at(99.0),
            max: self.max,
            zero: self.zero,
            negative: self.negative,
        })
    }
}

/// A hundred billion dollars.
const HIGHEST_CENTS: u64 = 10_000_000_000_000;

/// Keys that the text shows; JSON has them all.
const KEYS_SHOWN: usize = 12;

impl fmt::Display for Profile {
    /// Several lines for a terminal, each with its line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.file)?;
        self.write_summary(f)?;
        self.write_countries(f)?;
        self.write_cells(f)?;
        self.write_rejected(f)?;
        if !self.remarks.is_empty() {
            writeln!(f, "\nRemarks")?;
        }
        self.remarks.iter().try_for_each(|remark| writeln!(f, "  {remark}"))
    }
}

impl Profile {
    fn write_summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = match self.separator {
            '\t' => "tabs".to_owned(),
            ',' => "commas".to_owned(),
            other => format!("`{other}`"),
        };
        writeln!(f, "  layout      {}, separated by {separator}", self.layout)?;
        if !self.missing_columns.is_empty() {
            writeln!(f, "  lacks       {}", wrapped(&self.missing_columns))?;
        }
        match self.rejected_rows {
            0 => writeln!(f, "  rows        {}, all of them readable", self.rows)?,
            bad => writeln!(f, "  rows        {}, of which {bad} cannot be read", self.rows)?,
        }
        if let Some(Sizes { min, mean, max }) = self.document_bytes {
            writeln!(f, "  documents   {mean:.0} bytes on average, {min} to {max}")?;
        }
        if let (Some(earliest), Some(latest)) = (&self.earliest, &self.latest) {
            writeln!(f, "  dates       {earliest} to {latest}")?;
        }
        if let Some(amounts) = self.amount_usd {
            let Amounts { min, mean, p50, p90, p99, max, zero, negative } = amounts;
            writeln!(
                f,
                "  amounts     {mean:.2} USD on average, {min:.2} to {max:.2}; p50 {p50:.2}, p90 {p90:.2}, p99 {p99:.2}"
            )?;
            writeln!(f, "              zero: {zero}, negative: {negative}")?;
        }
        // The estimate may be a little too high.
        let accounts = self.accounts_estimated.min(self.rows - self.rejected_rows);
        writeln!(f, "  accounts    about {accounts}, by accountID")
    }

    fn write_countries(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(hottest) = self.countries.first() else { return Ok(()) };
        writeln!(
            f,
            "\nipCountryCode, the partition key: {}, of which `{}` has {:.1} % of the rows",
            if self.countries.len() == 1 { "1 code".to_owned() } else { format!("{} codes", self.countries.len()) },
            hottest.key,
            hottest.percent
        )?;
        for KeyCount { key, rows, percent } in self.countries.iter().take(KEYS_SHOWN) {
            let bar = "█".repeat((percent / hottest.percent * 40.0).round() as usize);
            writeln!(f, "  {key:<8} {rows:>9}  {percent:>5.1} %  {bar}")?;
        }
        let hidden = self.countries.get(KEYS_SHOWN..).unwrap_or_default();
        if !hidden.is_empty() {
            let rows = hidden.iter().map(|count| count.rows).sum::<u64>() + self.rows_of_other_countries;
            let percent = 100.0 * rows as f64 / (self.rows - self.rejected_rows).max(1) as f64;
            writeln!(f, "  {:<8} {rows:>9}  {percent:>5.1} %", format!("{} more", hidden.len()))?;
        }
        Ok(())
    }

    fn write_cells(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(width) = self.cells.columns().map(|(name, _)| name.len()).max() else { return Ok(()) };
        writeln!(
            f,
            "\nCells without a number, a boolean or a date: sent as 0, false or an empty string, or with --strict not at all"
        )?;
        for (name, count) in self.cells.columns() {
            write!(f, "  {name:<width$}  {} empty, {} unreadable", count.empty, count.unreadable)?;
            match &count.first_unreadable {
                Some(first) => writeln!(f, ", the first one `{}` in line {}", first.text, first.line)?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }

    fn write_rejected(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first_rejected.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nRows that cannot be read, and are not sent")?;
        for row in &self.first_rejected {
            writeln!(f, "  {row}")?;
        }
        match self.rejected_rows - self.first_rejected.len() as u64 {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }
}

/// Names on as many lines as they need, each but the first indented like the figures.
fn wrapped(names: &[&str]) -> String {
    const WIDTH: usize = 88;
    let (mut text, mut line_length) = (String::new(), 0);
    for (place, name) in names.iter().enumerate() {
        if place > 0 {
            text.push(',');
            if line_length + name.len() > WIDTH {
                text.push_str("\n             ");
                line_length = 0;
            }
            text.push(' ');
        }
        text.push_str(name);
        line_length += name.len() + 2;
    }
    text
}

#[cfg(test)]
mod tests;
