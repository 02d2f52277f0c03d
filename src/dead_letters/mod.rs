//! Dead letters: every transaction that failed or was not sent, as data in the input's own layout, to be sent again.
//!
//! A run with dead letters keeps a folder: a CSV file for each service (`letter`), a journal of what is settled
//! (`journal`), and the run's plan ([`Plan`]). They are written as things happen, twice a second, by a thread of their
//! own (`keeper`). A run that is killed leaves behind what it could not tell: which transactions were on their way, or
//! had not had their turn. Whoever replays its dead letters completes them first, from the data and the journal
//! (`recovery`).

mod folder;
pub(crate) mod formula;
mod journal;
mod keeper;
mod letter;
mod plan;
mod recovery;

pub use folder::{DeadLetterError, Folder};
pub use keeper::{Keeper, Kept};
pub use plan::{Plan, PlannedService, State};
pub use recovery::{Recovered, complete};

/// The column with a transaction's id.
pub const ID_COLUMN: &str = "txgen_id";
/// The column with a transaction's number in its run.
pub const ROW_COLUMN: &str = "txgen_row";
/// The column with the reason why a transaction was not stored.
pub const REASON_COLUMN: &str = "txgen_reason";

/// The first line of the data that dead letters come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The columns in the order of the data; `None` for one that txgen has added itself.
    pub columns: Vec<Option<String>>,
    /// What separates columns.
    pub separator: char,
    /// Whether the data are dead letters themselves, whose formula cells are neutralised already.
    pub is_replay: bool,
}
