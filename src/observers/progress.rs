//! The progress lines on the terminal, below whatever scrolls.

use anstream::ColorChoice;
use anstream::adapter::strip_str;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::live_lines::{FRAME, LiveLines};
use crate::report::live::{LiveRun, progress};
use crate::run::monitor::Monitor;
use crate::run::recorder::Event;

/// Progress lines that are on the terminal until this is dropped.
pub(super) struct ProgressDisplay {
    monitor: Monitor,
    live: Option<LiveRun>,
    lines: LiveLines,
    colours: bool,
}

impl ProgressDisplay {
    /// Begins to draw, on standard error.
    pub(super) fn begin(monitor: Monitor) -> Self {
        let colours = anstream::AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
        Self { monitor, live: None, lines: LiveLines::begin(), colours }
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
        let Some(moment) = self.monitor.moment() else { return };
        let live = match &mut self.live {
            Some(live) => {
                live.observe(moment);
                live
            }
            None => self.live.insert(LiveRun::new(self.monitor.description().clone(), moment)),
        };
        let lines = progress::lines(live, LiveLines::width());
        self.lines.show(lines.into_iter().map(|line| if self.colours { line } else { strip_str(&line).to_string() }));
    }
}
