//! What txgen logs of its own doings, on standard error.
//!
//! The libraries below txgen write frames and requests whole at their most verbose level, tokens and keys among them
//! (tungstenite its frames, h2 its headers). So that level is txgen's own alone, whatever RUST_LOG asks for: a secret
//! does not get into a log.

use std::io::IsTerminal as _;

use anyhow::{Context as _, anyhow};
use clap::{ArgAction, Args, ValueEnum};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::observers::console::LogWriter;
use crate::observers::log;

/// The environment variable that says what is logged, as in most Rust programs.
const VARIABLE: &str = "RUST_LOG";

/// Flags of all commands: how much is logged, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Log")]
pub(super) struct LogArgs {
    /// Log to standard error: -v steps, -vv details, -vvv the libraries too
    ///
    /// RUST_LOG selects more precisely, as in RUST_LOG=txgen=debug,azure_data_cosmos=info; -v wins over it.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Format of the log and of everything else on standard error
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t, hide_short_help = true)]
    log_format: LogFormat,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

impl LogArgs {
    /// Begins to log.
    ///
    /// # Errors
    /// When RUST_LOG cannot be understood.
    pub(super) fn start(&self) -> anyhow::Result<()> {
        if self.log_format == LogFormat::Json {
            log::write_json();
        }
        let filter = self.filter(std::env::var(VARIABLE).ok().as_deref())?.and(filter_fn(shows_no_secrets));
        // A closed standard error is no reason to complain there.
        let lines = tracing_subscriber::fmt::layer().with_writer(LogWriter::default).log_internal_errors(false);
        let layer = match self.log_format {
            LogFormat::Text => lines.with_ansi(colours()).boxed(),
            // The libraries nest spans by the dozen; the innermost one says where an event belongs.
            LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        };
        tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().context("cannot begin to log")
    }

    /// What is logged: as -v says, else as RUST_LOG says, else only errors.
    fn filter(&self, variable: Option<&str>) -> anyhow::Result<EnvFilter> {
        let directives = match (self.verbose, variable.map(str::trim)) {
            (0, Some(text)) if !text.is_empty() => text,
            (0, _) => "txgen=error",
            (1, _) => "warn,txgen=info",
            (2, _) => "warn,txgen=debug",
            _ => "debug,txgen=trace",
        };
        EnvFilter::try_new(directives).map_err(|error| {
            let text: String = directives.chars().take(100).flat_map(char::escape_debug).collect();
            anyhow!("{VARIABLE}: `{text}` does not say what to log: {error}; it may be one of error, warn, info, debug, trace, or as in txgen=debug,azure_core=info")
        })
    }
}

/// Whether an event of this level is known to hold no secrets, whatever library writes it.
fn shows_no_secrets(event: &Metadata<'_>) -> bool {
    let own = event.target() == "txgen" || event.target().starts_with("txgen::");
    own || *event.level() <= Level::DEBUG
}

fn colours() -> bool {
    std::io::stderr().is_terminal() && anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(verbose: u8) -> LogArgs {
        LogArgs { verbose, log_format: LogFormat::Text }
    }

    fn filter(verbose: u8, variable: Option<&str>) -> String {
        args(verbose).filter(variable).unwrap().to_string()
    }

    #[test]
    fn verbosity_wins_over_the_environment_and_that_over_the_default() {
        assert_eq!(filter(0, None), "txgen=error");
        assert_eq!(filter(0, Some(" ")), "txgen=error");
        assert_eq!(filter(0, Some("txgen=debug")), "txgen=debug");
        assert!(filter(1, Some("off")).contains("txgen=info"));
        assert!(filter(2, None).contains("txgen=debug"));
        assert!(filter(3, None).contains("txgen=trace") && filter(9, None).contains("debug"));
    }

    #[test]
    fn a_variable_that_says_nothing_is_reported_with_what_it_may_say() {
        let error = args(0).filter(Some("txgen=loud")).unwrap_err().to_string();
        assert!(error.starts_with("RUST_LOG: `txgen=loud` does not say what to log: "), "{error}");
        assert!(error.contains("txgen=debug"), "{error}");
    }
}
