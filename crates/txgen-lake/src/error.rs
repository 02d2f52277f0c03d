//! What can go wrong with a table.

use deltalake_core::DeltaTableError;

/// Texts of stores are cut here: an error is one line, not a page.
const LONGEST: usize = 400;

/// Why a table was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The store did not do what it was asked to, or the table's log could not be read. It may do so the next time.
    #[error("the table {table}: {problem}")]
    Store {
        /// The table.
        table: String,
        /// What the store or the library says, on one line.
        problem: String,
    },
    /// The table there is not one that txgen writes.
    #[error("the table {table} cannot take the events: {problem}")]
    Unfit {
        /// The table.
        table: String,
        /// What is in the way.
        problem: String,
    },
    /// There is no Delta table there to read.
    #[error("there is no Delta table in {0}")]
    NoTable(String),
    /// A table that is read is not one that txgen writes.
    #[error("the table {0} has other columns than those that txgen writes")]
    Foreign(String),
    /// Another process has moved the position of a partition: it is the one that lands it.
    #[error(
        "partition {partition} was taken over by {by}: the table {table} has its events up to {theirs}, where this process \
         had landed {ours}; only one process can land a partition"
    )]
    Fenced {
        /// The table.
        table: String,
        /// The partition.
        partition: u32,
        /// Who took it over.
        by: String,
        /// The last sequence number in the table, or `nothing`.
        theirs: String,
        /// The last sequence number that this process had landed, or `nothing`.
        ours: String,
    },
}

impl LakeError {
    /// Whether to begin again from the table's positions may help.
    #[must_use]
    pub fn may_heal(&self) -> bool {
        matches!(self, Self::Store { .. })
    }

    pub(crate) fn of(table: &str, error: &DeltaTableError) -> Self {
        let mut problem = error.to_string();
        // The library's errors leave their causes to their sources.
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !problem.contains(&cause_text) {
                problem = format!("{problem}: {cause_text}");
            }
            source = cause.source();
        }
        Self::Store { table: table.to_owned(), problem: one_line(&problem) }
    }
}

/// White space of all kinds becomes single blanks, signatures are taken out, and what is too long is cut.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut line = without_signatures(&words.join(" "));
    if line.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|&end| line.is_char_boundary(end)).unwrap_or(0);
        line.truncate(end);
        line.push('…');
    }
    line
}

/// URLs of requests are in errors, and a SAS is in their queries.
fn without_signatures(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("sig=") {
        let (before, after) = rest.split_at(start + "sig=".len());
        shown.push_str(before);
        shown.push('…');
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || "%-._~+/=".contains(c))).unwrap_or(after.len());
        rest = &after[end..];
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_without_signatures() {
        assert_eq!(
            one_line("error  sending\nhttps://a/b?sv=1&sig=ab%2Bc%3D&se=2 and sig=x)"),
            "error sending https://a/b?sv=1&sig=…&se=2 and sig=…)"
        );
        assert!(one_line(&"é".repeat(1_000)).ends_with('…'));
    }
}
