//! Files for the eyes of their owner alone, where the system knows such a thing: they hold the user's data.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
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

/// Writes a file anew in one step: whoever reads it sees the old one or the new one, never a part.
///
/// # Errors
/// Those of the operating system; the old file is still there then.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file: File = options().write(true).create(true).truncate(true).open(&new)?;
    file.write_all(content)?;
    std::fs::rename(&new, path)
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
}
