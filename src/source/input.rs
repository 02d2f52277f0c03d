//! Where transactions are read from: a file, or the data that is built in.
//!
//! A copied binary runs in any folder: where the shipped file is not there, the same bytes are made in memory.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::LazyLock;

/// The file that ships with txgen.
pub const SHIPPED: &str = "data/Untagged_Transactions.csv";

/// Stands for the built-in data wherever a file of transactions can be named, in summaries and dead letters too, so that a
/// run can be verified and replayed from any folder. A file of this name is `./built-in`.
pub const BUILT_IN: &str = "built-in";

/// Stands for standard input, as in most programs. A file of this name is `./-`.
pub const STANDARD_INPUT: &str = "-";

/// What `txgen data generate --rows 20000 --seed 42` writes, which is also what [`SHIPPED`] holds.
const ROWS: u64 = 20_000;
const SEED: u64 = 42;

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    // Writing to memory cannot fail.
    let _ = crate::data::generate(ROWS, SEED, &mut bytes);
    bytes
});

/// What is read where no data is named: [`SHIPPED`] if it is in this folder, or else [`BUILT_IN`].
#[must_use]
pub fn default_data() -> &'static str {
    if Path::new(SHIPPED).exists() { SHIPPED } else { BUILT_IN }
}

/// The data as it is shown to a person.
#[must_use]
pub fn described(name: &str) -> String {
    match name {
        BUILT_IN => format!("{BUILT_IN}: 20,000 transactions made from seed {SEED}"),
        STANDARD_INPUT => "standard input".to_owned(),
        _ => name.to_owned(),
    }
}

/// Opens the data for reading.
///
/// # Errors
/// Those of the file system.
pub fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    if is_built_in(path) {
        return Ok(Box::new(Cursor::new(BYTES.as_slice())));
    }
    if is_standard_input(path) {
        return Ok(Box::new(io::stdin()));
    }
    // Some systems open a directory like a file, and fail at the first read; others fail with an error that misleads.
    if path.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(Box::new(File::open(path)?))
}

/// How many bytes it has; `None` for what is no regular file and can be read only once, such as a pipe.
///
/// # Errors
/// Those of the file system.
pub fn size(path: &Path) -> io::Result<Option<u64>> {
    if is_built_in(path) {
        return Ok(Some(BYTES.len() as u64));
    }
    if is_standard_input(path) {
        return Ok(None);
    }
    let metadata = path.metadata()?;
    Ok(metadata.is_file().then_some(metadata.len()))
}

/// Whether the path stands for the built-in data.
#[must_use]
pub fn is_built_in(path: &Path) -> bool {
    path.as_os_str() == BUILT_IN
}

/// Whether the path stands for standard input.
#[must_use]
pub fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == STANDARD_INPUT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        open(path).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_built_in_data_is_the_shipped_file_byte_for_byte() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(SHIPPED);
        let built_in = Path::new(BUILT_IN);
        assert!(read(built_in) == read(&shipped), "{SHIPPED} and the built-in data differ");
        assert_eq!(size(built_in).unwrap(), size(&shipped).unwrap());
    }

    #[test]
    fn a_file_of_that_name_is_reached_by_its_path() {
        assert!(is_built_in(Path::new("built-in")));
        assert!(!is_built_in(Path::new("./built-in")));
    }
}
