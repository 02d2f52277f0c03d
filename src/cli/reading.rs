//! How far `txgen verify` is, on standard error: on one line that stays on a terminal until it is done, and now and then
//! elsewhere.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::console;
use super::live_lines::{FRAME, LiveLines};
use super::output::tell;
use crate::report::single_line;

/// Between two lines where there is no terminal.
const SELDOM: Duration = Duration::from_secs(10);
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
struct Shown {
    read: Arc<AtomicU64>,
    step: Mutex<Step>,
    /// What is on the terminal, until it is done.
    terminal: Mutex<Option<LiveLines>>,
}

impl Shown {
    fn line(&self) -> String {
        self.step.lock().unwrap_or_else(PoisonError::into_inner).line(self.read.load(Ordering::Relaxed))
    }

    /// Shows what of it fits on the terminal, if there is one.
    fn draw(&self) {
        if let Some(lines) = &mut *self.terminal.lock().unwrap_or_else(PoisonError::into_inner) {
            lines.show([cut(&self.line(), LiveLines::width())]);
        }
    }
}

fn cut(line: &str, width: usize) -> String {
    line.chars().take(width.saturating_sub(FREE)).collect()
}

/// Tells how far it is until this is dropped.
pub(super) struct Progress {
    shown: Arc<Shown>,
    ticker: JoinHandle<()>,
}

impl Progress {
    /// Begins with this step.
    pub(super) fn start(step: Step) -> Self {
        let on_terminal = std::io::stderr().is_terminal() && !console::is_dumb();
        let terminal = Mutex::new(on_terminal.then(LiveLines::begin));
        let shown = Arc::new(Shown { read: Arc::default(), step: Mutex::new(step), terminal });
        let told = shown.clone();
        let ticker = tokio::spawn(async move {
            loop {
                if on_terminal {
                    told.draw();
                    tokio::time::sleep(FRAME).await;
                } else {
                    tokio::time::sleep(SELDOM).await;
                    tell(&told.line());
                }
            }
        });
        Self { shown, ticker }
    }

    /// The next step begins.
    pub(super) fn next(&self, step: Step) {
        *self.shown.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
        self.count(0);
        self.shown.draw();
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
        // Taken away here, where the ticker, should it be at it just now, cannot draw again.
        drop(self.shown.terminal.lock().unwrap_or_else(PoisonError::into_inner).take());
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
