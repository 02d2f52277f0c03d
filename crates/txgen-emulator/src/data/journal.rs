//! A service's log: its files, one thread that makes sure that the disk has them, and their rewriting.
//!
//! The log is cut into segments. The last one is written to; when it is full it is brought to the disk, and stays as it is
//! until it is rewritten without what is dead. A rewritten segment takes the place of the old one at once, by renaming:
//! there is no moment at which neither is there.

mod files;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::codec::Malformed;
use super::segment::{self, HEADER, MAX_RECORD, Service};
use super::{DataDir, DataError, DataSync};

/// A segment is full with so many bytes, or one record that is larger.
const SEGMENT: u64 = 16 * 1024 * 1024;
/// Dead bytes that are not worth rewriting the log.
const SLACK: u64 = 64 * 1024 * 1024;
/// How long the operating system may keep back what it is trusted with.
const LAZY: Duration = Duration::from_secs(1);

/// Why something cannot be kept.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot write to `{}`: {why}", .file.display())]
pub(crate) struct Unwritable {
    file: PathBuf,
    why: Arc<str>,
}

impl Unwritable {
    /// The file, and what is wrong with it.
    pub(super) fn parts(self) -> (PathBuf, String) {
        (self.file, self.why.to_string())
    }
}

/// What becomes of a record when the log is rewritten.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It stays.
    Whole,
    /// A part of it stays.
    Part(Vec<u8>),
    /// It is dead.
    Nothing,
}

/// The log of one service.
#[derive(Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    syncer: Mutex<Option<JoinHandle<()>>>,
    /// Held while a segment is rewritten.
    rewriting: Mutex<()>,
    lock: File,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    service: Service,
    sync: DataSync,
    state: Mutex<State>,
    /// There is something to bring to the disk, or the end has come.
    work: Condvar,
    /// Bytes that were written since the start.
    written: AtomicU64,
    progress: watch::Sender<Progress>,
}

/// How far the disk has got.
#[derive(Clone, Debug)]
struct Progress {
    /// Bytes since the start.
    synced: u64,
    broken: Option<Unwritable>,
}

struct State {
    file: Arc<File>,
    number: u64,
    /// Bytes of the file, and how many of them are on the disk.
    length: u64,
    synced: u64,
    /// Bytes of all segments, and how many there were after the latest rewriting.
    total: u64,
    rewritten: u64,
    /// What is written next; kept for its room.
    buffer: Vec<u8>,
    /// Set for good when it is not known any more what the file holds.
    broken: Option<Unwritable>,
    /// Called when the disk has got further.
    waiting: Vec<Box<dyn FnOnce() + Send>>,
    is_ending: bool,
    /// The latest record could not be written.
    is_refusing: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("number", &self.number).field("length", &self.length).finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the log of a service, and hands every record that it holds to `apply`, in the order in which they were
    /// written.
    ///
    /// # Errors
    /// When the folder is in use or cannot be read or written, or what is in it cannot be understood.
    pub(crate) fn open(
        dir: &DataDir,
        service: Service,
        mut apply: impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<Self, DataError> {
        let folder = &dir.folder;
        std::fs::create_dir_all(folder).map_err(DataError::io("make the folder", folder))?;
        let lock = files::lock(folder, service)?;
        let segments = files::segments(folder, service)?;
        let mut total = 0;
        let mut last = None;
        for (index, (number, path)) in segments.iter().enumerate() {
            let is_last = index + 1 == segments.len();
            let length = files::replay(path, service, is_last, &mut apply)?;
            total += length;
            last = Some((*number, length));
        }
        let (file, number, length) = match last {
            Some((number, length)) => {
                let path = files::path_of(folder, service, number);
                let file = OpenOptions::new().append(true).open(&path).map_err(DataError::io("write to", &path))?;
                (file, number, length)
            }
            None => {
                let path = files::path_of(folder, service, 1);
                let file = files::make(folder, &path, service).map_err(DataError::io("make", &path))?;
                total = HEADER as u64;
                (file, 1, total)
            }
        };
        let state = State {
            file: Arc::new(file),
            number,
            length,
            synced: length,
            total,
            rewritten: 0,
            buffer: Vec::new(),
            broken: None,
            waiting: Vec::new(),
            is_ending: false,
            is_refusing: false,
        };
        let shared = Arc::new(Shared {
            folder: folder.clone(),
            service,
            sync: dir.sync,
            state: Mutex::new(state),
            work: Condvar::new(),
            written: AtomicU64::new(0),
            progress: watch::Sender::new(Progress { synced: 0, broken: None }),
        });
        let syncer = {
            let shared = Arc::clone(&shared);
            let syncing = move || shared.keep_synced();
            std::thread::Builder::new().name("txgen-data".to_owned()).spawn(syncing)
        };
        let syncer = syncer.map_err(DataError::io("start a thread for", folder))?;
        Ok(Self { shared, syncer: Mutex::new(Some(syncer)), rewriting: Mutex::new(()), lock })
    }

    /// Writes a record behind all others. It is there for good, unless power fails before [`Self::settled`].
    ///
    /// # Errors
    /// When it cannot be written, for instance because the disk is full. Then nothing was.
    pub(crate) fn append(&self, record: &[u8]) -> Result<(), Unwritable> {
        let mut state = self.shared.lock();
        self.shared.append(&mut state, record)?;
        drop(state);
        self.shared.work.notify_one();
        Ok(())
    }

    /// How many bytes were written since the start: a place for [`Self::has_settled`].
    pub(crate) fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Acquire)
    }

    /// Waits until all that was written so far is as safe as an acknowledgement promises.
    ///
    /// # Errors
    /// When the disk has failed: it is not known what of it will be there again.
    pub(crate) async fn settled(&self) -> Result<(), Unwritable> {
        let written = self.written();
        let is_done = |progress: &Progress| progress.broken.is_some() || self.suffices(progress, written);
        if !is_done(&self.shared.progress.borrow()) {
            // The sender lives as long as this journal.
            let _ = self.shared.progress.subscribe().wait_for(is_done).await;
        }
        self.shared.progress.borrow().broken.clone().map_or(Ok(()), Err)
    }

    /// Whether what had been written up to this place is safe. If it is not yet, `call` is called once more of it is.
    ///
    /// # Errors
    /// When the disk has failed.
    pub(crate) fn has_settled(&self, written: u64, call: impl FnOnce() + Send + 'static) -> Result<bool, Unwritable> {
        let is_done = |progress: &Progress| match &progress.broken {
            Some(broken) => Err(broken.clone()),
            None => Ok(self.suffices(progress, written)),
        };
        if is_done(&self.shared.progress.borrow())? {
            return Ok(true);
        }
        // Under the lock, so that the disk does not get further between the look and the entry.
        let mut state = self.shared.lock();
        let done = is_done(&self.shared.progress.borrow())?;
        if !done {
            state.waiting.push(Box::new(call));
        }
        Ok(done)
    }

    fn suffices(&self, progress: &Progress, written: u64) -> bool {
        self.shared.sync == DataSync::Os || progress.synced >= written
    }

    /// Whether most of the log is dead, of which about `live` bytes are not.
    pub(crate) fn is_mostly_dead(&self, live: u64) -> bool {
        let state = self.shared.lock();
        state.broken.is_none()
            && state.total > live.saturating_mul(2).saturating_add(SLACK)
            && state.total > state.rewritten.saturating_add(SLACK)
    }

    /// Rewrites the log without what is dead. `snapshot` first appends what is to replace records of which `keep` keeps
    /// nothing; `keep` must not revive what it once called dead. It reads and writes files, and takes a while.
    ///
    /// # Errors
    /// When it cannot be written. What was not rewritten by then stays as it is, and the log is as good as before.
    pub(crate) fn rewrite(
        &self,
        snapshot: impl FnOnce() -> Result<(), Unwritable>,
        keep: impl FnMut(&[u8]) -> Kept,
    ) -> Result<(), Unwritable> {
        let shared = &self.shared;
        let active = {
            let mut state = shared.lock();
            state.rewritten = state.total;
            shared.rotate(&mut state)?;
            state.number
        };
        snapshot()?;
        {
            let mut state = shared.lock();
            shared.sync_now(&mut state)?;
        }
        let unwritable = |path: &Path, error: &io::Error| shared.unwritable(path, error);
        let mut keep = keep;
        let segments = files::segments(&shared.folder, shared.service)
            .map_err(|error| unwritable(&shared.folder, &io::Error::other(error)))?;
        for (_, path) in segments.iter().filter(|(number, _)| *number < active) {
            let _rewriting = self.rewriting.lock().unwrap_or_else(PoisonError::into_inner);
            if shared.lock().is_ending {
                return Ok(());
            }
            let saved = files::rewrite(path, &shared.folder, &mut keep).map_err(|error| unwritable(path, &error))?;
            let mut state = shared.lock();
            state.total = state.total.saturating_sub(saved);
        }
        let mut state = shared.lock();
        state.rewritten = state.total;
        Ok(())
    }

    /// Brings all of it to the disk, takes nothing more, and lets others use the folder.
    pub(crate) fn close(&self) {
        {
            let mut state = self.shared.lock();
            state.is_ending = true;
        }
        self.shared.work.notify_one();
        // Nothing of the folder is touched any more once it is unlocked.
        drop(self.rewriting.lock().unwrap_or_else(PoisonError::into_inner));
        let syncer = self.syncer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(syncer) = syncer {
            // It does not panic; if it did, there would be nothing left to do.
            let _ = syncer.join();
            // The file goes, and with it the lock, at the latest when the journal is dropped.
            let _ = self.lock.unlock();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // What is done under the lock leaves the state whole at every step, or marks it as broken.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unwritable(&self, path: &Path, error: &io::Error) -> Unwritable {
        let unwritable = Unwritable { file: path.to_owned(), why: error.to_string().into() };
        tracing::debug!(service = self.service.name(), %unwritable, "a change is refused");
        unwritable
    }

    fn path(&self, number: u64) -> PathBuf {
        files::path_of(&self.folder, self.service, number)
    }

    fn append(&self, state: &mut State, record: &[u8]) -> Result<(), Unwritable> {
        self.check(state)?;
        let path = self.path(state.number);
        if record.len() > MAX_RECORD {
            return Err(self.unwritable(&path, &io::Error::other("a change is larger than 256 MiB")));
        }
        let size = segment::framed(record);
        if state.length > HEADER as u64 && state.length + size > SEGMENT {
            self.rotate(state)?;
        }
        let mut buffer = std::mem::take(&mut state.buffer);
        buffer.clear();
        segment::frame(record, state.synced, &mut buffer);
        let wrote = (&*state.file).write_all(&buffer);
        // A large record is rare, and its room would stay taken.
        buffer.clear();
        buffer.shrink_to(64 * 1024);
        state.buffer = buffer;
        if let Err(error) = wrote {
            let unwritable = self.unwritable(&path, &error);
            // Once for a disk that is full, and not for each request until there is room again.
            if !std::mem::replace(&mut state.is_refusing, true) {
                tracing::warn!(service = self.service.name(), %unwritable, "data is not kept");
            }
            // A part of it may be there, which the next record must not follow.
            if let Err(error) = state.file.set_len(state.length) {
                self.fail(state, &path, &error);
            }
            return Err(unwritable);
        }
        state.is_refusing = false;
        state.length += size;
        state.total += size;
        self.written.fetch_add(size, Ordering::Release);
        Ok(())
    }

    fn check(&self, state: &State) -> Result<(), Unwritable> {
        if let Some(broken) = &state.broken {
            return Err(broken.clone());
        }
        if state.is_ending {
            return Err(self.unwritable(&self.folder, &io::Error::other("the emulator is stopping")));
        }
        Ok(())
    }

    /// Brings the segment to the disk, and begins the next.
    fn rotate(&self, state: &mut State) -> Result<(), Unwritable> {
        self.check(state)?;
        self.sync_now(state)?;
        let path = self.path(state.number + 1);
        let file = files::make(&self.folder, &path, self.service).map_err(|error| {
            // A segment behind the one that is written to would be read as if that were finished.
            if let Err(error) = std::fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                self.fail(state, &path, &error);
            }
            self.unwritable(&path, &error)
        })?;
        state.file = Arc::new(file);
        state.number += 1;
        (state.length, state.synced) = (HEADER as u64, HEADER as u64);
        state.total += HEADER as u64;
        Ok(())
    }

    fn sync_now(&self, state: &mut State) -> Result<(), Unwritable> {
        let written = self.written.load(Ordering::Acquire);
        let synced = state.file.sync_data();
        self.note(state, state.number, state.length, written, synced);
        state.broken.clone().map_or(Ok(()), Err)
    }

    /// Takes note of what a sync has come to.
    fn note(&self, state: &mut State, number: u64, length: u64, written: u64, synced: io::Result<()>) {
        match synced {
            Ok(()) => {
                if state.number == number {
                    state.synced = state.synced.max(length);
                }
                self.progress.send_modify(|progress| progress.synced = progress.synced.max(written));
            }
            // The operating system may have thrown away what it could not write: a second try proves nothing.
            Err(error) => self.fail(state, &self.path(number), &error),
        }
        for call in state.waiting.drain(..) {
            call();
        }
    }

    fn fail(&self, state: &mut State, path: &Path, error: &io::Error) {
        let broken = self.unwritable(path, error);
        tracing::warn!(service = self.service.name(), %broken, "nothing is kept any more");
        state.broken = Some(broken.clone());
        self.progress.send_modify(|progress| progress.broken = Some(broken));
    }

    /// Brings what is written to the disk, one sync for all that has come in during the one before, until the end.
    fn keep_synced(&self) {
        let mut state = self.lock();
        loop {
            let is_synced = state.synced == state.length || state.broken.is_some();
            if is_synced && state.is_ending {
                return;
            }
            if is_synced {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if self.sync == DataSync::Os && !state.is_ending {
                let lazy = |state: &mut State| !state.is_ending;
                let waited = self.work.wait_timeout_while(state, LAZY, lazy);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            let (file, number, length) = (Arc::clone(&state.file), state.number, state.length);
            let written = self.written.load(Ordering::Acquire);
            drop(state);
            let synced = file.sync_data();
            state = self.lock();
            self.note(&mut state, number, length, written, synced);
        }
    }
}

#[cfg(test)]
mod tests;
