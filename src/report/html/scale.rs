//! Axes: figures in, positions from 0 to 1 and labelled ticks out.

/// A labelled place on an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// From 0, the axis's start, to 1, its end.
    pub(super) at: f64,
    /// What is written there.
    pub(super) label: String,
}

/// A linear axis from 0 up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linear {
    end: f64,
    step: f64,
}

impl Linear {
    /// An axis from 0 to a round number at or above `max`, with about `ticks` steps.
    pub(super) fn to(max: f64, ticks: f64) -> Self {
        let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
        let step = round_step(max / ticks);
        Self { end: (max / step).ceil() * step, step }
    }

    /// Where the value is, held to the axis.
    pub(super) fn at(&self, value: f64) -> f64 {
        (value / self.end).clamp(0.0, 1.0)
    }

    /// A tick at every step.
    pub(super) fn ticks(&self, label: impl Fn(f64) -> String) -> Vec<Tick> {
        // A dozen at most: the step is the end divided by a small number, rounded by less than half.
        let count = (self.end / self.step + 1e-9).floor() as u32;
        (0..=count)
            .map(|i| f64::from(i) * self.step)
            .map(|value| Tick { at: self.at(value), label: label(value) })
            .collect()
    }
}

/// A step of time: a round number of seconds, minutes or hours, so that `span` seconds have about `ticks` of them.
pub(super) fn time_step(span: f64, ticks: f64) -> f64 {
    const STEPS: [f64; 17] = [
        1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 21_600.0,
        43_200.0,
    ];
    let rough = span / ticks;
    if rough < 1.0 {
        return round_step(rough);
    }
    STEPS.into_iter().find(|step| *step >= rough).unwrap_or_else(|| (rough / 86_400.0).ceil() * 86_400.0)
}

/// An axis of time from 0 to `end` seconds, with about `ticks` steps.
pub(super) fn time(end: f64, ticks: f64) -> Linear {
    let end = if end.is_finite() && end > 0.0 { end } else { 1.0 };
    Linear { end, step: time_step(end, ticks) }
}

/// 1, 2 or 5 times a power of ten: the next one at or above `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let digits = rough / power;
    let digits = if digits <= 1.0 {
        1.0
    } else if digits <= 2.0 {
        2.0
    } else if digits <= 5.0 {
        5.0
    } else {
        10.0
    };
    digits * power
}

/// A logarithmic axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    start: f64,
    end: f64,
}

/// How far ticks along the left have to be apart for their labels, as a share of the axis.
pub(super) const GAP_UP: f64 = 0.12;
/// The same for ticks along the bottom, on a narrow page.
pub(super) const GAP_ALONG: f64 = 0.19;

impl Log {
    /// An axis between 1, 2 or 5 times powers of ten that holds `min` and `max`, both above 0.
    pub(super) fn over(min: f64, max: f64) -> Self {
        let min = if min.is_finite() && min > 0.0 { min } else { 1.0 };
        let max = if max.is_finite() { max.max(min) } else { min };
        let start = round_down(min);
        let end = round_step(max * (1.0 - 1e-9));
        Self { start, end: if end > start * 1.5 { end } else { start * 10.0 } }
    }

    /// Where the value is, held to the axis.
    pub(super) fn at(&self, value: f64) -> f64 {
        if value <= self.start {
            return 0.0;
        }
        ((value / self.start).log10() / self.decades()).min(1.0)
    }

    /// Its length in decades.
    pub(super) fn decades(&self) -> f64 {
        (self.end / self.start).log10()
    }

    /// Where it starts.
    pub(super) fn start(&self) -> f64 {
        self.start
    }

    /// Ticks at 1, 2 and 5 times the powers of ten; where those would be closer than `gap` (a share of the axis), at
    /// every power of ten, or every second or third one.
    pub(super) fn ticks(&self, gap: f64, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let first = self.start.log10().floor() as i32;
        let last = self.end.log10().ceil() as i32;
        let places = |digits: &'static [f64], every: i32| -> Vec<f64> {
            (first..=last)
                .filter(|power| power.rem_euclid(every) == 0)
                .flat_map(|power| digits.iter().map(move |digit| digit * 10_f64.powi(power)))
                .filter(|value| *value >= self.start * 0.999_999 && *value <= self.end * 1.000_001)
                .collect()
        };
        let apart = |values: &[f64]| values.windows(2).all(|pair| self.at(pair[1]) - self.at(pair[0]) >= gap);
        let fine: &[f64] = &[1.0, 2.0, 5.0];
        let choices = [(fine, 1), (&[1.0], 1), (&[1.0], 2), (&[1.0], 3)];
        let values = choices
            .into_iter()
            .map(|(digits, every)| places(digits, every))
            .find(|values| values.len() >= 2 && apart(values))
            // Little more than a decade, none or one power of ten in it: both ends.
            .unwrap_or_else(|| vec![self.start, self.end]);
        values.into_iter().map(|value| Tick { at: self.at(value), label: label(value) }).collect()
    }
}

/// 1, 2 or 5 times a power of ten: the next one at or below `value`.
fn round_down(value: f64) -> f64 {
    let power = 10_f64.powf((value.log10() + 1e-9).floor());
    let digits = [5.0, 2.0, 1.0].into_iter().find(|digits| digits * power <= value * 1.000_000_1);
    digits.unwrap_or(1.0) * power
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn a_linear_axis_ends_at_a_round_number_above_its_figures() {
        let axis = Linear::to(15_188.0, 4.0);
        assert_eq!(labels(&axis.ticks(|v| format!("{v}"))), ["0", "5000", "10000", "15000", "20000"]);
        assert_eq!(axis.at(10_000.0), 0.5);
    }

    #[test]
    fn time_is_shown_in_round_seconds_minutes_or_hours() {
        assert_eq!([26.0, 60.0, 600.0, 86_400.0].map(|span| time_step(span, 5.0)), [10.0, 15.0, 120.0, 21_600.0]);
    }

    #[test]
    fn a_logarithmic_axis_is_labelled_at_round_figures() {
        let axis = Log::over(0.3, 264.0);
        assert_eq!(labels(&axis.ticks(GAP_UP, |v| format!("{v:.0}"))), ["1", "10", "100"]);
        assert!(axis.at(0.2) == 0.0 && axis.at(500.0) == 1.0 && (axis.at(10.0) - 0.5).abs() < 1e-9);
        let ticks = |min, max, gap| Log::over(min, max).ticks(gap, |v| format!("{v}"));
        assert_eq!(labels(&ticks(230.0, 3000.0, GAP_UP)), ["200", "500", "1000", "2000", "5000"]);
        assert_eq!(labels(&ticks(230.0, 30_000.0, GAP_ALONG)), ["1000", "10000"]);
        assert_eq!(labels(&ticks(3.0, 3.0, GAP_UP)), ["2", "5"]);
        assert_eq!(labels(&ticks(0.001, 3_600_000.0, GAP_ALONG)), ["0.01", "1", "100", "10000", "1000000"]);
    }

    proptest! {
        #[test]
        fn every_figure_is_on_its_axis_and_there_are_a_few_ticks(max in 1e-6_f64..1e12) {
            for axis in [Linear::to(max, 4.0), time(max.max(1.0), 5.0)] {
                let ticks = axis.ticks(|_| String::new());
                prop_assert!((2..=9).contains(&ticks.len()), "{}", ticks.len());
                prop_assert!(ticks.windows(2).all(|pair| pair[0].at < pair[1].at));
            }
            prop_assert!(Linear::to(max, 4.0).at(max) <= 1.0);
            let log = Log::over(max, max * 50.0);
            prop_assert!(log.at(max) >= 0.0 && log.at(max * 50.0) <= 1.0 && log.at(max) < log.at(max * 50.0));
            let ticks = log.ticks(GAP_ALONG, |_| String::new());
            prop_assert!(ticks.len() >= 2 && ticks.windows(2).all(|pair| pair[1].at - pair[0].at >= GAP_ALONG - 1e-9));
        }
    }
}
