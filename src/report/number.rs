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

/// A latency in milliseconds with as many decimals as are significant: `0.21 ms`, `4.1 ms`, `312 ms`.
pub(crate) fn ms(value: f64) -> String {
    match value {
        v if v < 1.0 => format!("{v:.2} ms"),
        v if v < 100.0 => format!("{v:.1} ms"),
        v => format!("{v:.0} ms"),
    }
}

/// To three decimals, which is as exact as any figure here is.
pub(crate) fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A time in whole milliseconds.
pub(super) fn whole_ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

/// A time in seconds with two decimals.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.2} seconds", time.as_secs_f64())
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
