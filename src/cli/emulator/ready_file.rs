//! A file that is there while the emulator serves: for programs that start it and cannot read along.

use std::io;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::private_file;

/// A file that may be written. Dropping it removes the file.
pub(super) struct ReadyFile {
    path: PathBuf,
    is_written: bool,
}

impl ReadyFile {
    /// Removes the file of an emulator that was killed, which would tell of one that is not there any more.
    ///
    /// # Errors
    /// When a file is there that no emulator has written, or that cannot be removed.
    pub(super) fn new(path: PathBuf) -> anyhow::Result<Self> {
        let name = path.display();
        match std::fs::read(&path) {
            Ok(content) if is_ready_line(&content) => {
                std::fs::remove_file(&path).with_context(|| format!("--ready-file: cannot remove `{name}`"))?;
            }
            Ok(_) => bail!(
                "--ready-file: `{name}` holds what `txgen emulator` has not written; move it away, or name another file"
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("--ready-file: cannot read `{name}`")),
        }
        Ok(Self { path, is_written: false })
    }

    /// Writes it in one step, so that it is whole from the moment that it is there.
    pub(super) fn write(&mut self, ready: &str) -> anyhow::Result<()> {
        private_file::replace(&self.path, ready.as_bytes())
            .with_context(|| format!("--ready-file: cannot write `{}`", self.path.display()))?;
        self.is_written = true;
        Ok(())
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        if self.is_written {
            // Where it cannot be removed, the next emulator tries again.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn is_ready_line(content: &[u8]) -> bool {
    content.is_empty() || serde_json::from_slice::<Value>(content).is_ok_and(|value| value["type"] == "ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_there_from_ready_to_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready.json");
        std::fs::write(&path, "{\"type\":\"ready\",\"port\":1}\n").unwrap();
        let mut file = ReadyFile::new(path.clone()).unwrap();
        assert!(!path.exists(), "that of a killed one is gone before anything is served");
        file.write("{\"type\":\"ready\"}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"type\":\"ready\"}\n");
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_persons_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious.json");
        std::fs::write(&path, "{\"type\":\"precious\"}").unwrap();
        let Err(error) = ReadyFile::new(path.clone()) else { panic!("taken") };
        assert!(error.to_string().contains("move it away"), "{error}");
        assert!(path.exists());
        let mut file = ReadyFile::new(folder.path().join("none/ready.json")).unwrap();
        assert!(file.write("").unwrap_err().to_string().contains("--ready-file: cannot write"));
    }
}
