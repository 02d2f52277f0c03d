//! Files with transactions, figures or keys in them: their owner's to read, and nobody else's.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::path::Path;

/// Opens a file to be written, and creates it where it is not there; what it holds stays until it is overwritten.
///
/// On Unix only the owner may read and write it afterwards, even if it was there already with other rights; what is no
/// file at all, such as `/dev/stdout`, keeps its rights.
///
/// # Errors
/// As the operating system says.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
        let file = options.mode(0o600).open(path)?;
        if file.metadata()?.is_file() {
            // A file that was there already keeps its mode otherwise.
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
        Ok(file)
    }
    #[cfg(not(unix))]
    options.open(path)
}

/// Replaces what is in a file that [`open`] gave; to what is no file, such as a pipe, it adds.
///
/// # Errors
/// As the operating system says.
pub(super) fn replace(file: &mut File, content: &[u8]) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
        file.rewind()?;
    }
    file.write_all(content)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

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
