//! Writes dead letters, and the journal, while the run goes on.
//!
//! The run only notes what happened; a thread of its own writes it down, twice a second, so that a slow disk never holds
//! the run up. A row is settled in the journal when it is stored; a row that became a dead letter is told of by its letter
//! alone.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Heading;
use super::folder::{DeadLetterError, Folder, file_name, write_plan};
use super::journal::{ambiguous_line, requested_line, settled_line};
use super::plan::{Plan, State};
use crate::private_file;
use crate::report::explained;
use crate::run::witness::Witness;
use crate::service::ServiceName;
use crate::source::fingerprint;
use crate::stats::{DataFile, Outcome};
use crate::transaction::Transaction;

/// How long something waits at most before it is written.
const INTERVAL: Duration = Duration::from_millis(500);
/// Letters after which nobody waits any longer.
const MANY: usize = 4096;
/// Letters that wait for a disk that does not take them, beside those that a run has in memory anyway.
const WAITING: usize = 100_000;

/// What came of the dead letters of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The folder.
    pub folder: PathBuf,
    /// Dead letters written, by service.
    pub letters: BTreeMap<ServiceName, u64>,
    /// Dead letters that could not be written.
    pub lost: u64,
    /// Why not everything could be written.
    pub problem: Option<String>,
}

/// Keeps the dead letters of a run.
#[derive(Debug)]
pub struct Keeper {
    notes: Arc<Notes>,
    thread: JoinHandle<Kept>,
    /// Reads the data to its end, beside the run, to tell later whether it is still the same.
    hashing: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts to keep the dead letters of a run in its folder. `max_pending` is how many transactions may be pending at
    /// one service; `tell` is told, once, when something cannot be written.
    ///
    /// # Errors
    /// When the files cannot be made.
    pub fn start(
        folder: Folder,
        plan: Plan,
        heading: Heading,
        max_pending: usize,
        tell: impl Fn(&str) + Send + 'static,
    ) -> Result<Self, DeadLetterError> {
        let header = heading.line();
        let mut files = BTreeMap::new();
        for service in plan.services.keys() {
            let path = folder.file(*service);
            let made = Appender::create(&path, &header);
            let cannot = |error| DeadLetterError::io(format!("cannot write `{}`", path.display()), error);
            files.insert(*service, made.map_err(cannot)?);
        }
        let (path, journal) = folder.into_journal();
        let cannot = |error| DeadLetterError::io(format!("cannot write to `{}`", path.display()), error);
        journal.set_len(0).map_err(cannot)?;
        write_plan(&path, &plan)?;
        for service in ServiceName::ALL.into_iter().filter(|service| !plan.services.contains_key(service)) {
            // Empty, or the folder would not have been taken.
            let _ = std::fs::remove_file(path.join(file_name(service)));
        }
        let notes = Arc::new(Notes {
            most_waiting: max_pending.saturating_mul(2).saturating_add(WAITING),
            noted: Mutex::default(),
            wake: Condvar::new(),
        });
        let writer = Writer {
            notes: notes.clone(),
            heading,
            plan,
            files,
            journal: Appender { file: journal, length: 0 },
            requested: 0,
            waiting: Noted::default(),
            kept: Kept { folder: path, ..Kept::default() },
            tell: Box::new(tell),
        };
        let hashing = writer.plan.data.bytes.map(|_| {
            let (notes, path) = (notes.clone(), PathBuf::from(&writer.plan.data.file));
            std::thread::spawn(move || {
                let found = fingerprint(&path, || !notes.noted().finished);
                notes.noted().data = Some(found);
            })
        });
        let thread = std::thread::spawn(move || writer.run());
        Ok(Self { notes, thread, hashing })
    }

    /// The one who sees what becomes of each transaction.
    #[must_use]
    pub fn witness(&self) -> Arc<dyn Witness> {
        self.notes.clone()
    }

    /// Writes what is left, and ends. Blocks.
    #[must_use]
    pub fn finish(self) -> Kept {
        self.notes.noted().finished = true;
        self.notes.wake.notify_one();
        // It gives up soon; if it panicked, the data has no hash, and that is all.
        let _ = self.hashing.map(JoinHandle::join);
        self.thread.join().unwrap_or_else(|_| Kept {
            problem: Some("the thread that writes dead letters ended unexpectedly".to_owned()),
            ..Kept::default()
        })
    }
}

/// A transaction that was not stored.
#[derive(Debug)]
struct Letter {
    transaction: Transaction,
    reason: String,
}

/// What happened since the last writing.
#[derive(Debug, Default)]
struct Noted {
    requested: u64,
    settled: BTreeMap<ServiceName, Vec<u64>>,
    /// Rows of which an answer was lost.
    ambiguous: BTreeMap<ServiceName, Vec<u64>>,
    /// What the data is, once that is known.
    data: Option<DataFile>,
    letters: BTreeMap<ServiceName, Vec<Letter>>,
    /// Letters among them.
    fresh: usize,
    /// Letters that the disk has not taken.
    stuck: usize,
    lost: u64,
    finished: bool,
}

struct Notes {
    most_waiting: usize,
    noted: Mutex<Noted>,
    wake: Condvar,
}

impl Notes {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        // No code that can panic runs under the lock.
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn letter(&self, service: ServiceName, transaction: &Transaction, reason: String) {
        let mut noted = self.noted();
        if noted.fresh + noted.stuck >= self.most_waiting {
            noted.lost += 1;
            return;
        }
        noted.fresh += 1;
        let letter = Letter { transaction: transaction.clone(), reason };
        noted.letters.entry(service).or_default().push(letter);
        if noted.fresh == MANY {
            self.wake.notify_one();
        }
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notes").field("fresh", &self.noted().fresh).finish_non_exhaustive()
    }
}

impl Witness for Notes {
    fn requested(&self, transaction: &Transaction) {
        let mut noted = self.noted();
        noted.requested = noted.requested.max(transaction.row);
    }

    fn settled(&self, service: ServiceName, transaction: &Transaction, outcome: &Outcome) {
        let may_be_twice = outcome.ambiguous || outcome.result.as_ref().is_err_and(|failure| failure.ambiguous);
        if may_be_twice {
            self.noted().ambiguous.entry(service).or_default().push(transaction.row);
        }
        match &outcome.result {
            Ok(_) => self.noted().settled.entry(service).or_default().push(transaction.row),
            Err(failure) => {
                self.letter(service, transaction, explained(failure));
            }
        }
    }

    fn not_sent(&self, service: ServiceName, transaction: &Transaction) {
        self.letter(service, transaction, "not_sent: the run ended before its turn".to_owned());
    }
}

/// A file that only grows, by whole pieces.
#[derive(Debug)]
struct Appender {
    file: File,
    length: u64,
}

impl Appender {
    fn create(path: &std::path::Path, header: &[u8]) -> io::Result<Self> {
        let file = private_file::options().write(true).create(true).truncate(true).open(path)?;
        let mut appender = Self { file, length: 0 };
        appender.append(header)?;
        Ok(appender)
    }

    /// Writes all or nothing: half a piece at the end would spoil the next one.
    fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        let written = self.file.seek(SeekFrom::Start(self.length)).and_then(|_| self.file.write_all(piece));
        match written {
            Ok(()) => self.length += piece.len() as u64,
            Err(_) => self.file.set_len(self.length)?,
        }
        written
    }
}

/// The thread that writes.
struct Writer {
    notes: Arc<Notes>,
    heading: Heading,
    plan: Plan,
    files: BTreeMap<ServiceName, Appender>,
    journal: Appender,
    requested: u64,
    /// What could not be written yet.
    waiting: Noted,
    kept: Kept,
    tell: Box<dyn Fn(&str) + Send>,
}

impl Writer {
    fn run(mut self) -> Kept {
        loop {
            let finished = self.take();
            self.write_letters();
            self.write_journal();
            self.write_fingerprint();
            if finished {
                break;
            }
        }
        let left: usize = self.waiting.letters.values().map(Vec::len).sum();
        self.kept.lost += left as u64;
        if self.kept.lost == 0 {
            // Whatever went wrong meanwhile, everything is written in the end.
            self.kept.problem = None;
            self.plan.state = State::Finished;
        }
        for (name, service) in &mut self.plan.services {
            service.dead_letters = self.kept.letters.get(name).copied().unwrap_or_default();
        }
        if let Err(error) = write_plan(&self.kept.folder, &self.plan) {
            self.trouble(error.with_cause());
        }
        self.kept
    }

    /// Waits until there is enough to write, or it is time; takes it, and tells whether it is the last.
    fn take(&mut self) -> bool {
        let noted = self.notes.noted();
        let idle = |noted: &mut Noted| !noted.finished && noted.fresh < MANY;
        let waited = self.notes.wake.wait_timeout_while(noted, INTERVAL, idle);
        let (mut noted, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let Noted { requested, settled, ambiguous, data, letters, lost, finished, .. } = std::mem::take(&mut *noted);
        noted.stuck = self.waiting.letters.values().map(Vec::len).sum();
        noted.finished = finished;
        noted.requested = requested;
        drop(noted);
        self.waiting.requested = requested;
        self.kept.lost += lost;
        self.waiting.data = data;
        for (service, rows) in settled {
            self.waiting.settled.entry(service).or_default().extend(rows);
        }
        for (service, rows) in ambiguous {
            self.waiting.ambiguous.entry(service).or_default().extend(rows);
        }
        for (service, more) in letters {
            self.waiting.letters.entry(service).or_default().extend(more);
        }
        finished
    }

    fn write_letters(&mut self) {
        let mut troubles = Vec::new();
        for (service, letters) in &mut self.waiting.letters {
            let Some(file) = self.files.get_mut(service).filter(|_| !letters.is_empty()) else { continue };
            let mut piece = Vec::new();
            for Letter { transaction, reason } in letters.iter() {
                let record = transaction.record.as_deref().unwrap_or_default();
                piece.extend(self.heading.letter(record, transaction.id, transaction.row, reason));
            }
            match file.append(&piece) {
                Ok(()) => {
                    *self.kept.letters.entry(*service).or_default() += letters.len() as u64;
                    letters.clear();
                }
                Err(error) => troubles.push(format!(
                    "dead letters cannot be written to `{}`: {error}",
                    self.kept.folder.join(file_name(*service)).display()
                )),
            }
        }
        troubles.into_iter().for_each(|trouble| self.trouble(trouble));
    }

    fn write_journal(&mut self) {
        let mut piece = String::new();
        if self.waiting.requested > self.requested {
            piece.push_str(&requested_line(self.waiting.requested));
        }
        // Before the settled ones: a row that is settled is not looked at again.
        for (service, rows) in &mut self.waiting.ambiguous {
            piece.push_str(&ambiguous_line(*service, rows));
        }
        for (service, rows) in &mut self.waiting.settled {
            piece.push_str(&settled_line(*service, rows));
        }
        if piece.is_empty() {
            return;
        }
        match self.journal.append(piece.as_bytes()) {
            Ok(()) => self.requested = self.waiting.requested,
            // A row that is settled and not in the journal is sent again, should the run be killed: no more than that.
            Err(error) => {
                self.trouble(format!("the journal of `{}` cannot be written: {error}", self.kept.folder.display()))
            }
        }
        self.waiting.settled.clear();
        self.waiting.ambiguous.clear();
    }

    /// Writes down what the data is, for whoever reads it again should the run be killed.
    fn write_fingerprint(&mut self) {
        let Some(DataFile { bytes, sha256, .. }) = self.waiting.data.take() else { return };
        // Another size: it is changing under the run's hands, and its hash would be that of neither.
        if sha256.is_none() || bytes != self.plan.data.bytes {
            return;
        }
        self.plan.data.sha256 = sha256;
        if let Err(error) = write_plan(&self.kept.folder, &self.plan) {
            self.trouble(error.with_cause());
        }
    }

    fn trouble(&mut self, trouble: String) {
        if self.kept.problem.is_none() {
            (self.tell)(&trouble);
        }
        self.kept.problem = Some(trouble);
    }
}
