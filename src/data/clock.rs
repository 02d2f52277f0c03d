//! When it happens: transactions follow each other from April 2013 on, few in the night of America and many in its day.

use std::fmt;

use time::{Date, Duration, Month};

/// How many transactions there are in each hour (UTC) of a day, in relation to each other.
const HOURS: [u64; 24] =
    [33, 44, 26, 33, 20, 23, 19, 22, 29, 33, 27, 44, 30, 54, 55, 52, 32, 34, 71, 65, 55, 69, 72, 58];
const SECONDS_AN_HOUR: u64 = 3600;
/// The real data has about as many a day.
const ROWS_A_DAY: u64 = 1500;
/// However many rows there are, they end in 2013.
const DAYS_AT_MOST: u64 = 270;

/// The times of a file of transactions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    rows_a_day: u64,
}

impl Clock {
    pub(super) fn new(rows: u64) -> Self {
        Self { rows_a_day: ROWS_A_DAY.max(rows.div_ceil(DAYS_AT_MOST)) }
    }

    /// When row `row` (counted from 0) happens; later rows never happen earlier. `within` is any number, and says when
    /// in the little time that belongs to the row.
    pub(super) fn moment(self, row: u64, within: u64) -> Moment {
        let all_hours: u64 = HOURS.iter().sum();
        let day = row / self.rows_a_day;
        // Time as it would go by if every hour lasted as long as it has transactions.
        let a_day = u128::from(all_hours * SECONDS_AN_HOUR);
        let passed = u128::from(row % self.rows_a_day) * a_day + u128::from(within) % a_day;
        let mut passed = (passed / u128::from(self.rows_a_day)) as u64;
        for (hour, weight) in (0..).zip(HOURS) {
            if passed < weight * SECONDS_AN_HOUR {
                return Moment { day, second: hour * SECONDS_AN_HOUR + passed / weight };
            }
            passed -= weight * SECONDS_AN_HOUR;
        }
        Moment { day: day + 1, second: 0 }
    }
}

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    /// Since 2013-04-01.
    pub(super) day: u64,
    second: u64,
}

impl Moment {
    /// The hour of the day where local time is so many hours ahead of UTC.
    pub(super) fn hour_at(self, utc: i64) -> i64 {
        ((self.second / SECONDS_AN_HOUR) as i64 + utc).rem_euclid(24)
    }
}

impl fmt::Display for Moment {
    /// `2013-08-15T06:55:00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = Date::from_calendar_date(2013, Month::April, 1).unwrap_or(Date::MIN);
        let date = first.saturating_add(Duration::days(i64::try_from(self.day).unwrap_or(i64::MAX)));
        let (hour, minute, second) = (self.second / 3600, self.second / 60 % 60, self.second % 60);
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_happen_one_after_the_other() {
        let clock = Clock::new(20_000);
        let moments: Vec<_> = (0..20_000).map(|row| clock.moment(row, row * 7919)).collect();
        assert!(moments.is_sorted());
        assert_eq!(moments[0].to_string(), "2013-04-01T00:00:00");
        assert_eq!(moments[19_999].day, 13);
    }

    #[test]
    fn any_number_of_rows_ends_in_2013() {
        for rows in [1, 1_000_000, 5_000_000, u64::MAX / 2] {
            let last = Clock::new(rows).moment(rows - 1, u64::MAX).to_string();
            assert!(last.starts_with("2013-"), "{rows}: {last}");
        }
    }

    #[test]
    fn local_time_goes_round_midnight() {
        let noon = Moment { day: 0, second: 12 * 3600 };
        assert_eq!((noon.hour_at(-5), noon.hour_at(12), noon.hour_at(-12)), (7, 0, 0));
    }
}
