//! How far `txgen verify` is, on standard error: on one line that stays on a terminal until it is done, and now and then
//! elsewhere.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::observers::live_lines::{FRAME, LiveLines};
use crate::observers::{console, notice};
use crate::text::single_line;
use crate::verify::progress::{Progress, Step};

/// Between two lines where there is no terminal.
const SELDOM: Duration = Duration::from_secs(10);
/// Cells that stay free at the line's end: a line that wraps cannot be taken away again.
const FREE: usize = 2;

/// The line of a step. What matters comes first, for a narrow terminal cuts off the end.
fn line(step: &Step, read: u64) -> String {
    let Step { place, counted, expected, detail } = step;
    let expected = expected.map_or_else(String::new, |expected| format!(", {expected} expected"));
    let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
    single_line(&format!("{place}: {read} {counted}{expected}{detail}"))
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
        let step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        line(&step, self.read.load(Ordering::Relaxed))
    }

    /// Shows what of it fits on the terminal, if there is one.
    fn draw(&self) {
        if self.step.lock().unwrap_or_else(PoisonError::into_inner).place.is_empty() {
            return;
        }
        if let Some(lines) = &mut *self.terminal.lock().unwrap_or_else(PoisonError::into_inner) {
            lines.show([cut(&self.line(), LiveLines::width())]);
        }
    }
}

fn cut(line: &str, width: usize) -> String {
    line.chars().take(width.saturating_sub(FREE)).collect()
}

/// Tells how far it is until this is dropped.
pub(super) struct Reading {
    shown: Arc<Shown>,
    ticker: JoinHandle<()>,
}

impl Reading {
    pub(super) fn start() -> Self {
        let on_terminal = std::io::stderr().is_terminal() && !console::is_dumb();
        let terminal = Mutex::new(on_terminal.then(LiveLines::begin));
        let shown = Arc::new(Shown { read: Arc::default(), step: Mutex::default(), terminal });
        let line = shown.clone();
        let ticker = tokio::spawn(async move {
            loop {
                if on_terminal {
                    line.draw();
                    tokio::time::sleep(FRAME).await;
                } else {
                    tokio::time::sleep(SELDOM).await;
                    notice(&line.line());
                }
            }
        });
        Self { shown, ticker }
    }
}

impl Progress for Reading {
    fn next(&self, step: Step) {
        *self.shown.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
        self.count(0);
        self.shown.draw();
    }

    fn count(&self, read: u64) {
        self.shown.read.store(read, Ordering::Relaxed);
    }

    fn counter(&self) -> Arc<AtomicU64> {
        self.shown.read.clone()
    }
}

impl Drop for Reading {
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
            line(&step, 1234),
            "Event Hubs: 1234 events of the run read, 20000 expected (transactions at ns\\n.servicebus.windows.net)"
        );
        (step.expected, step.detail) = (None, String::new());
        assert_eq!(line(&step, 0), "Event Hubs: 0 events of the run read");
        assert_eq!((&*cut(&line(&step, 0), 12), &*cut("x", 80), &*cut("x", 1)), ("Event Hubs", "x", ""));
    }
}
