//! What the services hold, kept on disk: a log of changes for each service, read back at the start.
//!
//! Both services work in memory, and need nothing from disk but what they had acknowledged before they were started. A log
//! that is only appended to gives that for one write and one `fdatasync` for all the requests that wait for it. An embedded
//! store (redb, fjall) would keep every document a second time, in pages of its own, with a second idea of its order.
//!
//! A change is written to the log before anyone can see it, under the lock of what it changes. So the log has the changes in
//! the order in which they happened, a change that cannot be written does not happen, and a process that is killed loses
//! nothing that a client has seen. An answer also waits for `Journal::settled`: its change is then on the disk itself, unless
//! [`DataSync::Os`] leaves that to the operating system.
//!
//! | module | owns |
//! |---|---|
//! | `segment` | the format of a file |
//! | `journal` | a log's files: opened, appended to, rewritten without what is dead |
//! | `codec` | numbers and bytes within a record |

pub(crate) mod codec;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod journal;
pub(crate) mod segment;

use std::io;
use std::path::{Path, PathBuf};

pub(crate) use journal::{Journal, Kept, Unwritable};

/// A folder in which a service keeps what it holds.
///
/// One folder may be given to one Event Hubs and one Cosmos DB at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir {
    /// The folder. It is made when it is not there.
    pub folder: PathBuf,
    /// When a write is acknowledged.
    pub sync: DataSync,
}

impl DataDir {
    /// A folder in which every acknowledged write survives a power failure.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), sync: DataSync::default() }
    }
}

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataSync {
    /// When the disk has it (`fdatasync`, one for all writes that wait): it survives a power failure.
    #[default]
    Disk,
    /// When the operating system has it: it survives the end of the process, however sudden, and not a power failure
    /// within the next second.
    Os,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Another process, or another emulator of this one, uses it.
    #[error("`{}` is in use by another emulator: end that, or use another folder", .folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A file is of a version that this one does not know.
    #[error(
        "`{}` has version {version} of the format, and this txgen knows version {} only: use the txgen that wrote it, or \
         another folder", .file.display(), segment::VERSION
    )]
    Version {
        /// The file.
        file: PathBuf,
        /// Its version.
        version: u32,
    },
    /// A file has the name of a log, and is none.
    #[error("`{}` is not a log of this service: move it away, or use another folder", .file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// What was acknowledged cannot be read any more.
    #[error(
        "`{}` is damaged at byte {at} ({what}), and what follows was acknowledged: restore the folder from a copy, or use \
         another one", .file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where the damage begins.
        at: u64,
        /// What is wrong there.
        what: String,
    },
    /// What the options ask for is not what is there.
    #[error("`{}` {what}", .folder.display())]
    Mismatch {
        /// The folder.
        folder: PathBuf,
        /// What does not fit, and what to do about it.
        what: String,
    },
    /// The file system does not let it.
    #[error("cannot {doing} `{}`: {error}", .path.display())]
    Io {
        /// What it was about to do.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
}

impl DataError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { doing, path: path.to_owned(), error }
    }
}

impl From<Unwritable> for DataError {
    fn from(unwritable: Unwritable) -> Self {
        let (path, why) = unwritable.parts();
        Self::Io { doing: "write to", path, error: io::Error::other(why) }
    }
}

impl From<DataError> for io::Error {
    fn from(error: DataError) -> Self {
        Self::other(error)
    }
}
