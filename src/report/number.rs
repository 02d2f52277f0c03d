//! Numbers as people read them.

use std::time::Duration;

/// A large number in three figures and a letter: `2.62B`, `840K`, `12`.
pub(crate) fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        v if v >= 999.5e9 => (v / 1e12, "T"),
        v if v >= 999.5e6 => (v / 1e9, "B"),
        v if v >= 999.5e3 => (v / 1e6, "M"),
        v if v >= 999.5 => (v / 1e3, "K"),
        v => return format!("{v:.0}"),
    };
    match scaled {
        s if s < 9.995 => format!("{s:.2}{unit}"),
        s if s < 99.95 => format!("{s:.1}{unit}"),
        s => format!("{s:.0}{unit}"),
    }
}

/// A latency in milliseconds with as many decimals as tell something: `0.21 ms`, `4.1 ms`, `312 ms`.
pub(crate) fn ms(value: f64) -> String {
    match value {
        v if v < 1.0 => format!("{v:.2} ms"),
        v if v < 100.0 => format!("{v:.1} ms"),
        v => format!("{v:.0} ms"),
    }
}

/// A time in whole milliseconds.
pub(super) fn whole_ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

/// A time in seconds with two decimals.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.2} seconds", time.as_secs_f64())
}

/// A count with its noun in the singular or the plural: `1 row`, `2 rows`.
#[must_use]
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_keep_three_figures() {
        let cases = [
            (0.0, "0"),
            (999.4, "999"),
            (999.6, "1.00K"),
            (840_000.0, "840K"),
            (2_623_104_000.0, "2.62B"),
            (1e13, "10.0T"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn latencies_have_the_decimals_that_tell_something() {
        assert_eq!([ms(0.214), ms(4.12), ms(99.94), ms(312.4)], ["0.21 ms", "4.1 ms", "99.9 ms", "312 ms"]);
    }
}
