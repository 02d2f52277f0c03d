//! A run while it goes on: what its progress lines ([`progress`]) and its full-screen view ([`screen`]) show.
//!
//! Pure: moments of the run and events go in, text or a terminal's cells come out; nothing here can hold the run up.

mod pace;
pub mod progress;
pub mod screen;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use pace::Pace;

use crate::description::RunDescription;
use crate::run::Expected;
use crate::run::monitor::Moment;
use crate::service::ServiceName;
use crate::stats::{Counts, ServicePoint, ServiceSnapshot};

/// A run that goes on: its latest moment, and how fast it has been going.
#[derive(Clone, Debug)]
pub struct LiveRun {
    description: Arc<RunDescription>,
    moment: Moment,
    paces: BTreeMap<ServiceName, Pace>,
}

impl LiveRun {
    /// A run that is looked at from this moment on.
    #[must_use]
    pub fn new(description: Arc<RunDescription>, moment: Moment) -> Self {
        let mut live = Self { description, moment: moment.clone(), paces: BTreeMap::new() };
        live.observe(moment);
        live
    }

    /// The run is there now.
    pub fn observe(&mut self, moment: Moment) {
        for service in &moment.snapshot.services {
            let pace = self.paces.entry(service.service).or_default();
            let counts = &service.counts;
            pace.observe(moment.snapshot.elapsed, counts.succeeded, settled(counts), service.request_units);
        }
        self.moment = moment;
    }

    fn services(&self) -> &[ServiceSnapshot] {
        &self.moment.snapshot.services
    }

    fn pace(&self, service: ServiceName) -> Option<&Pace> {
        self.paces.get(&service)
    }

    /// How many transactions each service will have been handed: what was requested once that is all.
    fn expected(&self) -> Expected {
        let requested = self.moment.snapshot.requested;
        match self.moment.expected {
            _ if self.moment.snapshot.all_requested || self.moment.stopping => Expected::Exactly(requested),
            // An estimate never lies below what has already happened.
            Expected::About(count) => Expected::About(count.max(requested)),
            expected => expected,
        }
    }

    /// How much of what is expected a service has settled, from 0 to 1.
    fn share(&self, service: &ServiceSnapshot) -> Option<f64> {
        match self.expected().count()? {
            0 => Some(1.0),
            count => Some((settled(&service.counts) as f64 / count as f64).min(1.0)),
        }
    }

    /// How long it takes a service at its pace to settle everything expected.
    fn time_by_rows(&self, service: &ServiceSnapshot) -> Option<Duration> {
        let left = self.expected().count()?.saturating_sub(settled(&service.counts));
        self.pace(service.service)?.time_for(left)
    }

    /// How long the run may still last by `--seconds-to-run`.
    fn time_left(&self) -> Option<Duration> {
        self.description.run.duration.map(|duration| duration.saturating_sub(self.moment.snapshot.elapsed))
    }

    /// The seconds that the run's series spans.
    fn seconds(&self) -> f64 {
        self.moment.snapshot.series.points.last().map_or(0.0, |point| point.elapsed_seconds)
    }

    /// A figure of one service over time; `of` gets each point and how many seconds it took.
    fn curve(&self, service: ServiceName, of: impl Fn(&ServicePoint, f64) -> Option<f64>) -> Vec<(f64, f64)> {
        let points = self.moment.snapshot.series.points.iter().filter(|point| point.seconds > 0.0);
        points
            .filter_map(|point| {
                let value = of(point.services.get(&service)?, point.seconds)?;
                Some((point.elapsed_seconds, value))
            })
            .collect()
    }

    /// Where the run is, in at most ten cells.
    fn state(&self) -> String {
        match self.moment.lead_left {
            _ if self.moment.stopping => "stopping".to_owned(),
            Duration::ZERO => clock(self.moment.snapshot.elapsed),
            left => format!("in {}", clock(left)),
        }
    }
}

/// Transactions whose end is known: stored, failed, or not to be sent.
fn settled(counts: &Counts) -> u64 {
    counts.succeeded + counts.failed + counts.not_sent
}

/// A time that may be unknown, as a clock shows it.
fn clock_or_dash(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), clock)
}

/// A rate as a whole number while it is small, in three figures when it is large.
fn rate_figure(per_second: f64) -> String {
    match per_second {
        rate if rate > 0.0 && rate < 10.0 => format!("{rate:.1}"),
        rate if rate < 99_999.5 => format!("{rate:.0}"),
        rate => crate::report::number::short(rate),
    }
}

/// A time as a clock shows it: `0:09`, `12:05`, `1:02:05`.
#[must_use]
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
pub(crate) mod sample;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_a_clock() {
        let times = [9, 725, 3725, 90_000].map(|seconds| clock(Duration::from_secs(seconds)));
        assert_eq!(times, ["0:09", "12:05", "1:02:05", "25:00:00"]);
    }

    #[test]
    fn what_is_expected_is_what_was_requested_once_that_is_all() {
        let mut moment = sample::moment();
        moment.expected = Expected::About(7000);
        let mut live = LiveRun::new(sample::description(), moment.clone());
        assert_eq!(live.expected(), Expected::About(10_000), "an estimate below the facts");
        moment.snapshot.all_requested = true;
        live.observe(moment);
        assert_eq!(live.expected(), Expected::Exactly(10_000));
    }

    #[test]
    fn the_time_by_rows_is_what_is_left_at_the_pace_so_far() {
        let live = LiveRun::new(sample::description(), sample::moment());
        let times: Vec<_> = live.services().iter().map(|service| live.time_by_rows(service)).collect();
        // 9,274 and 836 of 20,000 are done after 14 seconds.
        assert_eq!(times[0].map(|time| time.as_secs()), Some(16));
        assert_eq!(times[1].map(|time| time.as_secs()), Some(320));
        assert_eq!(live.time_left(), Some(Duration::from_secs(586)));
    }
}
