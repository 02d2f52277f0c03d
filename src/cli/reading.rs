//! How far `txgen verify` is, on standard error: on one line that stays on a terminal until it is done, and now and then
//! elsewhere.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use super::console;
use super::output::tell;
use crate::report::single_line;

/// Between two looks on a terminal, and between two lines elsewhere.
const FRAME: Duration = Duration::from_millis(250);
const SELDOM: Duration = Duration::from_secs(10);
/// The width of a terminal that does not tell its own.
const WIDTH: u16 = 80;
/// Cells that stay free at the line's end: a line that wraps cannot be taken away again.
const FREE: usize = 2;

/// What is being read.
#[derive(Clone, Debug, Default)]
pub(super) struct Step {
    /// Where from: `Event Hubs`.
    pub(super) place: String,
    /// What is counted: `events of the run read`.
    pub(super) counted: &'static str,
    /// How many of them there must be, if that is known.
    pub(super) expected: Option<u64>,
    /// More about the place, which may be long.
    pub(super) detail: String,
}

impl Step {
    /// What is told of it. What matters comes first, for a narrow terminal cuts off the end.
    fn line(&self, read: u64) -> String {
        let Self { place, counted, expected, detail } = self;
        let expected = expected.map_or_else(String::new, |expected| format!(", {expected} expected"));
        let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
        single_line(&format!("{place}: {read} {counted}{expected}{detail}"))
    }
}

/// The step that is being taken, and how far it is.
#[derive(Debug, Default)]
struct Shown {
    read: Arc<AtomicU64>,
    step: Mutex<Step>,
}

impl Shown {
    fn line(&self) -> String {
        self.step.lock().unwrap_or_else(PoisonError::into_inner).line(self.read.load(Ordering::Relaxed))
    }

    /// What of it fits on the terminal, which may have another size each time.
    fn fitting_line(&self) -> String {
        let width = ratatui::crossterm::terminal::size().map_or(WIDTH, |(columns, _)| columns);
        cut(&self.line(), width.into())
    }
}

fn cut(line: &str, width: usize) -> String {
    line.chars().take(width.saturating_sub(FREE)).collect()
}

/// Tells how far it is until this is dropped.
pub(super) struct Progress {
    shown: Arc<Shown>,
    ticker: JoinHandle<()>,
    drawn: Option<Drawn>,
}

/// What is on the terminal.
struct Drawn {
    all: MultiProgress,
    blank: ProgressBar,
    bar: ProgressBar,
}

impl Progress {
    /// Begins with this step.
    pub(super) fn start(step: Step) -> Self {
        let shown = Arc::new(Shown { step: Mutex::new(step), ..Shown::default() });
        let drawn = (std::io::stderr().is_terminal() && !console::is_dumb()).then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
            console::begin_progress(all.clone());
            let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            // As below a run's blocks: the terminal echoes `^C` after the line, which moves it up by one, and a blank one
            // then stays behind in its place. It is not empty, for indicatif draws no empty lines.
            let blank = all.add(ProgressBar::no_length().with_style(style.clone()));
            blank.set_message(" ");
            let bar = all.add(ProgressBar::no_length().with_style(style));
            Drawn { all, blank, bar }
        });
        let (told, bar) = (shown.clone(), drawn.as_ref().map(|drawn| drawn.bar.clone()));
        let ticker = tokio::spawn(async move {
            loop {
                match &bar {
                    Some(bar) => {
                        bar.set_message(told.fitting_line());
                        tokio::time::sleep(FRAME).await;
                    }
                    None => {
                        tokio::time::sleep(SELDOM).await;
                        tell(&told.line());
                    }
                }
            }
        });
        Self { shown, ticker, drawn }
    }

    /// The next step begins.
    pub(super) fn next(&self, step: Step) {
        *self.shown.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
        self.count(0);
        if let Some(Drawn { bar, .. }) = &self.drawn {
            bar.set_message(self.shown.fitting_line());
        }
    }

    /// So many are read.
    pub(super) fn count(&self, read: u64) {
        self.shown.read.store(read, Ordering::Relaxed);
    }

    /// What counts them, for a thread of its own.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        self.shown.read.clone()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.ticker.abort();
        if let Some(Drawn { all, blank, bar }) = &self.drawn {
            // A bar that is finished is not drawn again, should the ticker be at it just now.
            bar.finish_and_clear();
            blank.finish_and_clear();
            let _ = all.clear();
            console::end_progress();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_with_what_matters_and_stays_one_line() {
        let mut step = Step {
            place: "Event Hubs".to_owned(),
            counted: "events of the run read",
            expected: Some(20_000),
            detail: "transactions at ns\n.servicebus.windows.net".to_owned(),
        };
        assert_eq!(
            step.line(1234),
            "Event Hubs: 1234 events of the run read, 20000 expected (transactions at ns\\n.servicebus.windows.net)"
        );
        (step.expected, step.detail) = (None, String::new());
        assert_eq!(step.line(0), "Event Hubs: 0 events of the run read");
        assert_eq!((&*cut(&step.line(0), 12), &*cut("x", 80), &*cut("x", 1)), ("Event Hubs", "x", ""));
    }
}
