//! Files for the eyes of their owner alone: they hold the user's data.
//!
//! On Unix by their mode. On Windows a new file has the rights of its folder, and a user's own folders are open to that user and
//! administrators only: nothing is done there.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::path::Path;

/// Options that make new files readable and writable by their owner alone.
#[must_use]
pub fn options() -> OpenOptions {
    #[allow(unused_mut, reason = "not where there are no modes")]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

/// Opens a file to be written, and creates it where it is not there; what it holds stays until it is overwritten.
///
/// On Unix only the owner may read and write it afterwards, even if it was there already with other rights; what is no
/// file at all, such as `/dev/stdout`, keeps its rights.
///
/// # Errors
/// Those of the operating system.
pub fn open(path: &Path) -> io::Result<File> {
    let file = options().write(true).create(true).truncate(false).open(path)?;
    #[cfg(unix)]
    if file.metadata()?.is_file() {
        use std::os::unix::fs::PermissionsExt as _;
        // A file that was there already keeps its mode otherwise.
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Overwrites what is in a file that [`open`] gave; to what is no file, such as a pipe, it adds.
///
/// # Errors
/// Those of the operating system.
pub fn overwrite(file: &mut File, content: &[u8]) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
        file.rewind()?;
    }
    file.write_all(content)
}

/// Makes a folder that its owner alone may enter, and those above it that are not there.
///
/// # Errors
/// Those of the operating system. A folder that is there already is none.
pub fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}

/// Writes a file anew in one step: a reader sees the old one or the new one, never a part.
///
/// # Errors
/// Those of the operating system; the old file is still there then.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file: File = options().write(true).create(true).truncate(true).open(&new)?;
    file.write_all(content)?;
    drop(file);
    rename(&new, path)
}

#[cfg(not(windows))]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// On Windows a file cannot be replaced while a virus scanner or an indexer has it open, which they have for a moment after
/// each change.
#[cfg(windows)]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    const TRIES: u32 = 20;
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(25);
    for _ in 1..TRIES {
        match std::fs::rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied || is_in_use(&error) => {
                std::thread::sleep(PAUSE);
            }
            done => return done,
        }
    }
    std::fs::rename(from, to)
}

/// ERROR_SHARING_VIOLATION. Source:
/// <https://learn.microsoft.com/windows/win32/debug/system-error-codes--0-499->.
#[cfg(windows)]
fn is_in_use(error: &io::Error) -> bool {
    error.raw_os_error() == Some(32)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_made_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        create_folder(&inner).unwrap();
        create_folder(&inner).unwrap();
        let file = inner.join("c");
        replace(&file, b"1").unwrap();
        replace(&file, b"2").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&inner), mode(&file)), (0o700, 0o600));
        assert_eq!(std::fs::read(&file).unwrap(), b"2");
    }

    #[test]
    fn others_may_not_read_it_even_if_they_could_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("summary.json");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        for path in [path, directory.path().join("new.json")] {
            let mode = open(&path).unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        }
        assert_eq!(std::fs::read_to_string(directory.path().join("summary.json")).unwrap(), "old");
    }

    #[test]
    fn a_device_keeps_its_rights() {
        let before = std::fs::metadata("/dev/null").unwrap().permissions().mode();
        open(Path::new("/dev/null")).unwrap();
        assert_eq!(std::fs::metadata("/dev/null").unwrap().permissions().mode(), before);
    }
}
