//! `txgen data`: makes CSV files of transactions, and looks at them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};

use super::standard_output::{finished, print};
use super::{CliError, FAILED};
use crate::data;
use crate::observers::standard_output::{Colours, check_writable};
use crate::source::input::default_data;
use crate::source::profile::profile;

/// What to do with data.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    txgen data check Untagged_Transactions.csv\n  \
    txgen data generate --rows 200000 -o big.csv")]
pub(super) enum DataCommand {
    /// Generate a realistic CSV file; the same rows and seed give the same bytes
    Generate(GenerateArgs),
    /// Profile a CSV file: rows, unreadable rows by line, columns, countries
    Check(CheckArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    txgen data generate --rows 1000000 -o big.csv    a million rows, and then: txgen run --data big.csv\n  \
    txgen data generate --seed 7 | head -3           a look at others")]
pub(super) struct GenerateArgs {
    /// Number of rows
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = whole_number)]
    rows: u64,
    /// Seed of the generator: another one gives other rows
    #[arg(long, value_name = "N", default_value_t = 42, value_parser = whole_number)]
    seed: u64,
    /// Write to this file; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    txgen data check                             the data that ships with txgen\n  \
    txgen data check my.csv --output json        for scripts; exit code 1 when a row cannot be read")]
pub(super) struct CheckArgs {
    /// The CSV file [default: data/Untagged_Transactions.csv, or the same data made in memory where it is not there]
    #[arg(value_name = "FILE", default_value = default_data(), hide_default_value = true)]
    file: PathBuf,
    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    output: ProfileFormat,
}

fn whole_number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "must be a whole number, such as 20000 or 1e6".to_owned())
}

/// How a profile is shown.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ProfileFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// Does what the command line asks for.
pub(super) async fn execute(command: DataCommand) -> Result<ExitCode, CliError> {
    // Reading and writing files blocks; the thread is one that may.
    let job = tokio::task::spawn_blocking(move || match command {
        DataCommand::Generate(args) => generate(&args),
        DataCommand::Check(args) => check(&args),
    });
    job.await.map_err(|_| CliError::failed(anyhow::anyhow!("the thread that does the work ended unexpectedly")))?
}

fn generate(args: &GenerateArgs) -> Result<ExitCode, CliError> {
    if args.output == Path::new("-") {
        let written = check_writable().and_then(|()| {
            let mut stdout = std::io::stdout().lock();
            data::generate(args.rows, args.seed, &mut stdout).and_then(|()| stdout.flush())
        });
        return finished(written).map(|_| ExitCode::SUCCESS);
    }
    let path = args.output.display();
    let file =
        File::create(&args.output).with_context(|| format!("cannot create `{path}`")).map_err(CliError::usage)?;
    let mut writer = BufWriter::new(file);
    data::generate(args.rows, args.seed, &mut writer)
        .and_then(|()| writer.flush())
        .with_context(|| format!("cannot write `{path}`"))
        .map_err(CliError::failed)?;
    let rows = args.rows;
    crate::observers::notice(&format!("{rows} rows of seed {} written to {path}", args.seed));
    Ok(ExitCode::SUCCESS)
}

fn check(args: &CheckArgs) -> Result<ExitCode, CliError> {
    let profile = profile(&args.file).map_err(CliError::usage)?;
    let text = match args.output {
        ProfileFormat::Text => profile.to_string(),
        ProfileFormat::Json => serde_json::to_string(&profile).map_err(CliError::failed)? + "\n",
    };
    print(&text, Colours::Auto)?;
    Ok(if profile.rejected_rows > 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}
