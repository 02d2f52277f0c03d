//! Why a cell is not read, where its text shows how it is meant: dates with the day first, numbers with a decimal comma.
//! Reading them would be guessing, for `03/04/2013` and `1,234` mean one thing here and another there.

use std::fmt;

use super::cells::{self, DateTime, DecimalMark};
use super::columns::Kind;
use crate::characters::StrayCharacter;

/// How the text of a cell is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Explanation {
    /// `13/04/2013`.
    DayFirst,
    /// `13.04.2013`, `13-04-2013`.
    DayFirstOtherwise,
    /// `8/15/13`.
    ShortYear,
    /// `41373.28`.
    SerialNumber,
    /// `2013-08-15T06:55:00+02:00`.
    OtherZone,
    /// `12,50`.
    DecimalComma,
    /// `1,234.56`.
    Thousands,
    /// `$12.50`.
    Currency,
    /// `(12.50)`.
    Parentheses,
    /// `12.50-`.
    TrailingMinus,
    /// `5%`.
    Percent,
    /// `١٢`.
    OtherDigits,
    /// `#N/A`, `#REF!`, `####`.
    SpreadsheetError,
    /// `NULL`, `n/a`.
    NoValue,
    /// `15-Aug-13`.
    MonthName,
    /// `WAHR`.
    OtherLanguage,
    StrayCharacter(StrayCharacter),
}

/// Completes the sentence "the cell …".
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DATES: &str = "write dates as 2013-08-15T06:55:00";
        const NUMBERS: &str = "write numbers as 1234.56";
        match self {
            Self::DayFirst => write!(
                f,
                "has the day first, but dates with slashes are read month first: it is no date, and day and month of one \
                 like 03/04/2013 change places; {DATES}"
            ),
            Self::DayFirstOtherwise => write!(f, "has the day first, which is not read as a date; {DATES}"),
            Self::ShortYear => write!(f, "has a year of two digits, which is not read as a date; {DATES}"),
            Self::SerialNumber => write!(f, "is a spreadsheet's number of a day, which is not read as a date; {DATES}"),
            Self::OtherZone => write!(f, "is in another time zone than UTC, which is not read; {DATES}, in UTC"),
            Self::DecimalComma => {
                write!(f, "has a decimal comma, which is read only where semicolons separate the columns; {NUMBERS}")
            }
            Self::Thousands => write!(f, "has separators of thousands, which are not read; {NUMBERS}"),
            Self::Currency => write!(f, "has a currency beside the number, which is not read; {NUMBERS}"),
            Self::Parentheses => {
                write!(f, "is in parentheses, which mean a negative number to accountants, and are not read; {NUMBERS}")
            }
            Self::TrailingMinus => write!(f, "has its minus sign behind the number, which is not read; {NUMBERS}"),
            Self::OtherDigits => write!(f, "has digits of another script than 0 to 9, which are not read; {NUMBERS}"),
            Self::Percent => write!(f, "has a per cent sign, which is not read; {NUMBERS}"),
            Self::SpreadsheetError => f.write_str(
                "is a spreadsheet's error in the place of a value; mend its formula, or leave the cell empty",
            ),
            Self::NoValue => f.write_str("stands for no value; leave the cell empty to say that"),
            Self::MonthName => write!(f, "has the name of a month, which is not read as a date; {DATES}"),
            Self::OtherLanguage => f.write_str("is a boolean in another language; write TRUE or FALSE"),
            Self::StrayCharacter(odd) => write!(f, "{odd}"),
        }
    }
}

/// How the text of a cell that cannot be read is meant, if that shows.
pub(super) fn explain(kind: Kind, text: &str) -> Option<Explanation> {
    if let Some(odd) = StrayCharacter::any(text) {
        return Some(Explanation::StrayCharacter(odd));
    }
    if is_spreadsheet_error(text) {
        return Some(Explanation::SpreadsheetError);
    }
    if kind != Kind::Text && kind != Kind::PartitionKey && is_no_value(text) {
        return Some(Explanation::NoValue);
    }
    match kind {
        Kind::DateTime => date(text),
        Kind::Number | Kind::Integer => number(text),
        Kind::Boolean => {
            const WORDS: [&str; 12] =
                ["wahr", "falsch", "ja", "nein", "vrai", "faux", "oui", "non", "verdadero", "falso", "vero", "waar"];
            WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)).then_some(Explanation::OtherLanguage)
        }
        Kind::Text | Kind::PartitionKey => None,
    }
}

fn is_spreadsheet_error(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('#') else { return false };
    rest.ends_with(['!', '?']) || rest == "N/A" || (!rest.is_empty() && rest.bytes().all(|byte| byte == b'#'))
}

fn is_no_value(text: &str) -> bool {
    const WORDS: [&str; 10] = ["null", "(null)", "\\n", "na", "n/a", "nan", "none", "nil", "-", "?"];
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn date(text: &str) -> Option<Explanation> {
    // Days from 1954 to 2119 as spreadsheets count them.
    if text.parse().is_ok_and(|day: f64| (20_000.0..80_000.0).contains(&day)) {
        return Some(Explanation::SerialNumber);
    }
    if text.rfind(['+', '-']).is_some_and(|zone| zone > 10 && DateTime::parse(&text[..zone]).is_some()) {
        return Some(Explanation::OtherZone);
    }
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let lower = text.to_ascii_lowercase();
    if text.starts_with(|first: char| first.is_ascii_digit()) && MONTHS.iter().any(|month| lower.contains(month)) {
        return Some(Explanation::MonthName);
    }
    let (day, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let separator = day.chars().find(|character| !character.is_ascii_digit())?;
    let parts: Vec<&str> = day.split(separator).collect();
    let [first, second, year] = parts[..] else { return None };
    let is_number = |part: &str| matches!(part.len(), 1 | 2) && part.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(separator, '/' | '.' | '-') || !is_number(first) || !is_number(second) {
        return None;
    }
    let is_date =
        |month: &str, day: &str, year: &str| DateTime::parse(&format!("{month}/{day}/{year} {time}")).is_some();
    if year.len() == 2 && is_number(year) {
        let year = format!("20{year}");
        return (is_date(first, second, &year) || is_date(second, first, &year)).then_some(Explanation::ShortYear);
    }
    match separator {
        _ if !is_date(second, first, year) => None,
        '/' => Some(Explanation::DayFirst),
        _ => Some(Explanation::DayFirstOtherwise),
    }
}

fn number(text: &str) -> Option<Explanation> {
    let is_number = |text: &str| cells::number(text, DecimalMark::Point).is_some();
    if text.chars().any(|character| character.is_numeric() && !character.is_ascii()) {
        return Some(Explanation::OtherDigits);
    }
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    if inner.is_some_and(|inner| is_number(&inner.replace(',', "."))) {
        return Some(Explanation::Parentheses);
    }
    if text.strip_suffix('%').is_some_and(|text| is_number(&text.trim_end().replace(',', "."))) {
        return Some(Explanation::Percent);
    }
    // In either of the two ways to write it, separators of thousands or not.
    let is_amount = |text: &str| {
        let with_comma = text.replace(['.', '\'', ' '], "").replacen(',', ".", 1);
        is_number(&text.replace([',', '\'', ' '], "")) || (text.contains(',') && is_number(&with_comma))
    };
    if text.strip_suffix('-').is_some_and(is_amount) {
        return Some(Explanation::TrailingMinus);
    }
    let amount = text.strip_prefix('-').unwrap_or(text);
    let bare = amount.trim_matches(|character: char| character.is_alphabetic() || "$€£¥₹ ".contains(character));
    if bare.len() < amount.len() && is_amount(bare) {
        return Some(Explanation::Currency);
    }
    let marks = text.bytes().filter(|byte| matches!(byte, b',' | b'.' | b'\'' | b' ')).count();
    let digits: String = text.chars().filter(|character| !",.' ".contains(*character)).collect();
    match marks {
        0 => None,
        _ if !is_number(&digits) => None,
        1 if text.contains(',') => Some(Explanation::DecimalComma),
        _ => Some(Explanation::Thousands),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_other_countries_and_of_spreadsheets_are_known() {
        for (text, meant) in [
            ("13/04/2013 06:55:00", Some(Explanation::DayFirst)),
            ("13/4/2013", Some(Explanation::DayFirst)),
            ("13.04.2013 06:55", Some(Explanation::DayFirstOtherwise)),
            ("03-04-2013", Some(Explanation::DayFirstOtherwise)),
            ("8/15/13", Some(Explanation::ShortYear)),
            ("15/8/13", Some(Explanation::ShortYear)),
            ("41373.288194", Some(Explanation::SerialNumber)),
            ("2013-08-15T06:55:00+02:00", Some(Explanation::OtherZone)),
            ("32/13/2013", None),
            ("15-Aug-13 06:55", Some(Explanation::MonthName)),
            ("#N/A", Some(Explanation::SpreadsheetError)),
            ("NULL", Some(Explanation::NoValue)),
            ("yesterday", None),
            ("é/1/2", None),
        ] {
            assert_eq!(explain(Kind::DateTime, text), meant, "{text}");
        }
    }

    #[test]
    fn numbers_of_other_countries_are_known() {
        for (text, meant) in [
            ("12,50", Some(Explanation::DecimalComma)),
            ("1,234.56", Some(Explanation::Thousands)),
            ("1.234,56", Some(Explanation::Thousands)),
            ("1'234", Some(Explanation::Thousands)),
            ("$12.50", Some(Explanation::Currency)),
            ("12,50 EUR", Some(Explanation::Currency)),
            ("-$1,234.50", Some(Explanation::Currency)),
            ("12.50-", Some(Explanation::TrailingMinus)),
            ("١٢٫٥٠", Some(Explanation::OtherDigits)),
            ("１２.５０", Some(Explanation::OtherDigits)),
            ("(12.50)", Some(Explanation::Parentheses)),
            ("5%", Some(Explanation::Percent)),
            ("#DIV/0!", Some(Explanation::SpreadsheetError)),
            ("#NAME?", Some(Explanation::SpreadsheetError)),
            ("######", Some(Explanation::SpreadsheetError)),
            ("NA", Some(Explanation::NoValue)),
            ("NaN", Some(Explanation::NoValue)),
            ("-", Some(Explanation::NoValue)),
            ("#1", None),
            ("1.2.3a", None),
        ] {
            assert_eq!(explain(Kind::Number, text), meant, "{text}");
        }
        let message = explain(Kind::Number, "1\u{a0}234").map(|meant| meant.to_string()).unwrap();
        assert_eq!(message, "holds U+00A0 (non-breaking space) as character 2, which cannot be seen; delete it");
    }

    #[test]
    fn booleans_of_other_languages_are_known() {
        assert_eq!(explain(Kind::Boolean, "WAHR"), Some(Explanation::OtherLanguage));
        assert_eq!(explain(Kind::Boolean, "perhaps"), None);
    }
}
