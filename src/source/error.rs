//! What can be wrong with a file of transactions, and what to do about it.

use std::fmt::Write as _;
use std::io;

use crate::characters::StrayCharacter;
use crate::encoding;
use crate::transaction::{HeaderProblem, shortened};

const MAKE_ONE: &str = "`txgen data generate -o FILE` makes a file to start with";

/// Why a file cannot be read, or not be read on. `name` is the file as it was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum SourceError {
    /// There is no such file.
    #[error("{name} does not exist; name the CSV file of transactions with --data, or make one: {}", MAKE_ONE)]
    NotFound { name: String },
    /// It is a directory.
    #[error("{name} is a directory; name the CSV file of transactions with --data")]
    Directory { name: String },
    /// The operating system refuses to open it.
    #[error("cannot open {name}")]
    Open { name: String, source: io::Error },
    /// Reading failed.
    #[error("cannot read {name} past line {line}")]
    Read { name: String, line: u64, source: io::Error },
    /// It holds nothing.
    #[error("{name} is empty; {}", MAKE_ONE)]
    Empty { name: String },
    /// It has a header and no row.
    #[error("{name} has a header but no rows; {}", MAKE_ONE)]
    HeaderOnly { name: String },
    /// It is a file of another kind.
    #[error("{name} is not a CSV file but looks like {looks_like}; {remedy}")]
    NotCsv { name: String, looks_like: &'static str, remedy: &'static str },
    /// Its first line is no header of transactions.
    #[error("{name} {problem}")]
    Header { name: String, problem: String },
    /// A whole pass over it found no row that can be sent, so that going round again is of no use.
    #[error("none of the {rows} rows of {name} can be sent, so it is not read again; see `txgen data check {name}`")]
    NothingToRepeat { name: String, rows: u64 },
}

impl SourceError {
    /// The error of a header that cannot be used, from the columns that it has.
    pub(super) fn of_header(name: &str, problem: &HeaderProblem, separator: u8, columns: &[String]) -> Self {
        let problem = match problem {
            HeaderProblem::NothingKnown => {
                let odd =
                    (1..).zip(columns).find_map(|(number, name)| Some((number, StrayCharacter::any(name.trim())?)));
                let odd = odd.map(|(number, odd)| format!("; column {number} {odd}")).unwrap_or_default();
                let spaced = columns.iter().find_map(|name| Some((name, respelled(name)?)));
                let spaced = spaced.map(|(name, meant)| format!("; is `{}` meant to be {meant}?", shortened(name)));
                format!(
                    "does not look like a CSV file of transactions: its first line should name columns such as \
                     transactionID, accountID and ipCountryCode, separated by commas, but holds {}{odd}{}",
                    listed(columns),
                    spaced.unwrap_or_default()
                )
            }
            HeaderProblem::Missing(missing) => {
                let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
                let mut text = format!("has no column {}, without which nothing can be sent", joined(&names));
                for (name, nearest) in missing {
                    if let Some(nearest) = nearest {
                        let _ = write!(text, "; is `{}` meant to be {name}?", shortened(nearest));
                    }
                }
                let _ = write!(text, " (separated by {}, found: {})", separator_name(separator), listed(columns));
                text
            }
            HeaderProblem::Twice { name, first, second } => {
                format!("has {name} twice, in columns {first} and {second}; remove or rename one of them")
            }
        };
        Self::Header { name: name.to_owned(), problem }
    }
}

/// The column that everything needs and whose name this is but for blanks, underscores and the like: `Transaction ID`.
fn respelled(name: &str) -> Option<&'static str> {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    ["transactionID", "accountID", "ipCountryCode"].into_iter().find(|known| letters.eq_ignore_ascii_case(known))
}

/// A separator as one says it.
pub(super) fn separator_name(separator: u8) -> &'static str {
    match separator {
        b';' => "semicolons",
        b'\t' => "tabs",
        b'|' => "bars",
        _ => "commas",
    }
}

fn joined(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// The first few columns, for a message.
fn listed(columns: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text =
        columns.iter().take(SHOWN).map(|name| format!("`{}`", shortened(name))).collect::<Vec<_>>().join(", ");
    if columns.len() > SHOWN {
        let _ = write!(text, " and {} more", columns.len() - SHOWN);
    }
    text
}

/// What a file is that is no CSV, and what to do about it.
pub(super) type OtherKind = (&'static str, &'static str);

/// So many bytes tell most kinds of files apart.
pub(super) const SIGNATURE: usize = 16;

/// What a file is, going by the bytes that it starts with, and what to do about it.
pub(super) fn other_kind(start: &[u8]) -> Option<OtherKind> {
    const UNPACK: &str = "unpack it first";
    const SAVE: &str = "save its sheet as CSV (UTF-8)";
    const EXPORT: &str = "export it as CSV";
    const SAVE_TEXT: &str = "save it as CSV (UTF-8)";
    const KINDS: [(&[u8], &str, &str); 8] = [
        (b"PK\x03\x04", "a ZIP archive or an Excel workbook", "unpack it, or save its sheet as CSV (UTF-8)"),
        (b"\xd0\xcf\x11\xe0", "an old Excel workbook", SAVE),
        (b"\x1f\x8b", "gzip", UNPACK),
        (b"\x28\xb5\x2f\xfd", "Zstandard", UNPACK),
        (b"BZh", "bzip2", UNPACK),
        (b"PAR1", "Parquet", EXPORT),
        (b"SQLite format 3", "an SQLite database", EXPORT),
        (b"%PDF", "a PDF document", EXPORT),
    ];
    if encoding::is_utf_32(start) {
        return Some(("UTF-32 text", SAVE_TEXT));
    }
    let kind = KINDS.iter().find(|(signature, ..)| start.starts_with(signature));
    kind.map(|(_, kind, remedy)| (*kind, *remedy))
}

/// What a file may be that does not start with a header of transactions.
pub(super) fn other_text(start: &[u8]) -> Option<OtherKind> {
    if start.contains(&0) {
        return Some(("binary data", "name the CSV file of transactions with --data"));
    }
    match start.trim_ascii_start().first()? {
        b'{' | b'[' => Some(("JSON", "txgen reads CSV with a header line")),
        b'<' => Some(("HTML or XML", "was a web page saved in place of the file?")),
        _ => None,
    }
}
