//! The files of a journal in its folder: which there are, and what is in them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::super::DataError;
use super::super::codec::Malformed;
use super::super::segment::{self, Beginning, HEADER, Records, Service};
use super::Kept;

/// Takes a folder for one service of one process.
pub(super) fn lock(folder: &Path, service: Service) -> Result<File, DataError> {
    let path = folder.join(format!("{}.lock", service.name()));
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(DataError::io("write to", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(DataError::io("lock", &path)(error)),
    }
}

pub(super) fn path_of(folder: &Path, service: Service, number: u64) -> PathBuf {
    folder.join(format!("{}-{number:08}.log", service.name()))
}

/// The segments that there are, oldest first. What a rewriting has left unfinished is removed.
pub(super) fn segments(folder: &Path, service: Service) -> Result<Vec<(u64, PathBuf)>, DataError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DataError::io("read the folder", folder))? {
        let path = entry.map_err(DataError::io("read the folder", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(rest) = name.strip_prefix(service.name()).and_then(|rest| rest.strip_prefix('-')) else { continue };
        if rest.ends_with(".log.new") {
            std::fs::remove_file(&path).map_err(DataError::io("remove", &path))?;
        } else if let Some(number) = rest.strip_suffix(".log").and_then(|number| number.parse().ok()) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Makes a segment that is on disk.
pub(super) fn make(folder: &Path, path: &Path, service: Service) -> io::Result<File> {
    let mut file = OpenOptions::new().create_new(true).append(true).open(path)?;
    file.write_all(&service.header())?;
    file.sync_all()?;
    sync_folder(folder)?;
    Ok(file)
}

/// Brings the names of files to the disk.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened, and need not.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Reads a segment, and cuts off an end that is not whole where there may be one. Gives its length.
pub(super) fn replay(
    path: &Path,
    service: Service,
    is_last: bool,
    apply: &mut impl FnMut(&[u8]) -> Result<(), Malformed>,
) -> Result<u64, DataError> {
    let file = std::fs::read(path).map_err(DataError::io("read", path))?;
    let damaged = |at: usize, what: String| DataError::Damaged { file: path.to_owned(), at: at as u64, what };
    match segment::beginning(&file, service) {
        Beginning::Good => {}
        Beginning::Unfinished if is_last => {
            std::fs::write(path, service.header()).map_err(DataError::io("write to", path))?;
            return Ok(HEADER as u64);
        }
        Beginning::Unfinished => return Err(damaged(0, "it is shorter than its header".to_owned())),
        Beginning::Version(version) => return Err(DataError::Version { file: path.to_owned(), version }),
        Beginning::Foreign => return Err(DataError::Foreign { file: path.to_owned() }),
    }
    let mut records = Records::new(&file);
    for (at, record) in records.by_ref() {
        apply(record).map_err(|malformed| damaged(at, malformed.to_string()))?;
    }
    let end = records.end();
    if records.is_whole() {
        return Ok(end as u64);
    }
    if !is_last || records.has_lost() {
        return Err(damaged(end, "a record's checksum is wrong".to_owned()));
    }
    tracing::info!(file = %path.display(), at = end, bytes = file.len() - end, "cut off a write that was not finished");
    let cut = OpenOptions::new().write(true).open(path).and_then(|file| {
        file.set_len(end as u64)?;
        file.sync_all()
    });
    cut.map_err(DataError::io("write to", path))?;
    Ok(end as u64)
}

/// Rewrites a segment that is not written to any more. Gives by how many bytes it got shorter.
pub(super) fn rewrite(path: &Path, folder: &Path, keep: &mut impl FnMut(&[u8]) -> Kept) -> io::Result<u64> {
    let old = std::fs::read(path)?;
    let mut new = old.get(..HEADER).unwrap_or_default().to_vec();
    let mut records = Records::new(&old);
    for (_, record) in records.by_ref() {
        // Nothing of this file may be lost any more: it is on disk before it gets its name.
        let synced = new.len() as u64;
        match keep(record) {
            Kept::Whole => segment::frame(record, synced, &mut new),
            Kept::Part(part) => segment::frame(&part, synced, &mut new),
            Kept::Nothing => {}
        }
    }
    if !records.is_whole() {
        return Err(io::Error::other("it has been damaged since it was written"));
    }
    if new.len() >= old.len() {
        return Ok(0);
    }
    let saved = (old.len() - new.len()) as u64;
    if new.len() <= HEADER {
        std::fs::remove_file(path)?;
        sync_folder(folder)?;
        return Ok(old.len() as u64);
    }
    let made = path.with_extension("log.new");
    let write = || {
        let mut file = File::create(&made)?;
        file.write_all(&new)?;
        file.sync_all()?;
        std::fs::rename(&made, path)?;
        sync_folder(folder)
    };
    write().inspect_err(|_| {
        // If it stays, the next start removes it.
        let _ = std::fs::remove_file(&made);
    })?;
    Ok(saved)
}
