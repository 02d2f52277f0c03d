//! The printing edge of a run: takes the run's events on a thread of its own and writes them in the chosen format.
//!
//! Figures go to standard output, troubles to standard error, so that `--output json` stays machine-readable whatever
//! happens. Writing may block (a paused pager): it holds this thread up, never the run. When nobody reads standard
//! output any more, the run is asked to stop: requests that nobody watches still cost money.
//!
//! Where both streams go to a terminal, progress lines stay below what is printed ([`super::progress`]); with `--tui` the
//! full-screen view takes the place of all this until the run is over ([`super::tui`]).

use std::io::Write as _;
use std::thread::JoinHandle;

use anstream::{AutoStream, ColorChoice};
use anyhow::Context as _;
use clap::ValueEnum;
use tokio::sync::mpsc;

use super::progress::ProgressDisplay;
use super::watch::Watch;
use super::{console, tui};
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

/// What a run shows of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Show {
    /// How the batches are written.
    pub(super) format: OutputFormat,
    /// Whether the totals alone are written.
    pub(super) quiet: bool,
    /// Whether the full-screen view takes the place of the batches.
    pub(super) tui: bool,
    /// Whether progress lines are drawn where there is a terminal for them.
    pub(super) progress: bool,
}

/// Writes what a run tells.
pub(super) struct Output {
    show: Show,
    stop: Stop,
}

impl Output {
    /// An output that shows this; `stop` is asked to stop when nobody reads.
    pub(super) fn new(show: Show, stop: Stop) -> Self {
        Self { show, stop }
    }

    /// Announces the run.
    pub(super) fn start(&self, opening: &Opening) {
        if self.show.quiet {
            return;
        }
        match self.show.format {
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

    /// The run's end and the output's end of a queue of events.
    pub(super) fn queue() -> (mpsc::Sender<Event>, mpsc::Receiver<Event>) {
        mpsc::channel(EVENTS_WAITING)
    }

    /// Shows the run on a thread of its own until the sender of `events` is gone; the thread gives the output back.
    ///
    /// # Errors
    /// When the terminal cannot be taken over for the full-screen view, or the system has no thread to give.
    pub(super) fn follow(self, events: mpsc::Receiver<Event>, watch: Watch) -> anyhow::Result<JoinHandle<Self>> {
        let draws = self.show.progress && self.show.format != OutputFormat::Json && console::can_draw();
        let thread = std::thread::Builder::new().name("txgen-output".to_owned());
        let handle = tokio::runtime::Handle::current();
        let thread = if self.show.tui {
            let view = tui::follow(tui::Taken::take()?, watch, events)?;
            thread.spawn(move || {
                // The view is gone: what went wrong stays readable.
                view.join().unwrap_or_default().iter().for_each(|line| tell(line));
                self
            })
        } else if draws {
            thread.spawn(move || {
                let progress = ProgressDisplay::begin(watch);
                progress.follow(&handle, events, |event| self.event(&event));
                self
            })
        } else {
            thread.spawn(move || {
                let mut events = events;
                while let Some(event) = events.blocking_recv() {
                    self.event(&event);
                }
                self
            })
        };
        thread.context("cannot start the thread that prints")
    }

    fn event(&self, event: &Event) {
        if let Some(line) = trouble(event) {
            tell(&line);
        }
        let Event::Batch(batch) = event else { return };
        if self.show.quiet {
            return;
        }
        self.print(&match self.show.format {
            OutputFormat::Blocks => blocks::block(batch),
            OutputFormat::Table => table::row(batch),
            OutputFormat::Json => json::batch(batch),
        });
    }

    /// Prints the totals, and in text a remark below them.
    pub(super) fn finish(&self, summary: &Summary, remark: Option<&str>) {
        match self.show.format {
            OutputFormat::Json => {
                remedies(summary).iter().for_each(|remedy| tell(remedy));
                self.print(&json::summary(summary));
            }
            OutputFormat::Table if !self.show.quiet => self.print(&format!("\n{}", with_remark(summary, remark))),
            OutputFormat::Table | OutputFormat::Blocks => self.print(&with_remark(summary, remark)),
        }
    }

    fn print(&self, text: &str) {
        let mut stdout = match self.show.format {
            OutputFormat::Json => AutoStream::new(std::io::stdout(), ColorChoice::Never),
            _ => AutoStream::auto(std::io::stdout()),
        };
        let written = console::beside_progress(|| stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
        if written.is_err() {
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
