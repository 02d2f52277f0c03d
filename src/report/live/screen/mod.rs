//! The full-screen view of `--tui`: the two services side by side, what they have in common below.
//!
//! Figures go in, a terminal's cells come out; keys, resizing and the terminal itself are the business of the edge.

mod errors;
mod plot;
mod service;
mod shared;

use std::collections::VecDeque;
use std::sync::Arc;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph};

use super::{LiveRun, progress};
use crate::description::RunDescription;
use crate::report::{failed, single_line, trouble};
use crate::run::monitor::Moment;
use crate::run::recorder::Event;
use crate::service::ServiceName;

/// A smaller terminal gets the progress lines alone.
const SMALLEST: (u16, u16) = (70, 20);
/// Messages that are kept at most.
const MESSAGES: usize = 100;

/// What the full-screen view shows.
#[derive(Clone, Debug)]
pub struct Screen {
    live: LiveRun,
    /// What went wrong lately with the data, the latest last.
    messages: VecDeque<String>,
    /// The answer to what the user did last.
    notice: Option<String>,
}

impl Screen {
    /// The view of a run from this moment on.
    #[must_use]
    pub fn new(description: Arc<RunDescription>, moment: Moment) -> Self {
        Self { live: LiveRun::new(description, moment), messages: VecDeque::new(), notice: None }
    }

    /// The run is there now.
    pub fn observe(&mut self, moment: Moment) {
        self.live.observe(moment);
    }

    /// Something happened that may have to be shown. Failures are not among it: every moment holds the latest ones.
    pub fn event(&mut self, event: &Event) {
        if matches!(event, Event::Rejected { .. } | Event::DataFailed(_))
            && let Some(line) = trouble(event)
        {
            self.message(&line);
        }
    }

    fn message(&mut self, line: &str) {
        if self.messages.len() == MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(single_line(line));
    }

    /// Shows an answer to what the user did, until the next one.
    pub fn notice(&mut self, line: &str) {
        self.notice = Some(single_line(line));
    }

    /// Draws everything.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
            self.draw_small(frame, area);
            return;
        }
        let shared = (area.height / 5).clamp(5, 9);
        let messages = (area.height / 6).clamp(4, 8);
        let [title, services, shared, messages, footer] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length(shared),
            Constraint::Length(messages),
            Constraint::Length(1),
        ])
        .areas(area);
        self.draw_title(frame, title);
        self.draw_services(frame, services);
        self.draw_shared(frame, shared);
        self.draw_messages(frame, messages);
        self.draw_footer(frame, footer);
    }

    fn draw_title(&self, frame: &mut Frame<'_>, area: Rect) {
        let live = &self.live;
        let requested = live.moment.snapshot.requested;
        let time = match (live.description.run.duration, live.moment.stopping) {
            (Some(duration), false) => format!("{} of {}", live.state(), super::clock(duration)),
            _ => live.state(),
        };
        let text =
            format!(" txgen run {}   {time}   requested {requested} of {}", live.description.run_id, live.expected());
        frame.render_widget(Paragraph::new(text).style(Style::new().add_modifier(Modifier::REVERSED)), area);
    }

    fn draw_services(&self, frame: &mut Frame<'_>, area: Rect) {
        let services = self.live.services();
        let columns = Layout::horizontal(services.iter().map(|_| Constraint::Fill(1))).split(area);
        for (service, area) in services.iter().zip(columns.iter()) {
            service::draw(&self.live, service, frame, *area);
        }
    }

    fn draw_shared(&self, frame: &mut Frame<'_>, area: Rect) {
        let cosmos_db = self.live.services().iter().find(|service| service.service == ServiceName::CosmosDb);
        let Some(cosmos_db) = cosmos_db else {
            shared::draw_keys(&self.live, frame, area);
            return;
        };
        let [request_units, keys] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
        shared::draw_request_units(&self.live, cosmos_db, frame, request_units);
        shared::draw_keys(&self.live, frame, keys);
    }

    fn draw_messages(&self, frame: &mut Frame<'_>, area: Rect) {
        let block = Block::bordered().title(heading("Latest errors"));
        let inner = block.inner(area);
        let mut lines: Vec<Line<'_>> =
            self.troubles(inner.width.into(), inner.height.into()).into_iter().map(Line::from).collect();
        if lines.is_empty() {
            lines.push(Line::from("none").style(quiet()));
        }
        frame.render_widget(Paragraph::new(lines).block(block), area);
    }

    /// The latest failures and, above them, the latest messages, in so many rows of this width; the data has its say in
    /// half of the rows at least.
    fn troubles(&self, width: usize, rows: usize) -> Vec<String> {
        let mut failures: Vec<_> = self
            .live
            .services()
            .iter()
            .flat_map(|service| service.latest_failures.iter().map(|failure| (service.service, failure)))
            .collect();
        failures.sort_by_key(|(_, failure)| failure.at);
        let failures: Vec<(ServiceName, String)> = failures
            .iter()
            .map(|(service, latest)| (*service, failed(*service, latest.row, &latest.failure)))
            .collect();
        let needed: usize = failures.iter().map(|(_, failure)| errors::rows_of(failure, width)).sum();
        let messages = self.messages.len().min(rows.saturating_sub(needed).max(rows / 2));
        let latest = self.messages.iter().rev().take(messages).rev();
        let mut lines: Vec<String> =
            latest.flat_map(|message| errors::latest(&[((), message.clone())], width, 1)).collect();
        lines.extend(errors::latest(&failures, width, rows - messages));
        lines
    }

    fn draw_footer(&self, frame: &mut Frame<'_>, area: Rect) {
        let keys = " q or Ctrl-C: stop in order, Ctrl-C again: at once";
        let line = match &self.notice {
            Some(notice) => Line::from(format!(" {notice}")).style(caution()),
            None => Line::from(keys).style(quiet()),
        };
        frame.render_widget(line, area);
    }

    fn draw_small(&self, frame: &mut Frame<'_>, area: Rect) {
        let mut lines: Vec<Line<'_>> = progress::lines(&self.live, area.width.into())
            .iter()
            .map(|line| Line::from(anstream::adapter::strip_str(line).to_string()))
            .collect();
        let (width, height) = SMALLEST;
        let advice = format!("{width} columns and {height} rows show more; q stops");
        lines.push(Line::from(self.notice.clone().unwrap_or(advice)).style(quiet()));
        // The latest ones are all that there is room for.
        let room = usize::from(area.height).saturating_sub(lines.len());
        lines.extend(self.troubles(area.width.into(), room).into_iter().map(|line| Line::from(line).style(bad())));
        frame.render_widget(Paragraph::new(lines), area);
    }
}

/// A pane's heading.
fn heading(text: &str) -> Span<'_> {
    Span::styled(format!(" {text} "), Style::new().add_modifier(Modifier::BOLD))
}

/// What is not the point.
fn quiet() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// What needs a look.
fn caution() -> Style {
    Style::new().yellow()
}

/// What failed.
fn bad() -> Style {
    Style::new().red().add_modifier(Modifier::BOLD)
}

#[cfg(test)]
mod tests;
