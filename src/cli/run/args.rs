//! The flags of `txgen run`.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::Args;

use crate::identity::RunId;
use crate::observers::{OutputFormat, Show, ViewOptions, metrics};
use crate::run::{Criteria, RunOptions};
use crate::settings::{RunFlags, limit};
use crate::shard::Shard;
use crate::source::input::default_data;
use crate::threshold::Threshold;

/// What `txgen run` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  txgen run --emulator                    try it, without an Azure account\n  \
    txgen run --emulator --land lake        the same, and its events in a Delta table\n  \
    txgen run --seconds-to-run 600          both services, as appsettings.json says\n  \
    txgen run --only-cosmos --limit 2000    2,000 documents\n  \
    txgen run --rate 500 --loop             500 transactions per second, repeating the data\n  \
    txgen run --dry-run                     what would be sent where, without sending it")]
pub(in crate::cli) struct RunArgs {
    /// Read the settings from this file [default: ./appsettings.json, if it is there]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Read the transactions from this CSV file [default: data/Untagged_Transactions.csv, or the same data made in memory
    /// where it is not there]
    #[arg(long, value_name = "FILE", default_value = default_data(), hide_default_value = true)]
    data: PathBuf,
    /// Bring up local Event Hubs and Cosmos DB in this process, and write to them
    #[arg(long)]
    emulator: bool,
    /// Land what the run sends in the Delta table LAKE/transactions, a folder; needs --emulator
    #[arg(long, value_name = "LAKE", requires = "emulator", conflicts_with_all = ["only_cosmos", "dry_run"])]
    land: Option<String>,
    /// Reject rows with empty or unreadable numbers, dates and booleans, instead of sending 0 or false
    #[arg(long)]
    strict: bool,

    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, help_heading = "Output")]
    output: OutputFormat,
    /// Print only the totals
    #[arg(long, help_heading = "Output")]
    quiet: bool,
    /// Write the totals to this file as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    summary_file: Option<PathBuf>,
    /// Show the first N transactions as they would be sent, and where to, without connecting [default: 3]
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "3", value_parser = crate::settings::rows,
        help_heading = "Output")]
    dry_run: Option<u64>,
    /// Write the run as an HTML page to this file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    report: Option<PathBuf>,
    /// Show the run full-screen; q stops it
    #[arg(long, help_heading = "Output", conflicts_with_all = ["output", "quiet"])]
    tui: bool,
    /// Do not draw progress lines (they are only drawn on a terminal)
    #[arg(long, help_heading = "Output", conflicts_with = "tui", hide_short_help = true)]
    no_progress: bool,
    /// Serve Prometheus metrics at this address during the run; port 0 takes a free one
    #[arg(long, help_heading = "Output", value_name = "ADDRESS", num_args = 0..=1, default_missing_value = metrics::DEFAULT_ADDRESS, value_parser = metrics::parse_address, hide_short_help = true)]
    metrics: Option<SocketAddr>,

    #[command(flatten)]
    flags: RunFlags,

    /// Fail the run (exit code 1) when this holds for a figure of its summary; can be repeated
    ///
    /// FIGURE is a path in the summary, such as failed (of either service), cosmos_db.response_time_ms.p95,
    /// event_hubs.writes_per_second, rejected_rows; the comparisons are < <= > >= == !=. Without a threshold on failed or
    /// not_sent, any such transaction fails the run.
    #[arg(long, value_name = "FIGURE>NUMBER", help_heading = "When a run has failed")]
    fail_on: Vec<Threshold>,
    /// End the run early once this many transactions have failed, both services together
    #[arg(long, value_name = "N", value_parser = limit, help_heading = "When a run has failed", hide_short_help = true)]
    max_failures: Option<NonZeroU64>,

    /// Send only every N-th row, as process I (from 0 on) of N that share the run, its --limit and its --rate
    #[arg(long, value_name = "I/N", help_heading = "One run in several processes", hide_short_help = true)]
    shard: Option<Shard>,
    /// The run's id, the same for all of its processes: 0b5c1f6e-93d2-8a47, or any UUID [default: a random one]
    #[arg(long, value_name = "ID", help_heading = "One run in several processes", hide_short_help = true)]
    run_id: Option<RunId>,

    /// Write every transaction that failed or was not sent to this folder, as data to send again
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    dead_letters: Option<PathBuf>,
}

impl RunArgs {
    /// The folder of tables in which the run is landed.
    pub(super) fn lake(&self) -> Option<String> {
        self.land.clone()
    }

    /// Whether standard output is JSON.
    pub(super) fn is_json(&self) -> bool {
        self.output == OutputFormat::Json
    }

    /// How many transactions a dry run shows, and in which format; `None` for a run.
    pub(super) fn dry_run(&self) -> Option<(u64, OutputFormat)> {
        self.dry_run.map(|count| (count, self.output))
    }

    /// What is run, and what is shown of it.
    pub(super) fn split(self) -> (RunOptions, ViewOptions) {
        let hash_data = self.summary_file.is_some() || self.report.is_some() || self.output == OutputFormat::Json;
        let options = RunOptions {
            flags: self.flags,
            settings: self.settings,
            data: self.data,
            emulator: self.emulator,
            strict: self.strict,
            shard: self.shard.unwrap_or(Shard::WHOLE),
            run_id: self.run_id,
            dead_letters: self.dead_letters,
            criteria: Criteria { thresholds: self.fail_on, max_failures: self.max_failures },
            hash_data,
        };
        let show = Show { format: self.output, quiet: self.quiet, tui: self.tui, progress: !self.no_progress };
        let view = ViewOptions {
            show,
            is_local: self.emulator,
            summary_file: self.summary_file,
            report: self.report,
            metrics: self.metrics,
        };
        (options, view)
    }
}
