//! Dates and times as they stand in JSON.

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// The microseconds since 1970-01-01 UTC of `2013-08-15T06:55:00`, with or without a fraction of a second and a zone;
/// without a zone it is UTC.
pub(super) fn parse(text: &str) -> Option<i64> {
    let moment = match plain(text.as_bytes()) {
        Some(moment) => moment,
        None => OffsetDateTime::parse(text, &Rfc3339)
            .or_else(|_| OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339))
            .ok()?,
    };
    i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000)).ok()
}

/// `2013-08-15T06:55:00` and nothing else, which is what txgen writes: a tenth of the time that the general parser takes.
fn plain(text: &[u8]) -> Option<OffsetDateTime> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1, s2] = text else {
        return None;
    };
    let number = |digits: &[&u8]| {
        digits
            .iter()
            .try_fold(0_u16, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u16::from(**digit - b'0')))
    };
    let small = |high, low| number(&[high, low]).and_then(|number| u8::try_from(number).ok());
    let month = Month::try_from(small(m1, m2)?).ok()?;
    let date = Date::from_calendar_date(i32::from(number(&[y1, y2, y3, y4])?), month, small(d1, d2)?).ok()?;
    let time = Time::from_hms(small(h1, h2)?, small(i1, i2)?, small(s1, s2)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_without_a_zone_is_in_utc() {
        assert_eq!(parse("2013-08-15T06:55:00"), Some(1_376_549_700_000_000));
        assert_eq!(parse("2013-08-15T06:55:00Z"), parse("2013-08-15T06:55:00"));
        assert_eq!(parse("2013-08-15T08:55:00.25+02:00"), Some(1_376_549_700_250_000));
        assert_eq!(parse("2013-08-15T06:55:00.000001"), Some(1_376_549_700_000_001));
        assert_eq!(parse("1969-12-31T23:59:59.9999999Z"), Some(-1));
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in [
            "",
            "soon",
            "2013-08-15",
            "2013-13-15T06:55:00",
            "2013-02-30T06:55:00",
            "2013-08-15T25:55:00",
            "20130815T065500",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
