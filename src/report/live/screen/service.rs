//! One service's pane: its figures, and its rate, latency and pending over time.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, LineGauge};

use super::plot::{Curve, Plot};
use super::{bad, caution, heading};
use crate::report::live::{LiveRun, Pace, clock_or_dash, rate_figure, settled};
use crate::report::number::{ms, short};
use crate::service::ServiceName;
use crate::stats::{Percentiles, ServicePoint, ServiceSnapshot};

/// Rows of figures above the plots.
const FIGURES: u16 = 3;

pub(super) fn draw(live: &LiveRun, service: &ServiceSnapshot, frame: &mut Frame<'_>, area: Rect) {
    let name = service.service.to_string();
    let block = Block::bordered().title(heading(&name));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [figures, rate, latency, pending] =
        Layout::vertical([Constraint::Length(FIGURES), Constraint::Fill(1), Constraint::Fill(1), Constraint::Fill(1)])
            .areas(inner);
    draw_figures(live, service, frame, figures);
    rate_plot(live, service).draw(frame, rate);
    latency_plot(live, service).draw(frame, latency);
    pending_plot(live, service).draw(frame, pending);
}

fn draw_figures(live: &LiveRun, service: &ServiceSnapshot, frame: &mut Frame<'_>, area: Rect) {
    let counts = &service.counts;
    let [done, fate, pending] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Length(1)]).areas(area);
    let gauge = LineGauge::default()
        .ratio(live.share(service).unwrap_or(0.0))
        .label(format!("{} of {}", settled(counts), live.expected()))
        .filled_style(Style::new().fg(colour(service.service)))
        .unfilled_style(super::quiet());
    frame.render_widget(gauge, done);
    let any = |count: u64, style: Style| if count > 0 { style } else { Style::new() };
    let mut fate_line = vec![
        Span::raw(format!("ETA {}  ", clock_or_dash(live.time_by_rows(service)))),
        Span::styled(format!("throttled {}", counts.throttled), any(counts.throttled, caution())),
        Span::raw("  "),
        Span::styled(format!("failed {}", counts.failed), any(counts.failed, bad())),
    ];
    if counts.ambiguous > 0 {
        fate_line.push(Span::styled(format!("  ambiguous {}", counts.ambiguous), caution()));
    }
    frame.render_widget(Line::from(fate_line), fate);
    let pending_line = format!("queued {}  in flight {}", counts.queued, counts.in_flight);
    frame.render_widget(Line::from(pending_line), pending);
}

fn rate_plot<'a>(live: &LiveRun, service: &ServiceSnapshot) -> Plot<'a> {
    let now = live.pace(service.service).map_or(0.0, Pace::writes_per_second);
    Plot {
        title: Line::from(vec!["rate ".bold(), Span::raw(format!("{} writes/s", rate_figure(now)))]),
        seconds: live.seconds(),
        reaches: 0.0,
        curves: vec![Curve {
            points: live.curve(service.service, |point, seconds| Some(point.succeeded as f64 / seconds)),
            colour: colour(service.service),
        }],
        figure: short,
    }
}

fn latency_plot<'a>(live: &LiveRun, service: &ServiceSnapshot) -> Plot<'a> {
    let latest = live
        .moment
        .snapshot
        .series
        .points
        .iter()
        .rev()
        .find_map(|point| point.services.get(&service.service)?.service_time_ms);
    let mut figures = latest
        .map_or_else(|| "-".to_owned(), |Percentiles { p50, p99, .. }| format!("p50 {}  p99 {}", ms(p50), ms(p99)));
    if let Some(server_time) = &service.server_time {
        figures.push_str(&format!("  server p50 {}", ms(server_time.at(0.5))));
    }
    let percentile = |pick: fn(Percentiles) -> f64, colour| Curve {
        points: live.curve(service.service, |point, _| point.service_time_ms.map(pick)),
        colour,
    };
    Plot {
        title: Line::from(vec!["latency ".bold(), Span::raw(figures)]),
        seconds: live.seconds(),
        reaches: 0.0,
        curves: vec![percentile(|p| p.p50, colour(service.service)), percentile(|p| p.p99, Color::Yellow)],
        figure: ms,
    }
}

fn pending_plot<'a>(live: &LiveRun, service: &ServiceSnapshot) -> Plot<'a> {
    Plot {
        title: Line::from(vec!["pending ".bold(), Span::raw(service.counts.pending.to_string())]),
        seconds: live.seconds(),
        reaches: 0.0,
        curves: vec![Curve {
            points: live.curve(service.service, |point: &ServicePoint, _| Some(point.pending as f64)),
            colour: colour(service.service),
        }],
        figure: short,
    }
}

/// Each service's colour.
pub(super) fn colour(service: ServiceName) -> Color {
    match service {
        ServiceName::EventHubs => Color::Cyan,
        ServiceName::CosmosDb => Color::Green,
    }
}
