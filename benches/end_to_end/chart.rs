//! The growth of the rate, drawn: three panels of measured curves and the lines of Little's law.

use std::path::Path;

use plotters::prelude::*;

use crate::growth::{Curve, Growth, Point};

const SIZE: (u32, u32) = (1200, 420);
const EVENT_HUBS: RGBColor = RGBColor(0, 103, 184);
const COSMOS_DB: RGBColor = RGBColor(196, 78, 0);

/// Draws all curves into one SVG file.
pub(crate) fn draw(path: &Path, growth: &Growth) -> anyhow::Result<()> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let panels = area.split_evenly((1, 3));
    let by_limit = [
        ("Event Hubs, 5 ms", &growth.event_hubs_by_limit, EVENT_HUBS),
        ("Cosmos DB, 10 ms", &growth.cosmos_db_by_limit, COSMOS_DB),
    ];
    let by_connections = [("Event Hubs, 5 ms, 1,000 in flight", &growth.event_hubs_by_connections, EVENT_HUBS)];
    let by_latency = [
        ("Event Hubs, 1,000 in flight", &growth.event_hubs_by_latency, EVENT_HUBS),
        ("Cosmos DB, 128 in flight", &growth.cosmos_db_by_latency, COSMOS_DB),
    ];
    // The legends stand where the curves are not.
    let (left, right) = (SeriesLabelPosition::LowerLeft, SeriesLabelPosition::LowerRight);
    panel(&panels[0], "in flight at most", &by_limit, true, right.clone())?;
    panel(&panels[1], "connections", &by_connections, false, right)?;
    panel(&panels[2], "latency that the service adds, ms", &by_latency, true, left)?;
    area.present()?;
    Ok(())
}

type Series<'a> = (&'a str, &'a Curve, RGBColor);
type Panel<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// One panel: the rate on a logarithmic scale by one figure, with the lines of limit / latency where they differ.
fn panel(
    area: &Panel<'_>,
    by: &str,
    series: &[Series<'_>],
    lines: bool,
    legend: SeriesLabelPosition,
) -> anyhow::Result<()> {
    let points = || series.iter().flat_map(|(_, curve, _)| &curve.points);
    let last = points().map(at).fold(1.0, f64::max);
    let rates = || points().map(|point| point.per_second).filter(|rate| *rate > 0.0);
    let (low, high) = (rates().fold(f64::INFINITY, f64::min), rates().fold(1.0, f64::max));
    let mut chart = ChartBuilder::on(area);
    chart.margin(12).x_label_area_size(42).y_label_area_size(66).caption(by, ("sans-serif", 15));
    if lines {
        let chart = chart.build_cartesian_2d((1.0..last).log_scale(), (low / 2.0..high * 2.0).log_scale())?;
        fill(chart, by, series, lines, high * 2.0, legend)
    } else {
        let chart = chart.build_cartesian_2d(0.0..last, 0.0..high * 1.2)?;
        fill(chart, by, series, lines, high * 1.2, legend)
    }
}

/// A logarithmic scale has no 0; it stands at the left edge.
fn at(point: &Point) -> f64 {
    (point.at as f64).max(1.0)
}

fn fill<'a, X, Y>(
    mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    by: &str,
    series: &[Series<'_>],
    lines: bool,
    top: f64,
    legend: SeriesLabelPosition,
) -> anyhow::Result<()>
where
    X: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
{
    let number = |value: &f64| if *value >= 1000.0 { format!("{}k", value / 1000.0) } else { format!("{value}") };
    chart
        .configure_mesh()
        .x_desc(by)
        .y_desc("stored per second")
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (name, curve, colour) in series {
        let colour = *colour;
        let measured = || curve.points.iter().map(|point| (at(point), point.per_second.max(1.0)));
        chart
            .draw_series(LineSeries::new(measured(), colour.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(measured().map(|place| Circle::new(place, 3, colour.filled())))?;
        if lines {
            let law = curve.points.iter().filter_map(|point| Some((at(point), point.limit_over_latency?)));
            chart.draw_series(DashedLineSeries::new(law.filter(|(_, rate)| *rate <= top), 4, 4, colour.into()))?;
        }
    }
    chart
        .configure_series_labels()
        .position(legend)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}
