//! What a cell of each kind may look like. Nothing here depends on the machine's culture: the same text means the same
//! value everywhere.

use time::{Date, Month, Time};

/// Whether numbers have a decimal comma, as in the semicolon-separated files that spreadsheets write where the comma is
/// the decimal mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecimalMark {
    Point,
    Comma,
}

/// A finite number, `12.5`, `6.94444E-4` or `-3`; never an infinity, nor what is not a number.
pub(super) fn number(cell: &str, mark: DecimalMark) -> Option<f64> {
    let parse = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    match mark {
        DecimalMark::Comma if cell.contains(',') && !cell.contains('.') => parse(&cell.replacen(',', ".", 1)),
        _ => parse(cell),
    }
}

/// A whole number of 32 bits, which is what readers of the events expect; `3` or `3.0`.
pub(super) fn integer(cell: &str, mark: DecimalMark) -> Option<i32> {
    cell.parse().ok().or_else(|| {
        let number = number(cell, mark)?;
        let whole = number as i32;
        (f64::from(whole) == number).then_some(whole)
    })
}

/// `TRUE`, `yes`, `1`, `1.0` and the like, and their opposites.
pub(super) fn boolean(cell: &str) -> Option<bool> {
    let is_one_of = |words: &[&str]| words.iter().any(|word| cell.eq_ignore_ascii_case(word));
    if is_one_of(&["true", "1", "t", "yes", "y", "1.0"]) {
        Some(true)
    } else if is_one_of(&["false", "0", "f", "no", "n", "0.0"]) {
        Some(false)
    } else {
        None
    }
}

/// A point in time as the record holds it: `2013-08-15T06:55:00`, without a zone and without fractions of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DateTime {
    date: Date,
    time: Time,
}

impl DateTime {
    /// Reads the text of a transactionDateTime cell:
    /// - ISO 8601, `2013-08-15T06:55:00` or with a blank for the `T`; seconds, their fraction (dropped) and the whole
    ///   time may be left out, and a zone must be UTC;
    /// - the American form that .NET writes by default, `8/15/2013 6:55:00 AM`: month first, always.
    pub(super) fn parse(cell: &str) -> Option<Self> {
        let (date, time) = match cell.find(['T', ' ']) {
            Some(end) => (&cell[..end], cell[end + 1..].trim_start()),
            None => (cell, ""),
        };
        if date.contains('/') {
            let time = if time.is_empty() { Time::MIDNIGHT } else { twelve_hour_time(time)? };
            Some(Self { date: american_date(date)?, time })
        } else {
            let time = if time.is_empty() { Time::MIDNIGHT } else { clock_time(without_utc(time))? };
            Some(Self { date: iso_date(date)?, time })
        }
    }

    /// Reads the two cells of the raw layout: `20130409` and `95040`, which is 09:50:40 without its leading zeros.
    pub(super) fn parse_raw(date: &str, time: &str) -> Option<Self> {
        let date = u32::try_from(integer(date, DecimalMark::Point)?).ok()?;
        let time = u32::try_from(integer(time, DecimalMark::Point)?).ok()?;
        Some(Self {
            date: calendar_date(date / 10_000, date / 100 % 100, date % 100)?,
            time: time_of_day(time / 10_000, time / 100 % 100, time % 100)?,
        })
    }

    /// Appends `2013-08-15T06:55:00`.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        let (year, month, day) = (self.date.year().unsigned_abs(), u8::from(self.date.month()), self.date.day());
        let mut two_digits = |before: &[u8], number: u32| {
            out.extend_from_slice(before);
            out.extend_from_slice(&[b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
        };
        two_digits(b"", year / 100);
        two_digits(b"", year % 100);
        two_digits(b"-", month.into());
        two_digits(b"-", day.into());
        two_digits(b"T", self.time.hour().into());
        two_digits(b":", self.time.minute().into());
        two_digits(b":", self.time.second().into());
    }
}

/// A run of one to `most` digits.
fn digits(text: &str, most: usize) -> Option<u32> {
    let fits = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

fn calendar_date(year: u32, month: u32, day: u32) -> Option<Date> {
    if !(1..=9999).contains(&year) {
        return None;
    }
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()
}

fn time_of_day(hour: u32, minute: u32, second: u32) -> Option<Time> {
    Time::from_hms(u8::try_from(hour).ok()?, u8::try_from(minute).ok()?, u8::try_from(second).ok()?).ok()
}

/// `2013-08-15`.
fn iso_date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() != 4 || month.len() != 2 || day.len() != 2 {
        return None;
    }
    calendar_date(digits(year, 4)?, digits(month, 2)?, digits(day, 2)?)
}

/// `8/15/2013`.
fn american_date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '/');
    let (month, day, year) = match (parts.next()?, parts.next()?, parts.next()?) {
        // A year that comes first says that month and day follow, in this order everywhere.
        (year, month, day) if year.len() == 4 => (month, day, year),
        (month, day, year) => (month, day, year),
    };
    if year.len() != 4 {
        return None;
    }
    calendar_date(digits(year, 4)?, digits(month, 2)?, digits(day, 2)?)
}

/// `6:55:00 AM`, or a time of 24 hours.
fn twelve_hour_time(text: &str) -> Option<Time> {
    // The last two characters may be half of a wider one: `get` then finds nothing.
    let split = text.len().checked_sub(2)?;
    let half = match text.get(split..) {
        Some(end) if end.eq_ignore_ascii_case("am") => 0,
        Some(end) if end.eq_ignore_ascii_case("pm") => 12,
        _ => return clock_time(text),
    };
    let time = clock_time(text[..split].trim_end())?;
    if !(1..=12).contains(&time.hour()) {
        return None;
    }
    time.replace_hour(time.hour() % 12 + half).ok()
}

/// `6:55`, `06:55:00` or `06:55:00.1234567`.
fn clock_time(text: &str) -> Option<Time> {
    let (hour, rest) = text.split_once(':')?;
    let (minute, second) = rest.split_once(':').unwrap_or((rest, "00"));
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    digits(fraction, 9)?;
    if minute.len() != 2 || second.len() != 2 {
        return None;
    }
    time_of_day(digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?)
}

fn without_utc(time: &str) -> &str {
    time.strip_suffix(['Z', 'z']).or_else(|| time.strip_suffix("+00:00")).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(time: Option<DateTime>) -> Option<String> {
        let mut out = Vec::new();
        time?.write(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    fn read(cell: &str) -> Option<String> {
        written(DateTime::parse(cell))
    }

    #[test]
    fn every_way_to_write_one_moment_reads_alike() {
        for cell in [
            "2013-08-15T06:55:00",
            "2013-08-15 06:55:00",
            "2013-08-15T06:55",
            "2013-08-15T06:55:00.1234567",
            "2013-08-15T06:55:00Z",
            "2013-08-15 06:55:00+00:00",
            "8/15/2013 6:55:00 AM",
            "08/15/2013 06:55:00 am",
            "8/15/2013 6:55AM",
            "8/15/2013 6:55",
            "2013/08/15 06:55:00",
            "2013/8/15 6:55",
        ] {
            assert_eq!(read(cell).as_deref(), Some("2013-08-15T06:55:00"), "{cell}");
        }
        assert_eq!(read("2013-08-15").as_deref(), Some("2013-08-15T00:00:00"));
    }

    #[test]
    fn noon_and_midnight_are_twelve_o_clock() {
        assert_eq!(read("1/2/2013 12:00:01 AM").as_deref(), Some("2013-01-02T00:00:01"));
        assert_eq!(read("1/2/2013 12:00:01 PM").as_deref(), Some("2013-01-02T12:00:01"));
        assert_eq!(read("1/2/2013 11:59:59 PM").as_deref(), Some("2013-01-02T23:59:59"));
    }

    #[test]
    fn what_is_no_date_is_not_read_as_one() {
        for cell in [
            "",
            "x",
            "T",
            "2013-02-29T00:00:00",
            "2013-13-01",
            "0000-01-01",
            "13-08-15",
            "2013-8-5",
            "2013-08-15T24:00:00",
            "2013-08-15T06:60:00",
            "2013-08-15T06:55:00+02:00",
            "2013-08-15T06",
            "2013-08-15T-6:55:00",
            "15/8/2013 6:55:00 AM",
            "8/15/2013 0:55:00 AM",
            "8/15/2013 13:55:00 PM",
            "8/15/2013 é",
            "2013-08-15T06:55:00.",
            "+013-08-15",
        ] {
            assert_eq!(read(cell), None, "{cell}");
        }
    }

    #[test]
    fn the_raw_layout_leaves_leading_zeros_out() {
        let read = |date, time| written(DateTime::parse_raw(date, time));
        assert_eq!(read("20130409", "95040").as_deref(), Some("2013-04-09T09:50:40"));
        assert_eq!(read("20130409", "135144").as_deref(), Some("2013-04-09T13:51:44"));
        assert_eq!(read("20130409", "7").as_deref(), Some("2013-04-09T00:00:07"));
        assert_eq!(read("20130409", "0").as_deref(), Some("2013-04-09T00:00:00"));
        assert_eq!(read("20130409", "095040").as_deref(), Some("2013-04-09T09:50:40"));
        assert_eq!(read("20130409", "240000"), None);
        assert_eq!(read("20130431", "0"), None);
        assert_eq!(read("-20130409", "0"), None);
        assert_eq!(read("", "0"), None);
    }

    #[test]
    fn a_number_is_finite_or_it_is_no_number() {
        let number = |cell| number(cell, DecimalMark::Point);
        assert_eq!(number("103.48965"), Some(103.48965));
        assert_eq!(number("6.94444E-4"), Some(6.94444e-4));
        assert_eq!(number("-1"), Some(-1.0));
        for cell in ["", "NaN", "inf", "-infinity", "1e999", "1,5", "1 000", "0x10", "NA"] {
            assert_eq!(number(cell), None, "{cell}");
        }
    }

    #[test]
    fn a_decimal_comma_counts_where_the_file_writes_them() {
        assert_eq!(number("103,48965", DecimalMark::Comma), Some(103.48965));
        assert_eq!(number("103.5", DecimalMark::Comma), Some(103.5));
        assert_eq!(number("1.234,5", DecimalMark::Comma), None);
        assert_eq!(number("1,234,5", DecimalMark::Comma), None);
    }

    #[test]
    fn an_integer_may_be_written_as_a_float() {
        let integer = |cell| integer(cell, DecimalMark::Point);
        assert_eq!(integer("19"), Some(19));
        assert_eq!(integer("1.0"), Some(1));
        assert_eq!(integer("-99"), Some(-99));
        assert_eq!(integer("2e3"), Some(2000));
        for cell in ["1.5", "3000000000", "1e300", "", "x"] {
            assert_eq!(integer(cell), None, "{cell}");
        }
    }

    #[test]
    fn a_boolean_has_many_spellings() {
        for cell in ["TRUE", "true", "True", "1", "yes", "1.0"] {
            assert_eq!(boolean(cell), Some(true), "{cell}");
        }
        for cell in ["FALSE", "false", "0", "No", "0.0"] {
            assert_eq!(boolean(cell), Some(false), "{cell}");
        }
        for cell in ["", "2", "NA", "wahr"] {
            assert_eq!(boolean(cell), None, "{cell}");
        }
    }
}
