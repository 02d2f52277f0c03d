//! Dates and times: texts such as `2021-05-23T10:13:25.1234567Z`, always in UTC. A tick is 100 nanoseconds, counted from
//! the start of 1970.

use serde_json::Value;
use time::{Date, Duration, Month, OffsetDateTime, Time};

use super::{Arguments, Builtin, function};

const TICKS_PER_SECOND: i128 = 10_000_000;
const NANOSECONDS_PER_TICK: i128 = 100;

pub(super) const FUNCTIONS: &[Builtin] = &[
    function("GETCURRENTDATETIME", 0, 0, |_| Some(written(OffsetDateTime::now_utc()))),
    function("GETCURRENTDATETIMESTATIC", 0, 0, |_| Some(written(OffsetDateTime::now_utc()))),
    function("GETCURRENTTICKS", 0, 0, |_| ticks(OffsetDateTime::now_utc())),
    function("GETCURRENTTICKSSTATIC", 0, 0, |_| ticks(OffsetDateTime::now_utc())),
    function("GETCURRENTTIMESTAMP", 0, 0, |_| milliseconds(OffsetDateTime::now_utc())),
    function("GETCURRENTTIMESTAMPSTATIC", 0, 0, |_| milliseconds(OffsetDateTime::now_utc())),
    function("DATETIMETOTICKS", 1, 1, |a| ticks(read(a.text(0)?)?)),
    function("DATETIMETOTIMESTAMP", 1, 1, |a| milliseconds(read(a.text(0)?)?)),
    function("TICKSTODATETIME", 1, 1, |a| from_ticks(a.integer(0)?.into()).map(written)),
    function("TIMESTAMPTODATETIME", 1, 1, |a| from_ticks(i128::from(a.integer(0)?) * 10_000).map(written)),
    function("DATETIMEFROMPARTS", 3, 7, |a| {
        let part = |index| a.or(index, 0, Arguments::integer);
        let year = i32::try_from(part(0)?).ok().filter(|year| (1..=9999).contains(year))?;
        let small = |index| u8::try_from(part(index)?).ok();
        let date = Date::from_calendar_date(year, Month::try_from(small(1)?).ok()?, small(2)?).ok()?;
        let fraction = u32::try_from(part(6)?).ok()?.checked_mul(100)?;
        let time = Time::from_hms_nano(small(3)?, small(4)?, small(5)?, fraction).ok()?;
        Some(written(date.with_time(time).assume_utc()))
    }),
    function("DATETIMEPART", 2, 2, |a| Unit::named(a.text(0)?)?.of(read(a.text(1)?)?)),
    function("DATETIMEADD", 3, 3, |a| {
        let moment = read(a.text(2)?)?;
        Unit::named(a.text(0)?)?.add(a.integer(1)?, moment).map(written)
    }),
    function("DATETIMEDIFF", 3, 3, |a| {
        let unit = Unit::named(a.text(0)?)?;
        let (from, to) = (unit.index(read(a.text(1)?)?)?, unit.index(read(a.text(2)?)?)?);
        i64::try_from(to - from).ok().map(Value::from)
    }),
    function("DATETIMEBIN", 2, 4, |a| {
        let (moment, unit) = (read(a.text(0)?)?, Unit::named(a.text(1)?)?);
        let size = i128::from(a.or(2, 1, Arguments::integer)?);
        let origin = read(a.text_or(3, "1970-01-01T00:00:00.0000000Z")?)?;
        if size <= 0 {
            return None;
        }
        let ticks = unit.ticks();
        if let Some(ticks) = ticks {
            let width = ticks.checked_mul(size)?;
            let start = to_ticks(origin);
            return from_ticks(start + (to_ticks(moment) - start).div_euclid(width) * width).map(written);
        }
        let whole = (unit.index(moment)? - unit.index(origin)?).div_euclid(size) * size;
        unit.add(i64::try_from(whole).ok()?, origin).map(written)
    }),
];

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
}

impl Unit {
    fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "year" | "yyyy" | "yy" => Self::Year,
            "month" | "mm" | "m" => Self::Month,
            "day" | "dd" | "d" => Self::Day,
            "hour" | "hh" => Self::Hour,
            "minute" | "mi" | "n" => Self::Minute,
            "second" | "ss" | "s" => Self::Second,
            "millisecond" | "ms" => Self::Millisecond,
            "microsecond" | "mcs" => Self::Microsecond,
            "nanosecond" | "ns" => Self::Nanosecond,
            _ => return None,
        })
    }

    /// How long it is, where it always is as long. Less than a tick is none.
    fn ticks(self) -> Option<i128> {
        Some(match self {
            Self::Year | Self::Month | Self::Nanosecond => return None,
            Self::Day => 86_400 * TICKS_PER_SECOND,
            Self::Hour => 3_600 * TICKS_PER_SECOND,
            Self::Minute => 60 * TICKS_PER_SECOND,
            Self::Second => TICKS_PER_SECOND,
            Self::Millisecond => TICKS_PER_SECOND / 1_000,
            Self::Microsecond => TICKS_PER_SECOND / 1_000_000,
        })
    }

    fn of(self, moment: OffsetDateTime) -> Option<Value> {
        let nanosecond = moment.nanosecond();
        Some(match self {
            Self::Year => moment.year().into(),
            Self::Month => u8::from(moment.month()).into(),
            Self::Day => moment.day().into(),
            Self::Hour => moment.hour().into(),
            Self::Minute => moment.minute().into(),
            Self::Second => moment.second().into(),
            Self::Millisecond => (nanosecond / 1_000_000).into(),
            Self::Microsecond => (nanosecond / 1_000).into(),
            Self::Nanosecond => nanosecond.into(),
        })
    }

    fn add(self, count: i64, moment: OffsetDateTime) -> Option<OffsetDateTime> {
        let months = match self {
            Self::Year => count.checked_mul(12)?,
            Self::Month => count,
            Self::Nanosecond => return moment.checked_add(Duration::nanoseconds(count)),
            other => return from_ticks(to_ticks(moment) + other.ticks()?.checked_mul(count.into())?),
        };
        let month = i64::from(moment.year()) * 12 + i64::from(u8::from(moment.month())) - 1 + months;
        let year = i32::try_from(month.div_euclid(12)).ok().filter(|year| (1..=9999).contains(year))?;
        let month = Month::try_from(u8::try_from(month.rem_euclid(12) + 1).ok()?).ok()?;
        let day = moment.day().min(month.length(year));
        Some(Date::from_calendar_date(year, month, day).ok()?.with_time(moment.time()).assume_utc())
    }

    /// How many of them there were since the start of the calendar, or of 1970.
    fn index(self, moment: OffsetDateTime) -> Option<i128> {
        match self {
            Self::Year => Some(moment.year().into()),
            Self::Month => Some(i128::from(moment.year()) * 12 + i128::from(u8::from(moment.month()))),
            Self::Nanosecond => Some(moment.unix_timestamp_nanos()),
            other => Some(to_ticks(moment).div_euclid(other.ticks()?)),
        }
    }
}

fn to_ticks(moment: OffsetDateTime) -> i128 {
    moment.unix_timestamp_nanos().div_euclid(NANOSECONDS_PER_TICK)
}

fn from_ticks(ticks: i128) -> Option<OffsetDateTime> {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(ticks.checked_mul(NANOSECONDS_PER_TICK)?).ok()?;
    (1..=9999).contains(&moment.year()).then_some(moment)
}

fn ticks(moment: OffsetDateTime) -> Option<Value> {
    i64::try_from(to_ticks(moment)).ok().map(Value::from)
}

fn milliseconds(moment: OffsetDateTime) -> Option<Value> {
    i64::try_from(to_ticks(moment).div_euclid(10_000)).ok().map(Value::from)
}

fn written(moment: OffsetDateTime) -> Value {
    let (date, time) = (moment.date(), moment.time());
    Value::from(format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:07}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.nanosecond() / 100,
    ))
}

/// Reads a date, or a date and a time down to any part; what is missing is zero.
fn read(text: &str) -> Option<OffsetDateTime> {
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    let mut date = date.trim_end_matches('Z').splitn(3, '-');
    let mut part = || digits(date.next().unwrap_or("1"));
    let (year, month, day) = (i32::try_from(part()?).ok()?, u8::try_from(part()?).ok()?, u8::try_from(part()?).ok()?);
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
    let (time, fraction) = time.trim_end_matches('Z').split_once('.').unwrap_or((time.trim_end_matches('Z'), ""));
    let mut time = time.splitn(3, ':').filter(|part| !part.is_empty());
    let mut part = || u8::try_from(digits(time.next().unwrap_or("0"))?).ok();
    let (hour, minute, second) = (part()?, part()?, part()?);
    let nanoseconds = if fraction.is_empty() { 0 } else { digits(&format!("{:0<9.9}", fraction))? };
    Some(date.with_time(Time::from_hms_nano(hour, minute, second, nanoseconds).ok()?).assume_utc())
}

fn digits(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}
