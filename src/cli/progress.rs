//! The progress lines on the terminal, below whatever scrolls.

use anstream::ColorChoice;
use anstream::adapter::strip_str;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::live_lines::{FRAME, LiveLines};
use super::watch::Watch;
use crate::live::{Watched, progress};
use crate::run::recorder::Event;

/// Progress lines that are on the terminal until this is dropped.
pub(super) struct ProgressDisplay {
    watch: Watch,
    watched: Option<Watched>,
    lines: LiveLines,
    colours: bool,
}

impl ProgressDisplay {
    /// Begins to draw, on standard error.
    pub(super) fn begin(watch: Watch) -> Self {
        let colours = anstream::AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
        Self { watch, watched: None, lines: LiveLines::begin(), colours }
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
        let lines = progress::lines(&watched, LiveLines::width());
        self.watched = Some(watched);
        self.lines.show(lines.into_iter().map(|line| if self.colours { line } else { strip_str(&line).to_string() }));
    }
}
