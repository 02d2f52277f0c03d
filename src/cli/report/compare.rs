//! `txgen report compare a.json b.json`: two runs held against each other.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::files;
use crate::cli::CliError;
use crate::report::compare::{Comparison, text};
use crate::report::html;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    txgen report compare before.json after.json\n  \
    txgen report compare before.json after.json -o comparison.html\n  \
    txgen report compare before.json after.json --format json | jq '.figures[] | select(.more_than_noise)'")]
pub(super) struct CompareArgs {
    /// Summary of the first run, the baseline
    #[arg(value_name = "A")]
    a: PathBuf,
    /// Summary of the second run
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Where to write the comparison; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Output format [default: by the extension of the output file, otherwise text]
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: Option<Format>,
}

/// How a comparison is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal or a log
    Text,
    /// One JSON document
    Json,
    /// One page, like that of a run
    Html,
}

impl Format {
    /// What the file's name asks for.
    fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(extension) if extension.eq_ignore_ascii_case("json") => Self::Json,
            Some(extension) if extension.eq_ignore_ascii_case("html") || extension.eq_ignore_ascii_case("htm") => {
                Self::Html
            }
            _ => Self::Text,
        }
    }
}

/// Compares, and writes the result.
pub(super) fn execute(args: &CompareArgs) -> Result<ExitCode, CliError> {
    let (a, b) = (files::read_summary(&args.a)?, files::read_summary(&args.b)?);
    let (a_file, b_file) = (args.a.display().to_string(), args.b.display().to_string());
    let comparison = Comparison::of((&a_file, &a), (&b_file, &b));
    let written = match args.format.unwrap_or_else(|| Format::of(&args.output)) {
        Format::Text => text::text(&comparison),
        Format::Json => serde_json::to_string_pretty(&comparison).map_err(CliError::failed)? + "\n",
        Format::Html => html::comparison(&comparison),
    };
    files::write(&args.output, &written, &[&args.a, &args.b])?;
    Ok(ExitCode::SUCCESS)
}
