//! The folder that a run keeps its dead letters in.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::record::{RunRecord, State};
use crate::private_file;
use crate::service::ServiceName;

const RECORD: &str = "run.json";
const JOURNAL: &str = "journal";

/// What is wrong with a folder of dead letters, on one line, with the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct DeadLetterError {
    message: String,
    source: Option<io::Error>,
}

impl DeadLetterError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    pub(super) fn io(message: impl Into<String>, error: io::Error) -> Self {
        Self { message: message.into(), source: Some(error) }
    }

    /// The message, and what the system says, on one line.
    pub(super) fn with_cause(&self) -> String {
        let cause = self.source.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{self}{cause}")
    }
}

/// A folder of dead letters, held by this process alone.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Locked for as long as it is open: that a run is killed shows by the lock being gone.
    journal: File,
}

impl Folder {
    /// Makes the folder if it is not there, and takes it for a new run.
    ///
    /// # Errors
    /// When it cannot be made or written, belongs to a run that is going on, or holds dead letters: they must not be
    /// lost, and those of two runs must not get mixed.
    pub fn take(path: &Path) -> Result<Self, DeadLetterError> {
        let name = path.display();
        private_file::create_folder(path)
            .map_err(|error| DeadLetterError::io(format!("--dead-letters: cannot make the folder `{name}`"), error))?;
        let folder = Self::open(path)?;
        for service in ServiceName::ALL {
            let file = folder.file(service);
            if file.exists() && !folder.has_record() {
                return Err(DeadLetterError::new(format!(
                    "--dead-letters: `{}` is there already and is not txgen's; name another folder",
                    file.display()
                )));
            }
        }
        if folder.has_record() {
            let record = folder.record()?;
            let letters = record.services.values().map(|service| service.dead_letters).sum::<u64>();
            if record.state == State::Running || letters > 0 {
                return Err(DeadLetterError::new(format!(
                    "--dead-letters: `{name}` holds the dead letters of run {}; name another folder, or remove this one \
                     once they are replayed",
                    record.run_id
                )));
            }
        }
        Ok(folder)
    }

    /// The folder that a file of dead letters is in; `None` where it is in none.
    ///
    /// # Errors
    /// When the run that it belongs to is still going on, or the folder cannot be read.
    pub(super) fn around(file: &Path) -> Result<Option<Self>, DeadLetterError> {
        let path = match file.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return Ok(None),
        };
        let is_letters = ServiceName::ALL
            .into_iter()
            .any(|service| file.file_name().is_some_and(|name| name.to_str() == Some(file_name(service).as_str())));
        if !is_letters || !path.join(RECORD).exists() || !path.join(JOURNAL).exists() {
            return Ok(None);
        }
        Self::open(path).map(Some)
    }

    fn open(path: &Path) -> Result<Self, DeadLetterError> {
        let name = path.join(JOURNAL);
        let cannot = |error| DeadLetterError::io(format!("cannot open `{}`", name.display()), error);
        let journal =
            private_file::options().read(true).write(true).create(true).truncate(false).open(&name).map_err(cannot)?;
        match journal.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), journal }),
            Err(TryLockError::WouldBlock) => Err(DeadLetterError::new(format!(
                "`{}` belongs to a run that is still going on; wait until it has ended",
                path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(cannot(error)),
        }
    }

    /// Where the folder is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of one service's dead letters.
    #[must_use]
    pub fn file(&self, service: ServiceName) -> PathBuf {
        self.path.join(file_name(service))
    }

    pub(super) fn journal(&self) -> &File {
        &self.journal
    }

    pub(super) fn into_journal(self) -> (PathBuf, File) {
        (self.path, self.journal)
    }

    fn has_record(&self) -> bool {
        self.path.join(RECORD).exists()
    }

    /// Reads the record of the run.
    pub(super) fn record(&self) -> Result<RunRecord, DeadLetterError> {
        let path = self.path.join(RECORD);
        let name = path.display();
        let text = std::fs::read(&path).map_err(|error| DeadLetterError::io(format!("cannot read `{name}`"), error))?;
        serde_json::from_slice(&text)
            .map_err(|error| DeadLetterError::new(format!("`{name}` is not what txgen has written: {error}")))
    }
}

/// The name of the file with one service's dead letters.
pub(in crate::run) fn file_name(service: ServiceName) -> String {
    format!("{}.csv", service.key())
}

/// Writes the record of the run into the folder.
pub(super) fn write_record(folder: &Path, record: &RunRecord) -> Result<(), DeadLetterError> {
    let path = folder.join(RECORD);
    // Text keys and numbers always serialise.
    let mut json = serde_json::to_vec_pretty(record).unwrap_or_default();
    json.push(b'\n');
    private_file::replace(&path, &json)
        .map_err(|error| DeadLetterError::io(format!("cannot write `{}`", path.display()), error))
}
