//! Reading summaries and writing what is made of them.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};

use crate::cli::CliError;
use crate::cli::standard_output::print;
use crate::observers::standard_output::Colours;
use crate::private_file;
use crate::stats::Summary;

/// The largest file that is read as a summary, in bytes: a hundred times what a run of any length writes.
const LARGEST: u64 = 64 << 20;

/// The summary in this file: a document of `--summary-file`, or a log of `--output json`.
pub(in crate::cli) fn read_summary(path: &Path) -> Result<Summary, CliError> {
    let name = path.display();
    let read = || -> anyhow::Result<Summary> {
        let file = File::open(path).with_context(|| format!("cannot read `{name}`"))?;
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read `{name}`"))?;
        if bytes.len() as u64 > LARGEST {
            return Err(anyhow!("`{name}` is larger than {} MiB, and no summary", LARGEST >> 20));
        }
        Summary::read(&bytes).with_context(|| {
            format!("`{name}` is no summary of this version of txgen (`txgen run --summary-file FILE` writes one)")
        })
    };
    read().map_err(CliError::usage)
}

/// Writes text to this file, or to standard output where it is `-`; colours reach a terminal alone. Never over one of
/// `sources`.
pub(in crate::cli) fn write(path: &Path, text: &str, sources: &[&Path]) -> Result<(), CliError> {
    if path == Path::new("-") {
        return print(text, Colours::Auto);
    }
    let name = path.display();
    let same = |source: &&Path| matches!((path.canonicalize(), source.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if sources.iter().any(same) {
        return Err(CliError::usage(anyhow!("--output: `{name}` is what is read; name another file")));
    }
    private_file::open(path)
        .and_then(|mut file| {
            private_file::overwrite(&mut file, anstream::adapter::strip_str(text).to_string().as_bytes())
        })
        .with_context(|| format!("--output: cannot write to `{name}`"))
        .map_err(CliError::usage)
}
