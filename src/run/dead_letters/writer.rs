//! Writes dead letters, and the journal, while the run goes on.
//!
//! The run only queue what happened; a thread of its own writes it down, twice a second, so that a slow disk never holds
//! the run up. A row is settled in the journal when it is stored; a row that became a dead letter is recorded by its letter
//! alone.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::folder::{DeadLetterError, Folder, file_name, write_record};
use super::journal::{ambiguous_line, requested_line, settled_line};
use super::record::{RunRecord, State};
use crate::private_file;
use crate::run::transaction_log::TransactionLog;
use crate::service::ServiceName;
use crate::source::{DataFile, Heading, fingerprint};
use crate::stats::Outcome;
use crate::transaction::Transaction;

/// How long something waits at most before it is written.
const INTERVAL: Duration = Duration::from_millis(500);
/// Letters that are written at once.
const MANY: usize = 4096;
/// Letters that wait for a disk that does not take them, beside those that a run has in memory anyway.
const WAITING: usize = 100_000;

/// How many dead letters a run has, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The folder.
    pub folder: PathBuf,
    /// Dead letters written, by service.
    pub letters: BTreeMap<ServiceName, u64>,
    /// Dead letters that could not be written.
    pub lost: u64,
    /// Why not everything could be written.
    pub problem: Option<String>,
}

/// Writes the dead letters of a run.
#[derive(Debug)]
pub struct DeadLetterWriter {
    queue: Arc<Queue>,
    thread: JoinHandle<Written>,
    /// Reads the data to its end, beside the run, to know later whether it is still the same.
    hashing: Option<JoinHandle<()>>,
}

impl DeadLetterWriter {
    /// Starts to write the dead letters of a run into its folder. `max_pending` is how many transactions may be pending
    /// at one service; `warn` is called, once, when something cannot be written.
    ///
    /// # Errors
    /// When the files cannot be made.
    pub fn start(
        folder: Folder,
        record: RunRecord,
        heading: Heading,
        max_pending: usize,
        warn: impl Fn(&str) + Send + 'static,
    ) -> Result<Self, DeadLetterError> {
        let header = heading.line();
        let mut files = BTreeMap::new();
        for service in record.services.keys() {
            let path = folder.file(*service);
            let made = Appender::create(&path, &header);
            let cannot = |error| DeadLetterError::io(format!("cannot write `{}`", path.display()), error);
            files.insert(*service, made.map_err(cannot)?);
        }
        let (path, journal) = folder.into_journal();
        let cannot = |error| DeadLetterError::io(format!("cannot write to `{}`", path.display()), error);
        journal.set_len(0).map_err(cannot)?;
        write_record(&path, &record)?;
        for service in ServiceName::ALL.into_iter().filter(|service| !record.services.contains_key(service)) {
            // Empty, or the folder would not have been taken.
            let _ = std::fs::remove_file(path.join(file_name(service)));
        }
        let queue = Arc::new(Queue {
            most_waiting: max_pending.saturating_mul(2).saturating_add(WAITING),
            unwritten: Mutex::default(),
            wake: Condvar::new(),
        });
        let writer = Writer {
            queue: queue.clone(),
            heading,
            record,
            files,
            journal: Appender { file: journal, length: 0 },
            requested: 0,
            waiting: Unwritten::default(),
            written: Written { folder: path, ..Written::default() },
            warn: Box::new(warn),
        };
        let hashing = writer.record.data.bytes.map(|_| {
            let (queue, path) = (queue.clone(), PathBuf::from(&writer.record.data.file));
            std::thread::spawn(move || {
                let found = fingerprint(&path, || !queue.unwritten().finished);
                queue.unwritten().data = Some(found);
            })
        });
        let thread = std::thread::spawn(move || writer.run());
        Ok(Self { queue, thread, hashing })
    }

    /// What has to see the end of each transaction.
    #[must_use]
    pub fn log(&self) -> Arc<dyn TransactionLog> {
        self.queue.clone()
    }

    /// Writes what is left, and ends. Blocks.
    #[must_use]
    pub fn finish(self) -> Written {
        self.queue.unwritten().finished = true;
        self.queue.wake.notify_one();
        // It gives up soon; if it panicked, the data has no hash, and that is all.
        let _ = self.hashing.map(JoinHandle::join);
        self.thread.join().unwrap_or_else(|_| Written {
            problem: Some("the thread that writes dead letters ended unexpectedly".to_owned()),
            ..Written::default()
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
struct Unwritten {
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

struct Queue {
    most_waiting: usize,
    unwritten: Mutex<Unwritten>,
    wake: Condvar,
}

impl Queue {
    fn unwritten(&self) -> MutexGuard<'_, Unwritten> {
        // No code that can panic runs under the lock.
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn letter(&self, service: ServiceName, transaction: &Transaction, reason: String) {
        let mut unwritten = self.unwritten();
        if unwritten.fresh + unwritten.stuck >= self.most_waiting {
            unwritten.lost += 1;
            return;
        }
        unwritten.fresh += 1;
        let letter = Letter { transaction: transaction.clone(), reason };
        unwritten.letters.entry(service).or_default().push(letter);
        if unwritten.fresh == MANY {
            self.wake.notify_one();
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("fresh", &self.unwritten().fresh).finish_non_exhaustive()
    }
}

impl TransactionLog for Queue {
    fn requested(&self, transaction: &Transaction) {
        let mut unwritten = self.unwritten();
        unwritten.requested = unwritten.requested.max(transaction.row);
    }

    fn settled(&self, service: ServiceName, transaction: &Transaction, outcome: &Outcome) {
        let may_be_twice = outcome.ambiguous || outcome.result.as_ref().is_err_and(|failure| failure.ambiguous);
        if may_be_twice {
            self.unwritten().ambiguous.entry(service).or_default().push(transaction.row);
        }
        match &outcome.result {
            Ok(_) => self.unwritten().settled.entry(service).or_default().push(transaction.row),
            Err(failure) => {
                self.letter(service, transaction, failure.explained());
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
    queue: Arc<Queue>,
    heading: Heading,
    record: RunRecord,
    files: BTreeMap<ServiceName, Appender>,
    journal: Appender,
    requested: u64,
    /// What could not be written yet.
    waiting: Unwritten,
    written: Written,
    warn: Box<dyn Fn(&str) + Send>,
}

impl Writer {
    fn run(mut self) -> Written {
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
        self.written.lost += left as u64;
        if self.written.lost == 0 {
            // Whatever went wrong meanwhile, everything is written in the end.
            self.written.problem = None;
            self.record.state = State::Finished;
        }
        for (name, service) in &mut self.record.services {
            service.dead_letters = self.written.letters.get(name).copied().unwrap_or_default();
        }
        if let Err(error) = write_record(&self.written.folder, &self.record) {
            self.trouble(error.with_cause());
        }
        self.written
    }

    /// Waits until there is enough to write, or it is time; takes it, and returns whether it is the last.
    fn take(&mut self) -> bool {
        let unwritten = self.queue.unwritten();
        let idle = |unwritten: &mut Unwritten| !unwritten.finished && unwritten.fresh < MANY;
        let waited = self.queue.wake.wait_timeout_while(unwritten, INTERVAL, idle);
        let (mut unwritten, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let Unwritten { requested, settled, ambiguous, data, letters, lost, finished, .. } =
            std::mem::take(&mut *unwritten);
        unwritten.stuck = self.waiting.letters.values().map(Vec::len).sum();
        unwritten.finished = finished;
        unwritten.requested = requested;
        drop(unwritten);
        self.waiting.requested = requested;
        self.written.lost += lost;
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
                    *self.written.letters.entry(*service).or_default() += letters.len() as u64;
                    letters.clear();
                }
                Err(error) => troubles.push(format!(
                    "dead letters cannot be written to `{}`: {error}",
                    self.written.folder.join(file_name(*service)).display()
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
                self.trouble(format!("the journal of `{}` cannot be written: {error}", self.written.folder.display()))
            }
        }
        self.waiting.settled.clear();
        self.waiting.ambiguous.clear();
    }

    /// Adds the hash of the data to the record: a killed run's data is read again.
    fn write_fingerprint(&mut self) {
        let Some(DataFile { bytes, sha256, .. }) = self.waiting.data.take() else { return };
        // Another size: it is changing under the run's hands, and its hash would be that of neither.
        if sha256.is_none() || bytes != self.record.data.bytes {
            return;
        }
        self.record.data.sha256 = sha256;
        if let Err(error) = write_record(&self.written.folder, &self.record) {
            self.trouble(error.with_cause());
        }
    }

    fn trouble(&mut self, trouble: String) {
        if self.written.problem.is_none() {
            (self.warn)(&trouble);
        }
        self.written.problem = Some(trouble);
    }
}
