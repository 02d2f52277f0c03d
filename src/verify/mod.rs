//! Verification: what a run said it stored, held against what the services really hold, row by row.
//!
//! Pure but for [`read`]: [`subject`] says which rows are expected, from summaries; [`expected`] what each of them must hold,
//! from the data; [`reconcile`] takes what is read back and finds what is wrong; [`report`] says so. Memory is bounded by
//! the rows of the run: 17 bytes a row, and some more for the first findings of each kind.

pub mod document;
pub mod expected;
pub mod progress;
pub mod read;
pub mod reconcile;
mod remarks;
pub mod report;
pub mod subject;
#[cfg(feature = "lake")]
pub mod table;
