//! Figures as people read them on the page.

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use crate::report::number::{ms, short};

/// A count with its thousands set apart: `20,000`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate or another figure that is not counted: three digits at least, thousands set apart: `15,188`, `46.3`, `0.21`.
pub(super) fn figure(value: f64) -> String {
    let size = value.abs();
    match value {
        _ if !value.is_finite() => "-".to_owned(),
        _ if size >= 99.95 => {
            let sign = if value < 0.0 { "-" } else { "" };
            // Held to what a `u64` holds: no rate gets there.
            format!("{sign}{}", grouped(size.round() as u64))
        }
        _ if size >= 9.995 => format!("{value:.1}"),
        _ if size == 0.0 => "0".to_owned(),
        _ => format!("{value:.2}"),
    }
}

/// The same on an axis, short: `80`, `0.5`, `2,000`, `150K`, `1.5M`.
pub(super) fn figure_tick(value: f64) -> String {
    let trimmed = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    if value >= 99_999.5 {
        let text = short(value);
        let (number, unit) = text.split_at(text.len() - 1);
        return if number.contains('.') { trimmed(number) + unit } else { text };
    }
    let text = figure(value);
    if text.contains('.') { trimmed(&text) } else { text }
}

/// A latency with its unit, in seconds from ten seconds on: `0.21 ms`, `312 ms`, `24.7 s`.
pub(super) fn latency(milliseconds: f64) -> String {
    if milliseconds >= 9_999.5 { format!("{:.1} s", milliseconds / 1000.0) } else { ms(milliseconds) }
}

/// A power of ten of milliseconds, as an axis says it: `10 µs`, `0.1 ms`, `1 ms`, `1 s`.
pub(super) fn latency_tick(milliseconds: f64) -> String {
    let trimmed = |value: f64, unit: &str| format!("{} {unit}", (value * 1000.0).round() / 1000.0);
    match milliseconds {
        ms if ms < 0.095 => trimmed(ms * 1000.0, "µs"),
        ms if ms < 999.0 => trimmed(ms, "ms"),
        ms => trimmed(ms / 1000.0, "s"),
    }
}

/// A time span: `1.32 s`, `26.0 s`, `4 min 10 s`, `2 h 5 min`, `60 days`.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => "-".to_owned(),
        s if s < 9.995 => format!("{s:.2} s"),
        s if s < 119.95 => format!("{s:.1} s"),
        s => {
            let whole = s.round() as u64;
            let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600, whole % 3600 / 60, whole % 60);
            match (days, hours) {
                (2.., _) if hours % 24 == 0 => format!("{days} days"),
                (2.., _) => format!("{days} days {} h", hours % 24),
                (_, 1..) => format!("{hours} h {minutes} min"),
                _ => format!("{minutes} min {seconds} s"),
            }
        }
    }
}

/// A moment of a run on an axis whose ticks are `step` seconds apart: `10 s`, `2 min`, `1.5 h`.
pub(super) fn moment(seconds: f64, step: f64) -> String {
    let trimmed = |value: f64, unit: &str| format!("{} {unit}", (value * 100.0).round() / 100.0);
    match step {
        _ if seconds == 0.0 => "0".to_owned(),
        step if step < 60.0 => trimmed(seconds, "s"),
        step if step < 3600.0 => trimmed(seconds / 60.0, "min"),
        _ => trimmed(seconds / 3600.0, "h"),
    }
}

/// A moment by the wall clock: `25 November 2026, 00:11:20 UTC`.
pub(super) fn date(moment: OffsetDateTime) -> String {
    const FORMAT: &[BorrowedFormatItem<'_>] =
        format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute]:[second] UTC");
    // Every component is one that a date has.
    moment.to_offset(UtcOffset::UTC).format(FORMAT).unwrap_or_else(|_| "-".to_owned())
}

/// A share: `50.6 %`, `0.04 %`; what is less than a hundredth of a percent says so.
pub(super) fn share(part: f64) -> String {
    match part * 100.0 {
        0.0 => "0 %".to_owned(),
        percent if percent < 0.01 => "< 0.01 %".to_owned(),
        percent if percent < 1.0 => format!("{percent:.2} %"),
        percent => format!("{percent:.1} %"),
    }
}

/// How many times as much: `19.8 times`, `140 times`.
pub(super) fn times(factor: f64) -> String {
    if factor >= 99.5 { format!("{} times", grouped(factor.round() as u64)) } else { format!("{factor:.1} times") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits_and_set_thousands_apart() {
        assert_eq!([0, 999, 1000, 20_000, 1_234_567].map(grouped), ["0", "999", "1,000", "20,000", "1,234,567"]);
        assert_eq!(
            [0.0, 0.214, 9.99, 46.31, 768.9, -15_188.0].map(figure),
            ["0", "0.21", "9.99", "46.3", "769", "-15,188"]
        );
    }

    #[test]
    fn times_and_shares_have_the_unit_that_suits_them() {
        assert_eq!([0.214, 312.0, 24_718.0].map(latency), ["0.21 ms", "312 ms", "24.7 s"]);
        assert_eq!([0.01, 0.1, 1.0, 500.0, 1000.0].map(latency_tick), ["10 µs", "0.1 ms", "1 ms", "500 ms", "1 s"]);
        let spans = [1.32, 26.01, 250.0, 7500.0, 5_184_000.0].map(span);
        assert_eq!(spans, ["1.32 s", "26.0 s", "4 min 10 s", "2 h 5 min", "60 days"]);
        let ticks = [80.0, 12.5, 0.5, 2000.0, 150_000.0, 2e6].map(figure_tick);
        assert_eq!(ticks, ["80", "12.5", "0.5", "2,000", "150K", "2M"]);
        assert_eq!(
            [moment(0.0, 1.0), moment(10.0, 10.0), moment(90.0, 30.0), moment(5400.0, 3600.0)],
            ["0", "10 s", "90 s", "1.5 h"]
        );
        assert_eq!([0.0, 0.00001, 0.0042, 0.506].map(share), ["0 %", "< 0.01 %", "0.42 %", "50.6 %"]);
        assert_eq!([times(19.79), times(140.2)], ["19.8 times", "140 times"]);
    }
}
