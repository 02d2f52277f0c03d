//! What is written at a run's end: the summary, and the page made of it. The files are opened first, so that a bad path
//! fails before the run.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::private_file;
use crate::report::html;
use crate::stats::Summary;

/// The documents that a run was asked for.
pub(super) struct Documents {
    summary: Option<OutFile>,
    report: Option<OutFile>,
}

impl Documents {
    /// Opens the files of `--summary-file` and `--report`.
    pub(super) fn open(summary: Option<&Path>, report: Option<&Path>) -> anyhow::Result<Self> {
        let documents = Self {
            summary: summary.map(|path| OutFile::open("--summary-file", path)).transpose()?,
            report: report.map(|path| OutFile::open("--report", path)).transpose()?,
        };
        if let (Some(summary), Some(report)) = (summary, report)
            && let (Ok(one), Ok(other)) = (summary.canonicalize(), report.canonicalize())
            && one == other
        {
            bail!("--report and --summary-file both name `{}`; the page needs a file of its own", report.display());
        }
        Ok(documents)
    }

    /// Writes them; both are tried, and the first error counts.
    pub(super) fn write(self, summary: &Summary) -> anyhow::Result<()> {
        let written = self.summary.map(|file| {
            let mut json = serde_json::to_vec_pretty(summary)?;
            json.push(b'\n');
            file.write(&json)
        });
        let drawn = self.report.map(|file| file.write(html::page(summary).as_bytes()));
        written.into_iter().chain(drawn).collect()
    }
}

/// A file that will be written whole.
struct OutFile {
    /// The flag that named it.
    flag: &'static str,
    path: PathBuf,
    file: File,
}

impl OutFile {
    /// Opens the file that this flag names.
    fn open(flag: &'static str, path: &Path) -> anyhow::Result<Self> {
        // What an earlier run wrote stays as it is until there is something new.
        let file = private_file::open(path).with_context(|| format!("{flag}: cannot write to `{}`", path.display()))?;
        Ok(Self { flag, path: path.to_owned(), file })
    }

    /// Replaces what is in it.
    fn write(mut self, content: &[u8]) -> anyhow::Result<()> {
        private_file::overwrite(&mut self.file, content)
            .with_context(|| format!("{}: cannot write to `{}`", self.flag, self.path.display()))
    }
}
