//! A chart: axes, paths and what a pointer finds, as SVG that keeps its text's size at every width.
//!
//! Positions are percentages of the chart, so nothing is laid out again when the page is narrower: the paths lie in a
//! square that is stretched, their strokes are not, and text is never scaled. Every chart carries a text alternative and
//! its figures as a table, and shows its figures under the pointer by SVG's own titles, without any script.

use maud::{Markup, html};

use super::path::SIDE;
use super::scale::Tick;
use crate::service::ServiceName;

/// What a chart shows, apart from its paths.
pub(super) struct Chart {
    /// A name that is unique on the page; `id` of the figure.
    pub(super) id: String,
    /// The heading.
    pub(super) title: String,
    /// What is drawn, in one sentence.
    pub(super) note: String,
    /// The same for who cannot see it: what the figures say.
    pub(super) alternative: String,
    /// What the colours and strokes mean.
    pub(super) legend: Vec<Key>,
    /// Along the bottom.
    pub(super) x: Vec<Tick>,
    /// Along the left.
    pub(super) y: Vec<Tick>,
    /// What is drawn, the lowest first.
    pub(super) marks: Vec<Mark>,
    /// A level that is drawn across, with its words.
    pub(super) limit: Option<(f64, String)>,
    /// What is shown under the pointer, side by side from left to right.
    pub(super) bands: Vec<Band>,
    /// The figures.
    pub(super) table: Table,
}

/// Something drawn.
pub(super) struct Mark {
    /// Whose colour it has.
    pub(super) service: ServiceName,
    /// How it is drawn.
    pub(super) look: Look,
    /// The path, in the unit square.
    pub(super) path: String,
}

/// How something is drawn; never distinguished by colour alone within one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A line.
    Line,
    /// A broken line.
    Dashed,
    /// A thin line.
    Thin,
    /// A faint area.
    Faint,
    /// A stronger area.
    Strong,
}

impl Look {
    fn class(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Dashed => "line dashed",
            Self::Thin => "line thin",
            Self::Faint => "area faint",
            Self::Strong => "area strong",
        }
    }
}

/// An entry of a legend.
pub(super) struct Key {
    pub(super) service: ServiceName,
    pub(super) look: Look,
    pub(super) words: String,
}

/// A stretch of the x axis and what is shown there.
pub(super) struct Band {
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) words: String,
}

/// Figures as a table: a heading for each column, and rows whose first cell names them.
#[derive(Default)]
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// The class that gives a service's colour.
pub(super) fn colour(service: ServiceName) -> &'static str {
    match service {
        ServiceName::EventHubs => "event-hubs",
        ServiceName::CosmosDb => "cosmos-db",
    }
}

impl Chart {
    /// The whole figure.
    pub(super) fn draw(&self) -> Markup {
        html! {
            figure.chart id=(self.id) {
                figcaption {
                    h3 { (self.title) }
                    p.note { (self.note) }
                    @if !self.legend.is_empty() {
                        ul.legend { @for key in &self.legend { (key.draw()) } }
                    }
                }
                (self.plot())
                (self.table.draw())
            }
        }
    }

    fn plot(&self) -> Markup {
        html! {
            div.plot {
                svg.chart width="100%" height="100%" role="img" aria-label=(self.alternative) {
                    g.grid {
                        @for tick in &self.y {
                            line x1="0" x2="100%" y1=(percent(1.0 - tick.at)) y2=(percent(1.0 - tick.at)) {}
                        }
                    }
                    svg.marks width="100%" height="100%" viewBox={ "0 0 " (SIDE) " " (SIDE) } preserveAspectRatio="none" {
                        @for mark in &self.marks {
                            path class={ (mark.look.class()) " " (colour(mark.service)) } d=(mark.path) {}
                        }
                    }
                    @if let Some((level, words)) = &self.limit {
                        g.limit {
                            line x1="0" x2="100%" y1=(percent(1.0 - level)) y2=(percent(1.0 - level)) {}
                            // Below the line where there would be no room above it.
                            text x="100%" y=(percent(1.0 - level)) dy=(if *level > 0.9 { "1.25em" } else { "-.45em" }) text-anchor="end" {
                                (words)
                            }
                        }
                    }
                    g.labels {
                        @for tick in &self.y {
                            text x="-8" y=(percent(1.0 - tick.at)) dy=".32em" text-anchor="end" { (tick.label) }
                        }
                        @for tick in &self.x {
                            line x1=(percent(tick.at)) x2=(percent(tick.at)) y1="100%" y2="100%" {}
                            text x=(percent(tick.at)) y="100%" dy="1.5em" text-anchor="middle" { (tick.label) }
                        }
                    }
                    g.bands {
                        @for band in &self.bands {
                            rect x=(percent(band.start)) width=(percent((band.end - band.start).max(0.0))) y="0" height="100%" {
                                title { (band.words) }
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Key {
    fn draw(&self) -> Markup {
        html! {
            li {
                svg.key width="22" height="12" aria-hidden="true" {
                    @let class = format!("{} {}", self.look.class(), colour(self.service));
                    @if matches!(self.look, Look::Faint | Look::Strong) {
                        rect class=(class) width="22" height="12" rx="2" {}
                    } @else {
                        path class=(class) d="M0 6H22" {}
                    }
                }
                (self.words)
            }
        }
    }
}

impl Table {
    /// The table, folded away.
    pub(super) fn draw(&self) -> Markup {
        html! {
            details.figures {
                summary { "Figures" }
                (self.unfolded())
            }
        }
    }

    /// The table itself; it scrolls in itself where it is too wide.
    pub(super) fn unfolded(&self) -> Markup {
        html! {
            div.scroll tabindex="0" {
                table {
                    thead { tr { @for column in &self.columns { th scope="col" { (column) } } } }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (i, cell) in row.iter().enumerate() {
                                    @if i == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A share as a percentage with two decimals.
fn percent(share: f64) -> String {
    format!("{}%", (share * 10_000.0).round() / 100.0 + 0.0)
}
