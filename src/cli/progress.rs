//! The progress lines on the terminal, below whatever scrolls.

use std::time::Duration;

use anstream::ColorChoice;
use anstream::adapter::strip_str;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::console;
use super::watch::Watch;
use crate::live::{Watched, progress};
use crate::run::recorder::Event;

/// How often the lines are drawn.
const FRAME: Duration = Duration::from_millis(250);
/// The width of a terminal that does not tell its own.
const WIDTH: u16 = 80;

/// Progress lines that are on the terminal until this is dropped.
pub(super) struct ProgressDisplay {
    watch: Watch,
    watched: Option<Watched>,
    all: MultiProgress,
    lines: Vec<ProgressBar>,
    colours: bool,
}

impl ProgressDisplay {
    /// Begins to draw, on standard error.
    pub(super) fn begin(watch: Watch) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        console::begin_progress(all.clone());
        let colours = anstream::AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
        Self { watch, watched: None, all, lines: Vec::new(), colours }
    }

    /// Draws now and then and hands events on as they come, until their sender is gone. Blocks.
    pub(super) fn follow(mut self, handle: &Handle, mut events: mpsc::Receiver<Event>, mut show: impl FnMut(Event)) {
        let mut draw_at = Instant::now();
        loop {
            if draw_at <= Instant::now() {
                self.draw();
                draw_at = Instant::now() + FRAME;
            }
            match handle.block_on(async { timeout_at(draw_at, events.recv()).await }) {
                Ok(Some(event)) => show(event),
                Ok(None) => return,
                Err(_) => {}
            }
        }
    }

    fn draw(&mut self) {
        let Some(moment) = self.watch.moment() else { return };
        let watched = match self.watched.take() {
            Some(mut watched) => {
                watched.observe(moment);
                watched
            }
            None => Watched::new(self.watch.plan(), moment),
        };
        let width = ratatui::crossterm::terminal::size().map_or(WIDTH, |(columns, _)| columns);
        // The terminal echoes `^C` after the last line, which moves everything up by one: a blank line then stays behind.
        // It is not empty, for indicatif draws no empty lines.
        let mut lines = vec![" ".to_owned()];
        lines.extend(progress::lines(&watched, width.into()));
        self.watched = Some(watched);
        while self.lines.len() < lines.len() {
            let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            self.lines.push(self.all.add(ProgressBar::no_length().with_style(style)));
        }
        for (bar, line) in self.lines.iter().zip(lines) {
            bar.set_message(if self.colours { line } else { strip_str(&line).to_string() });
        }
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        // No line is left behind, whatever the terminal says.
        let _ = self.all.clear();
        console::end_progress();
    }
}
