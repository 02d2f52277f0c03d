//! The 28 columns of the record, and where a file has them.
//!
//! Columns are found by their name, so files may order them as they like and have others between them.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use crate::characters::{StrayCharacter, visible};
use crate::likeness;

/// How a column is read and what it becomes in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A string, as it stands.
    Text,
    /// ipCountryCode: a string without blanks around it, never empty.
    PartitionKey,
    /// A number.
    Number,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A string such as `2013-08-15T06:55:00`, or empty.
    DateTime,
}

/// One of the 28 columns.
pub(crate) struct Column {
    /// Its name, in the header and in JSON.
    pub(crate) name: &'static str,
    /// What precedes its value in JSON: `,"name":`.
    pub(crate) label: &'static str,
    pub(crate) kind: Kind,
}

macro_rules! columns {
    ($($name:ident: $kind:ident,)*) => {
        [$(Column {
            name: stringify!($name),
            label: concat!(",\"", stringify!($name), "\":"),
            kind: Kind::$kind,
        },)*]
    };
}

/// The columns in the order of the JSON document, which is also the order of the cleaned layout.
pub(crate) static COLUMNS: [Column; 28] = columns! {
    transactionID: Text,
    accountID: Text,
    transactionAmountUSD: Number,
    transactionAmount: Number,
    transactionCurrencyCode: Text,
    localHour: Integer,
    transactionIPaddress: Text,
    ipState: Text,
    ipPostcode: Text,
    ipCountryCode: PartitionKey,
    isProxyIP: Boolean,
    browserLanguage: Text,
    paymentInstrumentType: Text,
    cardType: Text,
    paymentBillingPostalCode: Text,
    paymentBillingState: Text,
    paymentBillingCountryCode: Text,
    cvvVerifyResult: Text,
    digitalItemCount: Integer,
    physicalItemCount: Integer,
    accountPostalCode: Text,
    accountState: Text,
    accountCountry: Text,
    accountAge: Integer,
    isUserRegistered: Boolean,
    paymentInstrumentAgeInAccount: Number,
    numPaymentRejects1dPerUser: Integer,
    transactionDateTime: DateTime,
};

/// Without these a row cannot be distinguished from others, or not be routed.
const REQUIRED: [&str; 3] = ["transactionID", "accountID", "ipCountryCode"];
/// The raw layout's two halves of transactionDateTime.
const RAW_DATE: &str = "transactionDate";
const RAW_TIME: &str = "transactionTime";

/// Which of the layouts seen in the wild a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// All 28 columns.
    Cleaned,
    /// Date and time apart, and no account columns: the raw file of 40 columns.
    Raw,
    /// Other columns, the required ones among them.
    Other,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cleaned => "cleaned (all 28 columns)",
            Self::Raw => "raw (date and time apart)",
            Self::Other => "some of the 28 columns",
        })
    }
}

/// Why a header cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeaderProblem {
    /// None of the columns is known: this is no header of transactions.
    NothingKnown,
    /// Some are known, but required ones are missing: each with the nearest unknown column, if one is near.
    Missing(Vec<(&'static str, Option<String>)>),
    /// A column is there twice, at these positions counted from 1.
    Twice { name: String, first: usize, second: usize },
}

/// Where a file has the record's columns, as positions in its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    places: [Option<usize>; COLUMNS.len()],
    raw_date_and_time: Option<(usize, usize)>,
    width: usize,
    named_width: usize,
}

impl Columns {
    /// Finds the columns by their names in a header, whatever their case and the blanks around them.
    pub(crate) fn find<'a>(header: impl Iterator<Item = &'a str>) -> Result<Self, HeaderProblem> {
        let names: Vec<Cow<'_, str>> = header.map(readable).collect();
        let place = |wanted: &str| {
            let mut places = (0..names.len()).filter(|&place| names[place].eq_ignore_ascii_case(wanted));
            match (places.next(), places.next()) {
                (Some(first), Some(second)) => {
                    Err(HeaderProblem::Twice { name: wanted.to_owned(), first: first + 1, second: second + 1 })
                }
                (place, _) => Ok(place),
            }
        };
        let mut places = [None; COLUMNS.len()];
        for (found, column) in places.iter_mut().zip(&COLUMNS) {
            *found = place(column.name)?;
        }
        if places.iter().all(Option::is_none) {
            return Err(HeaderProblem::NothingKnown);
        }
        let named_width = names.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        let raw_date_and_time = place(RAW_DATE)?.zip(place(RAW_TIME)?);
        let columns = Self { places, raw_date_and_time, width: names.len(), named_width };
        match columns.missing().filter(|name| REQUIRED.contains(name)).collect::<Vec<_>>() {
            missing if missing.is_empty() => Ok(columns),
            missing => Err(HeaderProblem::Missing(
                missing.into_iter().map(|name| (name, nearest(name, &names).map(str::to_owned))).collect(),
            )),
        }
    }

    /// How many of the record's columns a header has.
    pub(crate) fn count_known<'a>(header: impl Iterator<Item = &'a str>) -> usize {
        header.filter(|name| is_known(&readable(name))).count()
    }

    /// How many columns the file has, known or not.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The same without columns at the end that have no name.
    pub(crate) fn named_width(&self) -> usize {
        self.named_width
    }

    /// The record's column at this position in the file, counted from 0.
    pub(crate) fn name_at(&self, position: usize) -> Option<&'static str> {
        self.places().find(|(_, place)| *place == Some(position)).map(|(column, _)| column.name)
    }

    /// Each column with its position in the file.
    pub(super) fn places(&self) -> impl Iterator<Item = (&'static Column, Option<usize>)> {
        COLUMNS.iter().zip(self.places)
    }

    /// Where the raw layout has transactionDate and transactionTime.
    pub(super) fn raw_date_and_time(&self) -> Option<(usize, usize)> {
        self.raw_date_and_time
    }

    /// The columns that the file lacks. The raw layout's date and time stand for transactionDateTime.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &'static str> {
        self.places()
            .filter(|(column, place)| {
                place.is_none() && !(column.kind == Kind::DateTime && self.raw_date_and_time.is_some())
            })
            .map(|(column, _)| column.name)
    }

    /// Which layout this is.
    pub(crate) fn layout(&self) -> Layout {
        if self.places.iter().all(Option::is_some) {
            Layout::Cleaned
        } else if self.raw_date_and_time.is_some() {
            Layout::Raw
        } else {
            Layout::Other
        }
    }
}

/// A column's name without blanks around it and without what cannot be seen.
fn readable(name: &str) -> Cow<'_, str> {
    let name = name.trim();
    if StrayCharacter::invisible(name).is_some() { Cow::Owned(visible(name)) } else { Cow::Borrowed(name) }
}

fn is_known(name: &str) -> bool {
    COLUMNS.iter().map(|column| column.name).chain([RAW_DATE, RAW_TIME]).any(|known| known.eq_ignore_ascii_case(name))
}

/// The unknown column whose name is nearest to the missing one, punctuation and case apart.
fn nearest<'a>(missing: &str, names: &'a [Cow<'_, str>]) -> Option<&'a str> {
    const NEAR_ENOUGH: f64 = 0.85;
    let plain = |name: &str| name.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    let wanted = plain(missing);
    let unknown = names.iter().map(|name| &**name).filter(|name| !is_known(name));
    likeness::nearest(unknown, NEAR_ENOUGH, |name| strsim::jaro_winkler(&wanted, &plain(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_whatever_their_case_and_order() {
        let columns = Columns::find([" IPCOUNTRYCODE", "extra", "accountid ", "transactionId"].into_iter()).unwrap();
        let found: Vec<_> = columns.places().filter_map(|(column, place)| Some((column.name, place?))).collect();
        assert_eq!(found, [("transactionID", 3), ("accountID", 2), ("ipCountryCode", 0)]);
        assert_eq!(columns.width(), 4);
        assert_eq!(columns.layout(), Layout::Other);
    }

    #[test]
    fn all_28_columns_make_the_cleaned_layout() {
        let columns = Columns::find(COLUMNS.iter().map(|column| column.name)).unwrap();
        assert_eq!(columns.layout(), Layout::Cleaned);
        assert_eq!(columns.missing().count(), 0);
    }

    #[test]
    fn date_and_time_apart_make_the_raw_layout() {
        let names = ["transactionID", "accountID", "ipCountryCode", "transactionTime", "transactionDate"];
        let columns = Columns::find(names.into_iter()).unwrap();
        assert_eq!(columns.layout(), Layout::Raw);
        assert_eq!(columns.raw_date_and_time(), Some((4, 3)));
        assert!(!columns.missing().any(|name| name == "transactionDateTime"));
    }

    #[test]
    fn a_missing_column_is_named_with_its_nearest_namesake() {
        let problem = Columns::find(["transaction_id", "accountID", "country"].into_iter()).unwrap_err();
        assert_eq!(
            problem,
            HeaderProblem::Missing(vec![("transactionID", Some("transaction_id".to_owned())), ("ipCountryCode", None)])
        );
    }

    #[test]
    fn a_column_that_is_there_twice_is_not_guessed_at() {
        let problem = Columns::find(["accountID", "transactionID", "AccountId", "ipCountryCode"].into_iter());
        let expected = HeaderProblem::Twice { name: "accountID".to_owned(), first: 1, second: 3 };
        assert_eq!(problem.unwrap_err(), expected);
    }

    #[test]
    fn a_header_of_something_else_is_told_apart() {
        assert_eq!(Columns::find(["name", "age"].into_iter()).unwrap_err(), HeaderProblem::NothingKnown);
    }
}
