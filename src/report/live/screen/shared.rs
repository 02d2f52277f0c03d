//! What is below the services: the RU/s against what is provisioned, and the busiest partition keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph};

use super::plot::{Curve, Plot};
use super::{caution, heading};
use crate::report::live::{LiveRun, Pace};
use crate::report::number::short;
use crate::report::single_line;
use crate::stats::ServiceSnapshot;

/// The width of a partition key.
const KEY: usize = 8;

/// The RU/s of Cosmos DB.
pub(super) fn draw_request_units(live: &LiveRun, service: &ServiceSnapshot, frame: &mut Frame<'_>, area: Rect) {
    let block = Block::bordered().title(heading("Request units"));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let now = live.pace(service.service).map_or(0.0, Pace::request_units_per_second);
    let spent = live.curve(service.service, |point, seconds| Some(point.request_units / seconds));
    let mut title = vec![Span::raw(format!("{now:.0} RU/s")).bold()];
    let mut curves = Vec::new();
    if let Some(provisioned) = live.description.provisioned() {
        let provisioned = f64::from(provisioned);
        let text = format!(" of {provisioned:.0} provisioned ({:.0} %)", now / provisioned.max(1.0) * 100.0);
        // Close to the limit some partition is beyond its share of it.
        title.push(Span::styled(text, if now > provisioned * 0.9 { caution() } else { Style::new() }));
        let end = live.seconds().max(1.0);
        curves.push(Curve { points: vec![(0.0, provisioned), (end, provisioned)], colour: Color::Red });
    }
    curves.push(Curve { points: spent, colour: super::service::colour(service.service) });
    Plot { title: Line::from(title), seconds: live.seconds(), reaches: 0.0, curves, figure: short }.draw(frame, inner);
}

/// The partition keys with the most transactions requested.
pub(super) fn draw_keys(live: &LiveRun, frame: &mut Frame<'_>, area: Rect) {
    let block = Block::bordered().title(heading("Busiest partition keys"));
    let inner = block.inner(area);
    let requested = live.moment.snapshot.requested;
    let bar = usize::from(inner.width).saturating_sub(KEY + 20);
    let lines: Vec<Line<'_>> = live
        .moment
        .snapshot
        .busiest_keys
        .iter()
        .take(inner.height.into())
        .map(|(key, count)| {
            let share = *count as f64 / requested.max(1) as f64;
            let cells = "█".repeat((share * bar as f64).round() as usize);
            let key: String = single_line(key).chars().take(KEY).collect();
            Line::from(vec![
                Span::raw(format!("{key:<KEY$} {:>5.1} % {count:>9} ", share * 100.0)),
                Span::styled(cells, Style::new().fg(Color::Blue)),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
