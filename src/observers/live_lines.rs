//! Lines that stay at the bottom of a terminal, below whatever scrolls, until they are taken away.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::console;

/// How often such lines are drawn anew.
pub(crate) const FRAME: Duration = Duration::from_millis(250);
/// The width of a terminal that does not report its own.
const WIDTH: u16 = 80;

/// Lines on standard error that are there until this is dropped, and then gone without a trace.
pub(crate) struct LiveLines {
    all: MultiProgress,
    bars: Vec<ProgressBar>,
}

impl LiveLines {
    /// Makes room for them: what else is printed then goes above.
    pub(crate) fn begin() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        console::begin_progress(all.clone());
        Self { all, bars: Vec::new() }
    }

    /// The cells of a line, which may be others each time.
    pub(crate) fn width() -> usize {
        ratatui::crossterm::terminal::size().map_or(WIDTH, |(columns, _)| columns).into()
    }

    /// Shows these lines in place of those before, which were no more than these.
    pub(crate) fn show(&mut self, lines: impl IntoIterator<Item = String>) {
        // The terminal echoes `^C` after the last line, which moves everything up by one: a blank line then stays behind.
        // It is not empty, for indicatif draws no empty lines.
        let blank = " ".to_owned();
        for (number, line) in std::iter::once(blank).chain(lines).enumerate() {
            if number == self.bars.len() {
                let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
                self.bars.push(self.all.add(ProgressBar::no_length().with_style(style)));
            }
            self.bars[number].set_message(line);
        }
    }
}

impl Drop for LiveLines {
    fn drop(&mut self) {
        // No line is left behind, whatever the terminal says.
        let _ = self.all.clear();
        console::end_progress();
    }
}
