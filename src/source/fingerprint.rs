//! What file it was: size and hash, so that two runs can be shown to have sent the same data.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::input;

/// The file that a run read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// As the user named it.
    pub file: String,
    /// Its size; `null` where it is no file that can be read twice.
    pub bytes: Option<u64>,
    /// SHA-256 of its bytes, hexadecimal, likewise.
    pub sha256: Option<String>,
}

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// Size and SHA-256 of a file. Blocks; `go_on` is asked now and then, and ends it early with neither. What is no regular
/// file (a pipe) cannot be read twice and has neither.
#[must_use]
pub fn fingerprint(path: &Path, go_on: impl Fn() -> bool) -> DataFile {
    let (bytes, sha256) = match read(path, go_on) {
        Ok(Some((bytes, hash))) => (Some(bytes), Some(hash)),
        Ok(None) => (None, None),
        Err(error) => {
            tracing::warn!(%error, file = %path.display(), "cannot hash the data");
            (None, None)
        }
    };
    DataFile { file: path.display().to_string(), bytes, sha256 }
}

fn read(path: &Path, go_on: impl Fn() -> bool) -> io::Result<Option<(u64, String)>> {
    if input::size(path)?.is_none() {
        return Ok(None);
    }
    let mut file = input::open(path)?;
    let mut chunk = vec![0; CHUNK];
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    while go_on() {
        match file.read(&mut chunk)? {
            0 => return Ok(Some((bytes, format!("{:x}", hasher.finalize())))),
            read => {
                hasher.update(&chunk[..read]);
                bytes += read as u64;
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_fingerprint_of_a_file_is_its_size_and_its_sha256() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"abc").unwrap();
        let found = fingerprint(file.path(), || true);
        assert_eq!(found.bytes, Some(3));
        // FIPS 180-4, the example of one block.
        assert_eq!(found.sha256.as_deref(), Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    }

    #[test]
    fn a_hash_that_is_given_up_and_a_file_that_is_gone_have_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(fingerprint(file.path(), || false).sha256, None);
        assert_eq!(fingerprint(Path::new("no such file"), || true).bytes, None);
    }
}
