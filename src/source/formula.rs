//! Cells that a spreadsheet would run as a formula: written harmless, and read back as they were.
//!
//! A cell that begins with `=`, `+`, `-`, `@`, a tab or a line break gets an apostrophe in front, which spreadsheets take
//! for "this is text" (<https://owasp.org/www-community/attacks/CSV_Injection>). So does one that begins with
//! apostrophes before such a character, so that taking one apostrophe away restores every cell exactly.

use std::borrow::Cow;

/// What makes a spreadsheet take a cell for a formula, the full-width forms of East Asian keyboards among them.
const STARTS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

fn is_formula_after_apostrophes(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(|first| STARTS.contains(&first))
}

/// The cell as it may stand in a file that people open in a spreadsheet.
pub(crate) fn neutralised(cell: &str) -> Cow<'_, str> {
    if is_formula_after_apostrophes(cell) { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

/// The cell as it was before [`neutralised`].
pub(crate) fn restored(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if is_formula_after_apostrophes(rest) => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_gets_an_apostrophe() {
        for cell in ["=1+1", "+1", "-5", "@SUM(A1)", "\t=1", "\r=1", "\u{ff1d}1", "\u{ff0d}1", "'=1", "''-1"] {
            assert_eq!(neutralised(cell), format!("'{cell}"));
        }
        for cell in ["", "us", "5499.0", "'", "'quoted", "a=b", " =1"] {
            assert_eq!(neutralised(cell), cell);
        }
    }

    proptest! {
        #[test]
        fn every_cell_is_restored_as_it_was(cell in "['=+@\t\r\\-a1 ]{0,6}") {
            let safe = neutralised(&cell);
            prop_assert_eq!(restored(&safe), cell.as_str());
            let starts_a_formula = safe.starts_with(|first| STARTS.contains(&first));
            prop_assert!(!starts_a_formula);
        }
    }
}
