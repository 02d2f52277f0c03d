//! Paths of SVG in the unit square: x to the right and y upwards, both from 0 to 1.

use std::fmt::Write as _;

/// The side of the square in SVG's own units, as the charts' viewBox says.
pub(super) const SIDE: f64 = 1000.0;

/// One stretch of figures with the same value: from `start` to `end` along x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) start: f64,
    pub(super) end: f64,
    /// `None` where there is no figure: the path has a gap.
    pub(super) value: Option<f64>,
}

/// A line that keeps each figure for its whole stretch.
pub(super) fn steps(steps: &[Step]) -> String {
    let mut path = String::new();
    let mut drawing = false;
    for step in steps {
        let Some(value) = step.value else {
            drawing = false;
            continue;
        };
        if !drawing {
            point(&mut path, 'M', step.start, value);
        } else {
            point(&mut path, 'L', step.start, value);
        }
        point(&mut path, 'L', step.end, value);
        drawing = true;
    }
    path
}

/// The area between two such lines; where one has no figure, there is none.
pub(super) fn between(lower: &[Step], upper: &[Step]) -> String {
    let mut path = String::new();
    let pairs: Vec<_> = lower.iter().zip(upper).collect();
    for stretch in pairs.split(|(lower, upper)| lower.value.is_none() || upper.value.is_none()) {
        let mut command = 'M';
        let edges = stretch.iter().flat_map(|(_, upper)| [(upper.start, upper.value), (upper.end, upper.value)]);
        let back = stretch.iter().rev().flat_map(|(lower, _)| [(lower.end, lower.value), (lower.start, lower.value)]);
        for (x, value) in edges.chain(back) {
            point(&mut path, command, x, value.unwrap_or_default());
            command = 'L';
        }
        if !stretch.is_empty() {
            path.push('Z');
        }
    }
    path
}

/// The area below such a line.
pub(super) fn below(upper: &[Step]) -> String {
    let lower: Vec<Step> = upper.iter().map(|step| Step { value: step.value.map(|_| 0.0), ..*step }).collect();
    between(&lower, upper)
}

/// A line from point to point.
pub(super) fn line(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (x, y) in points {
        let command = if path.is_empty() { 'M' } else { 'L' };
        point(&mut path, command, x, y);
    }
    path
}

fn point(path: &mut String, command: char, x: f64, y: f64) {
    // Writing to a string cannot fail.
    let _ = write!(path, "{command}{} {}", tenths(x * SIDE), tenths((1.0 - y) * SIDE));
}

/// A tenth of a thousandth of the chart is less than anyone sees.
fn tenths(value: f64) -> f64 {
    let rounded = (value * 10.0).round() / 10.0;
    // Not `-0`.
    rounded + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(start: f64, end: f64, value: Option<f64>) -> Step {
        Step { start, end, value }
    }

    #[test]
    fn a_line_keeps_each_figure_and_leaves_gaps_where_there_is_none() {
        let figures =
            [step(0.0, 0.2, Some(1.0)), step(0.2, 0.4, Some(0.5)), step(0.4, 0.6, None), step(0.6, 1.0, Some(0.0))];
        assert_eq!(steps(&figures), "M0 0L200 0L200 500L400 500M600 1000L1000 1000");
        assert_eq!(below(&figures[..1]), "M0 0L200 0L200 1000L0 1000Z");
        assert_eq!(below(&figures).matches('Z').count(), 2);
    }
}
