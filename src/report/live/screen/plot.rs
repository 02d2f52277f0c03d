//! Curves over the time of a run, in as many cells as there are.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Sparkline};

/// Fewer rows than these have no room for an axis.
const ROWS_FOR_AXIS: u16 = 3;

/// Some curves with one scale, under a line of text.
pub(super) struct Plot<'a> {
    /// What is shown, and its latest figures.
    pub(super) title: Line<'a>,
    /// The seconds that the plot spans, from 0.
    pub(super) seconds: f64,
    /// What the scale reaches at least.
    pub(super) reaches: f64,
    /// The most telling one last: it is drawn over the others, and alone where there is no room.
    pub(super) curves: Vec<Curve>,
    /// How a value is written at the axis.
    pub(super) figure: fn(f64) -> String,
}

/// One curve.
pub(super) struct Curve {
    /// Seconds since the start, and the value.
    pub(super) points: Vec<(f64, f64)>,
    /// Its colour.
    pub(super) colour: Color,
}

impl Plot<'_> {
    /// Draws the title and, as far as there is room, the curves.
    pub(super) fn draw(self, frame: &mut Frame<'_>, area: Rect) {
        let [title, curves] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
        let most =
            self.curves.iter().flat_map(|curve| &curve.points).fold(self.reaches, |most, point| most.max(point.1));
        if curves.height < ROWS_FOR_AXIS {
            self.draw_sparkline(frame, curves, most);
        } else {
            self.draw_chart(frame, curves, most);
        }
        frame.render_widget(self.title, title);
    }

    fn draw_chart(&self, frame: &mut Frame<'_>, area: Rect, most: f64) {
        let datasets = self
            .curves
            .iter()
            .map(|curve| {
                Dataset::default()
                    .data(&curve.points)
                    .marker(Marker::Braille)
                    .graph_type(GraphType::Line)
                    .style(Style::new().fg(curve.colour))
            })
            .collect();
        let top = if most > 0.0 { most } else { 1.0 };
        let labels = ["0".to_owned(), (self.figure)(top)];
        let chart = Chart::new(datasets)
            .x_axis(Axis::default().bounds([0.0, self.seconds.max(1.0)]))
            .y_axis(Axis::default().bounds([0.0, top]).labels(labels).style(super::quiet()));
        frame.render_widget(chart, area);
    }

    fn draw_sparkline(&self, frame: &mut Frame<'_>, area: Rect, most: f64) {
        let Some(curve) = self.curves.last() else { return };
        // A sparkline takes whole numbers; a fine grid keeps small fractions visible.
        const GRID: f64 = 10_000.0;
        let top = if most > 0.0 { most } else { 1.0 };
        let bars = sampled(&curve.points, self.seconds, area.width);
        let data = bars.into_iter().map(|value| value.map(|value| (value / top * GRID).round() as u64));
        let sparkline = Sparkline::default().data(data).max(GRID as u64).style(Style::new().fg(curve.colour));
        frame.render_widget(sparkline, area);
    }
}

/// The largest value in each of so many equal stretches of time; `None` where there is none.
fn sampled(points: &[(f64, f64)], seconds: f64, columns: u16) -> Vec<Option<f64>> {
    // At the start of a run a column stands for a second, so that the curve grows instead of being stretched.
    let per_column = (seconds / f64::from(columns.max(1))).max(1.0);
    let mut values: Vec<Option<f64>> = vec![None; columns.into()];
    for (at, value) in points {
        let column = ((at / per_column).ceil() as usize).saturating_sub(1);
        if let Some(slot) = values.get_mut(column.min(usize::from(columns).saturating_sub(1))) {
            *slot = Some(slot.map_or(*value, |most| most.max(*value)));
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_run_takes_a_column_a_second_and_a_long_one_all_columns() {
        let points: Vec<(f64, f64)> = (1..=4).map(|second| (f64::from(second), f64::from(second))).collect();
        assert_eq!(sampled(&points, 4.0, 6), [Some(1.0), Some(2.0), Some(3.0), Some(4.0), None, None]);
        assert_eq!(sampled(&points, 4.0, 2), [Some(2.0), Some(4.0)], "the peaks stay visible");
        assert_eq!(sampled(&points, 4.0, 0), []);
    }
}
