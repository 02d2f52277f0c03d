//! A comparison as text, for a terminal or a log.

use std::fmt::Write as _;

use anstyle::Style;
use time::format_description::well_known::Rfc3339;

use super::{Change, Comparison, Figure, Side, Spread};
use crate::report::single_line;
use crate::report::style::{BAD, GOOD, NAME};

/// Width of the figures' names, of a figure and of a difference.
const NAMES: usize = 24;
const FIGURE: usize = 13;
const DIFFERENCE: usize = 11;

/// The whole comparison.
#[must_use]
pub fn text(comparison: &Comparison) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_comparison(&mut text, comparison);
    text
}

fn write_comparison(text: &mut String, comparison: &Comparison) -> std::fmt::Result {
    write_side(text, "A", &comparison.a)?;
    write_side(text, "B", &comparison.b)?;
    writeln!(text, "\n{NAME}What changed{NAME:#}")?;
    if comparison.changes.is_empty() {
        writeln!(text, "  nothing: the same settings, data and version")?;
    }
    let widest = comparison.changes.iter().map(|change| change.key.chars().count()).max().unwrap_or_default();
    for Change { key, a, b } in &comparison.changes {
        let value = |value: &Option<String>| single_line(value.as_deref().unwrap_or("-"));
        writeln!(text, "  {:widest$}  {} -> {}", single_line(key), value(a), value(b))?;
    }
    for (subject, figures) in comparison.by_subject() {
        writeln!(text, "\n{NAME}{subject:NAMES$}{:>FIGURE$}{:>FIGURE$}{:>DIFFERENCE$}{NAME:#}", "A", "B", "B - A")?;
        for figure in figures {
            write_figure(text, figure)?;
        }
    }
    let method = &comparison.method;
    writeln!(
        text,
        "\nMore than noise: {} at the {} % level, of {}.",
        method.test,
        method.level * 100.0,
        method.sample
    )?;
    writeln!(text, "{}", method.limits)
}

fn write_side(text: &mut String, letter: &str, side: &Side) -> std::fmt::Result {
    let whole = side.started_at.replace_nanosecond(0).unwrap_or(side.started_at);
    // Years beyond 9999 have no RFC 3339; nothing runs then.
    let started = whole.format(&Rfc3339).unwrap_or_else(|_| "-".to_owned());
    writeln!(
        text,
        "{NAME}{letter}{NAME:#}  {}: run {}, started {}, {} requested in {:.2} s",
        single_line(&side.file),
        side.run_id,
        started,
        side.requested,
        side.wall_seconds
    )
}

fn write_figure(text: &mut String, figure: &Figure) -> std::fmt::Result {
    let value = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| number(value, figure.unit));
    write!(text, "{:NAMES$}{:>FIGURE$}{:>FIGURE$}", figure.name, value(figure.a), value(figure.b))?;
    let verdict = verdict(figure);
    if verdict.is_empty() {
        return writeln!(text, "{:>DIFFERENCE$}", difference(figure));
    }
    let style = match (figure.more_than_noise, figure.improved()) {
        (Some(true), Some(true)) => GOOD,
        (Some(true), Some(false)) => BAD,
        _ => Style::new(),
    };
    writeln!(text, "{:>DIFFERENCE$}  {style}{verdict}{style:#}", difference(figure))
}

/// A figure with the decimals that its unit asks for.
fn number(value: f64, unit: &str) -> String {
    match unit {
        "" => format!("{value:.0}"),
        "ms" if value < 1.0 => format!("{value:.3}"),
        "ms" if value < 100.0 => format!("{value:.1}"),
        "ms" => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

/// The difference as a share, or as it is where the first figure is 0.
pub(in crate::report) fn difference(figure: &Figure) -> String {
    match (figure.difference, figure.relative) {
        (None, _) => "-".to_owned(),
        (Some(0.0), _) => "0".to_owned(),
        // Beyond ten times, percentages are hard to read.
        (_, Some(relative)) if relative >= 9.0 => format!("x {:.1}", relative + 1.0),
        (Some(_), Some(relative)) if relative.abs() >= 0.0005 => format!("{:+.1} %", relative * 100.0),
        // Less than what percentages show, or nothing to be a share of.
        (Some(difference), _) => {
            let sign = if difference < 0.0 { "-" } else { "+" };
            format!("{sign}{}", number(difference.abs(), figure.unit))
        }
    }
}

/// Whether the difference is more than noise, in words; empty where nothing differs or it cannot be known.
pub(in crate::report) fn verdict(figure: &Figure) -> String {
    if figure.difference.is_none_or(|difference| difference == 0.0) {
        return String::new();
    }
    let better = match figure.improved() {
        Some(true) => "better, ",
        Some(false) => "worse, ",
        None => "",
    };
    match (&figure.spread, figure.more_than_noise) {
        (Some(Spread { p: Some(p), .. }), Some(true)) => format!("{better}more than noise ({})", probability(*p)),
        (Some(Spread { p: Some(p), .. }), Some(false)) => format!("noise ({})", probability(*p)),
        (Some(Spread { a, b, .. }), None) => format!("unknown: {} and {} batches are too few", a.len(), b.len()),
        _ => String::new(),
    }
}

fn probability(p: f64) -> String {
    if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") }
}
