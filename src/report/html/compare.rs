//! Two runs held against each other, as a page: what changed, and every figure with its spread.

use maud::{Markup, html};

use super::chart::Table;
use super::words::{date, figure as number, grouped, latency, span};
use crate::report::compare::text::{difference, verdict};
use crate::report::compare::{Comparison, Figure, Side, Spread};

/// The body of the page.
pub(super) fn body(comparison: &Comparison) -> Markup {
    html! {
        header {
            h1 { "Two runs compared" }
            dl.facts {
                (side("A", &comparison.a))
                (side("B", &comparison.b))
            }
            (headline(comparison))
        }
        section id="changes" {
            h2 { "What changed" }
            (changes(comparison))
        }
        @for (subject, figures) in comparison.by_subject() {
            section {
                h2 { (subject) }
                div.panel { (table(&figures)) }
            }
        }
        section id="method" {
            h2 { "How noise is recognised" }
            p {
                (comparison.method.test) " (" a href="https://doi.org/10.1214/aoms/1177730491" { "Mann and Whitney 1947" }
                "), applied to " (comparison.method.sample) ". A difference is more than noise where chance alone would bring it about in less than "
                (comparison.method.level * 100.0) " % of all cases. The marks of a spread are these batches: A above, B below."
            }
            p.lead { (comparison.method.limits) }
        }
    }
}

fn side(letter: &str, side: &Side) -> Markup {
    html! {
        dt { strong { (letter) } }
        dd {
            code { (side.file) } ": run " (side.run_id) ", started " (date(side.started_at)) ", "
            (grouped(side.requested)) " transactions in " (span(side.wall_seconds))
        }
    }
}

/// How many figures moved by more than noise, and in which direction.
fn headline(comparison: &Comparison) -> Markup {
    let moved = |improved| {
        let figures = comparison.figures.iter();
        figures.filter(|figure| figure.more_than_noise == Some(true) && figure.improved() == improved).count()
    };
    let (better, worse, other) = (moved(Some(true)), moved(Some(false)), moved(None));
    let judged = comparison.figures.iter().filter(|figure| figure.more_than_noise.is_some()).count();
    html! {
        @if judged == 0 {
            p.badge.caution { "The runs are too short to distinguish differences from noise." }
        } @else if better + worse + other == 0 {
            p.badge.good { "No difference is more than noise (" (judged) " figures)." }
        } @else {
            @let class = match (better, worse) { (_, 0) => "good", (0, _) => "bad", _ => "caution" };
            p.badge.(class) {
                "More than noise: " (better) " better, " (worse) " worse"
                @if other > 0 { ", " (other) " neither" }
                ", of " (judged) " figures."
            }
        }
    }
}

fn changes(comparison: &Comparison) -> Markup {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    html! {
        @if comparison.changes.is_empty() {
            p { "Nothing: the same settings, data and version." }
        } @else {
            div.panel.settings {
                (Table {
                    columns: ["setting", "A", "B"].map(str::to_owned).to_vec(),
                    rows: comparison.changes.iter().map(|change| vec![change.key.clone(), value(&change.a), value(&change.b)]).collect(),
                }.unfolded())
            }
        }
    }
}

fn table(figures: &[&Figure]) -> Markup {
    let spread = figures.iter().any(|figure| figure.spread.is_some());
    html! {
        div.scroll.whole tabindex="0" {
            table.comparison {
                thead {
                    tr {
                        td {}
                        th scope="col" { "A" }
                        th scope="col" { "B" }
                        th scope="col" { "B − A" }
                        @if spread { th.spread scope="col" { "spread" } th.verdict scope="col" { "verdict" } }
                    }
                }
                tbody { @for figure in figures { (row(figure, spread)) } }
            }
        }
    }
}

fn row(figure: &Figure, spread: bool) -> Markup {
    let class = match (figure.more_than_noise, figure.improved()) {
        (Some(true), Some(true)) => "tag good",
        (Some(true), Some(false)) => "tag bad",
        (Some(true), None) => "tag caution",
        _ => "soft",
    };
    let value = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| said(value, figure.unit));
    html! {
        tr {
            th scope="row" { (figure.name) }
            td { (value(figure.a)) }
            td { (value(figure.b)) }
            td { (difference(figure)) }
            @if spread {
                td.spread { @if let Some(spread) = &figure.spread { (strips(figure, spread)) } }
                td.verdict { span class=(class) { (verdict(figure)) } }
            }
        }
    }
}

fn said(value: f64, unit: &str) -> String {
    match unit {
        "ms" => latency(value),
        "s" => span(value),
        // Counts are whole, and small enough for every digit.
        "" => grouped(value.max(0.0).round() as u64),
        _ => number(value),
    }
}

/// The batches of both runs on one axis: A above, B below.
fn strips(figure: &Figure, spread: &Spread) -> Markup {
    let both = || spread.a.iter().chain(&spread.b).copied();
    let (least, most) = (both().fold(f64::INFINITY, f64::min), both().fold(f64::NEG_INFINITY, f64::max));
    let at = |value: f64| if most > least { 4.0 + 92.0 * (value - least) / (most - least) } else { 50.0 };
    let marks = |values: &[f64], class: &'static str, y: &'static str| {
        html! { @for value in values { circle class=(class) cx=(format!("{:.1}%", at(*value))) cy=(y) r="3.2" {} } }
    };
    html! {
        @if both().next().is_some() {
            svg.strips width="100%" height="26" role="img" aria-label={ "Batches of " (figure.name) ": " (spread.a.len()) " of A, " (spread.b.len()) " of B" } {
                (marks(&spread.a, "mark event-hubs", "7"))
                (marks(&spread.b, "mark cosmos-db", "19"))
            }
        }
    }
}
