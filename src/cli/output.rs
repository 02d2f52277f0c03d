//! The printing edge of a run: takes the run's events on a thread of its own and writes them in the chosen format.
//!
//! Figures go to standard output, troubles to standard error, so that `--output json` stays machine-readable whatever
//! happens. Writing may block (a paused pager): it holds this thread up, never the run. When nobody reads standard
//! output any more, the run is asked to stop: requests that nobody watches still cost money.

use std::io::Write as _;
use std::thread::JoinHandle;

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;
use tokio::sync::mpsc;

use crate::report::opening::Opening;
use crate::report::{blocks, json, remedies, table, totals, trouble};
use crate::run::Stop;
use crate::run::recorder::Event;
use crate::service::ServiceName;
use crate::stats::{StopReason, Summary};

pub(super) use super::logging::tell;

/// Events that wait for the printing thread at most; the recorder copes with a full queue.
const EVENTS_WAITING: usize = 64;

/// How a run is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// A block of lines for every batch
    #[default]
    Blocks,
    /// One line for every batch
    Table,
    /// Newline-delimited JSON
    Json,
}

/// Writes what a run tells.
pub(super) struct Output {
    format: OutputFormat,
    quiet: bool,
    stop: Stop,
}

impl Output {
    /// An output in this format; `quiet` leaves only the totals. `stop` is asked to stop when nobody reads.
    pub(super) fn new(format: OutputFormat, quiet: bool, stop: Stop) -> Self {
        Self { format, quiet, stop }
    }

    /// Announces the run.
    pub(super) fn start(&self, opening: &Opening) {
        if self.quiet {
            return;
        }
        match self.format {
            OutputFormat::Json => self.print(&json::start(opening)),
            OutputFormat::Blocks => self.print(&opening.to_text()),
            OutputFormat::Table => {
                let mut services = Vec::new();
                services.extend((!opening.event_hubs.is_empty()).then_some(ServiceName::EventHubs));
                services.extend(opening.cosmos_db.is_some().then_some(ServiceName::CosmosDb));
                self.print(&(opening.to_text() + &table::heading(&services)));
            }
        }
    }

    /// Prints events on a thread of its own until the sender is gone; the thread gives the output back.
    pub(super) fn follow(self) -> (mpsc::Sender<Event>, JoinHandle<Self>) {
        let (sender, mut events) = mpsc::channel(EVENTS_WAITING);
        let thread = std::thread::spawn(move || {
            while let Some(event) = events.blocking_recv() {
                self.event(&event);
            }
            self
        });
        (sender, thread)
    }

    fn event(&self, event: &Event) {
        if let Some(line) = trouble(event) {
            tell(&line);
        }
        let Event::Batch(batch) = event else { return };
        if self.quiet {
            return;
        }
        self.print(&match self.format {
            OutputFormat::Blocks => blocks::block(batch),
            OutputFormat::Table => table::row(batch),
            OutputFormat::Json => json::batch(batch),
        });
    }

    /// Prints the totals, and in text a remark below them.
    pub(super) fn finish(&self, summary: &Summary, remark: Option<&str>) {
        match self.format {
            OutputFormat::Json => {
                remedies(summary).iter().for_each(|remedy| tell(remedy));
                self.print(&json::summary(summary));
            }
            OutputFormat::Table if !self.quiet => self.print(&format!("\n{}", with_remark(summary, remark))),
            OutputFormat::Table | OutputFormat::Blocks => self.print(&with_remark(summary, remark)),
        }
    }

    fn print(&self, text: &str) {
        let mut stdout = match self.format {
            OutputFormat::Json => AutoStream::new(std::io::stdout(), ColorChoice::Never),
            _ => AutoStream::auto(std::io::stdout()),
        };
        if stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err() {
            self.stop.gently(StopReason::OutputClosed);
        }
    }
}

fn with_remark(summary: &Summary, remark: Option<&str>) -> String {
    let mut text = totals::totals(summary);
    if let Some(remark) = remark {
        text.push_str(remark);
        text.push('\n');
    }
    text
}
