//! Writes the events of a run in the chosen format, on a thread of its own.
//!
//! Figures go to standard output, troubles to standard error, so that `--output json` stays machine-readable whatever
//! happens. Writing may block (a paused pager): it holds this thread up, never the run. When standard output is closed,
//! the run is asked to stop: requests that go unwatched still cost money.
//!
//! Where both streams go to a terminal, progress lines stay below what is printed ([`super::progress`]); with `--tui` the
//! full-screen view takes the place of all this until the run is over ([`super::tui`]).

use std::io::ErrorKind;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use anyhow::Context as _;
use clap::ValueEnum;
use tokio::sync::mpsc;

use super::log::notice;
use super::progress::ProgressDisplay;
use super::standard_output::{self, Colours};
use super::{console, tui};
use crate::description::RunDescription;
use crate::report::{blocks, json, opening, remedies, table, totals, trouble};
use crate::run::Stop;
use crate::run::monitor::Monitor;
use crate::run::recorder::Event;
use crate::stats::{StopReason, Summary};

/// How a run is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
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
pub(crate) struct Show {
    /// How the batches are written.
    pub(crate) format: OutputFormat,
    /// Whether the totals alone are written.
    pub(crate) quiet: bool,
    /// Whether the full-screen view takes the place of the batches.
    pub(crate) tui: bool,
    /// Whether progress lines are drawn where there is a terminal for them.
    pub(crate) progress: bool,
}

/// Writes the output of a run.
#[derive(Clone, Debug)]
pub(super) struct Output {
    show: Show,
    stop: Stop,
    /// Set once standard output cannot be written, though it still has a reader.
    lost: Arc<OnceLock<()>>,
}

impl Output {
    /// `stop` is asked to stop the run when standard output is closed.
    pub(super) fn new(show: Show, stop: Stop) -> Self {
        Self { show, stop, lost: Arc::default() }
    }

    /// Announces the run.
    pub(super) fn start(&self, description: &RunDescription) {
        if self.show.quiet {
            return;
        }
        match self.show.format {
            OutputFormat::Json => self.print(&json::start(description)),
            OutputFormat::Blocks => self.print(&opening::text(description)),
            OutputFormat::Table => {
                let services: Vec<_> = description.services().collect();
                self.print(&(opening::text(description) + &table::heading(&services)));
            }
        }
    }

    /// Shows the run on a thread of its own until the sender of `events` is gone.
    ///
    /// # Errors
    /// When the terminal cannot be taken over for the full-screen view, or the system has no thread to give.
    pub(super) fn follow(&self, events: mpsc::Receiver<Event>, monitor: Monitor) -> anyhow::Result<JoinHandle<()>> {
        let output = self.clone();
        let draws = self.show.progress && self.show.format != OutputFormat::Json && console::can_draw();
        let thread = std::thread::Builder::new().name("txgen-output".to_owned());
        let handle = tokio::runtime::Handle::current();
        let thread = if self.show.tui {
            let view = tui::follow(tui::Taken::take()?, monitor, events)?;
            // Once the view is gone, what went wrong stays readable.
            thread.spawn(move || view.join().unwrap_or_default().iter().for_each(|line| notice(line)))
        } else if draws {
            thread.spawn(move || {
                let progress = ProgressDisplay::begin(monitor);
                progress.follow(&handle, events, |event| output.event(&event));
            })
        } else {
            thread.spawn(move || {
                let mut events = events;
                while let Some(event) = events.blocking_recv() {
                    output.event(&event);
                }
            })
        };
        thread.context("cannot start the thread that prints")
    }

    fn event(&self, event: &Event) {
        if let Some(line) = trouble(event) {
            notice(&line);
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

    /// Prints the totals, and in text remarks below them; on standard error where standard output cannot be written. Tells
    /// whether it could.
    pub(super) fn finish(&self, summary: &Summary, remarks: &[String]) -> bool {
        self.print_totals(summary, remarks);
        if self.lost.get().is_some() {
            let text = match self.show.format {
                OutputFormat::Json => json::summary(summary),
                OutputFormat::Blocks | OutputFormat::Table => with_remarks(summary, remarks),
            };
            anstream::adapter::strip_str(text.trim_end()).to_string().lines().for_each(notice);
        }
        self.lost.get().is_none()
    }

    fn print_totals(&self, summary: &Summary, remarks: &[String]) {
        match self.show.format {
            OutputFormat::Json => {
                remedies(summary).iter().for_each(|remedy| notice(remedy));
                self.print(&json::summary(summary));
            }
            OutputFormat::Table if !self.show.quiet => self.print(&format!("\n{}", with_remarks(summary, remarks))),
            OutputFormat::Table | OutputFormat::Blocks => self.print(&with_remarks(summary, remarks)),
        }
    }

    fn print(&self, text: &str) {
        let colours = match self.show.format {
            OutputFormat::Json => Colours::Never,
            OutputFormat::Blocks | OutputFormat::Table => Colours::Auto,
        };
        let Err(error) = console::beside_progress(|| standard_output::write(text, colours)) else { return };
        self.stop.gently(StopReason::OutputClosed);
        if error.kind() != ErrorKind::BrokenPipe && self.lost.set(()).is_ok() {
            notice(&format!("Output: cannot write to standard output: {error}; the run stops."));
        }
    }
}

fn with_remarks(summary: &Summary, remarks: &[String]) -> String {
    let mut text = totals::totals(summary);
    for remark in remarks {
        text.push_str(remark);
        text.push('\n');
    }
    text
}
