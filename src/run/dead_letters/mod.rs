//! Dead letters: every transaction that failed or was not sent, as data in the input's own layout, to be sent again.
//!
//! A run with dead letters has a folder: a CSV file for each service, a journal of what is settled (`journal`), and a
//! record of the run (`record`). A thread of its own (`writer`) writes them twice a second. A run that is killed leaves
//! transactions behind that are neither settled nor dead letters; before its dead letters are replayed, these are added
//! from the data and the journal (`recovery`).

mod folder;
mod journal;
mod record;
mod recovery;
mod writer;

pub(super) use folder::file_name;
pub use folder::{DeadLetterError, Folder};
pub use record::{RunRecord, ServiceRecord, State};
pub use recovery::{Recovered, complete};
pub use writer::{DeadLetterWriter, Written};
