//! The JSON of a transaction, read into cells without a tree of values in between.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Unexpected, Visitor};
use serde_json::value::RawValue;

use super::moment;
use crate::columns::{Kind, TRANSACTION};

/// Why an event is no transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The body is no JSON text.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// The body is JSON, but no object.
    #[error("the body is not a JSON object: {0}")]
    NotAnObject(String),
    /// A property that every transaction has is not there, or null.
    #[error("the property {0} is missing")]
    Missing(&'static str),
    /// A property has a value of another type than its column.
    #[error("the property {column} does not fit: {problem}")]
    WrongType {
        /// The property.
        column: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A document of another kind.
    #[error("the property collectionType is `{0}`, not `Transaction`")]
    OtherKind(String),
}

/// The value of one property.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Cell<'a> {
    #[default]
    Null,
    Text(Cow<'a, str>),
    Number(f64),
    Integer(i64),
    Boolean(bool),
    /// In microseconds since 1970-01-01 UTC.
    Moment(i64),
}

/// A transaction, with a cell for each of its columns.
#[derive(Debug, PartialEq)]
pub(super) struct Transaction<'a> {
    pub(super) cells: [Cell<'a>; TRANSACTION.len()],
    /// The other properties, as a JSON object.
    pub(super) extra: Option<String>,
}

/// Reads the body of an event.
pub(super) fn read(body: &[u8]) -> Result<Transaction<'_>, Rejection> {
    let mut reader = Reader { cells: [const { Cell::Null }; TRANSACTION.len()], extra: BTreeMap::new(), at: None };
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = json.deserialize_any(&mut reader).and_then(|()| json.end());
    read.map_err(|error| match (error.is_data(), reader.at) {
        (true, Some(column)) => Rejection::WrongType { column: TRANSACTION[column].name, problem: problem(&error) },
        (true, None) => Rejection::NotAnObject(problem(&error)),
        (false, _) => Rejection::NotJson(error.to_string()),
    })?;
    let Reader { cells, extra, .. } = reader;
    let missing = TRANSACTION.iter().zip(&cells).find(|(column, cell)| column.required && **cell == Cell::Null);
    if let Some((column, _)) = missing {
        return Err(Rejection::Missing(column.name));
    }
    match &cells[TRANSACTION.len() - 1] {
        Cell::Text(kind) if kind != "Transaction" => return Err(Rejection::OtherKind(kind.to_string())),
        _ => {}
    }
    let extra = if extra.is_empty() { None } else { serde_json::to_string(&extra).ok() };
    Ok(Transaction { cells, extra })
}

/// What is wrong with a value. Where it stands is said by its property; serde_json's own place is before the value or
/// behind it, by what other crates of the build ask of serde_json.
fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(problem, _)| problem).to_owned()
}

struct Reader<'a> {
    cells: [Cell<'a>; TRANSACTION.len()],
    extra: BTreeMap<String, &'a RawValue>,
    /// The column that is being read.
    at: Option<usize>,
}

impl<'de> Visitor<'de> for &mut Reader<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Properties mostly come in the order of the columns.
        let mut likely = 0;
        while let Some(name) = map.next_key_seed(Name { likely })? {
            match name {
                Found::Column(column) => {
                    self.at = Some(column);
                    self.cells[column] = map.next_value_seed(Value(TRANSACTION[column].kind))?;
                    self.at = None;
                    likely = column + 1;
                }
                Found::Other(name) => {
                    let value = map.next_value()?;
                    self.extra.insert(name, value);
                }
            }
        }
        Ok(())
    }
}

struct Name {
    likely: usize,
}

enum Found {
    Column(usize),
    Other(String),
}

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property")
    }

    fn visit_str<E>(self, name: &str) -> Result<Found, E> {
        let is_named = |column: &crate::columns::Column| column.name == name;
        if TRANSACTION.get(self.likely).is_some_and(is_named) {
            return Ok(Found::Column(self.likely));
        }
        Ok(TRANSACTION.iter().position(is_named).map_or_else(|| Found::Other(name.to_owned()), Found::Column))
    }
}

/// Reads a value of this kind, or null.
struct Value(Kind);

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Cell<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cell<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Value {
    fn text<'de, E: serde::de::Error>(self, text: Cow<'de, str>) -> Result<Cell<'de>, E> {
        match self.0 {
            Kind::Text => Ok(Cell::Text(text)),
            // txgen writes an empty string where its data has no date that it could read.
            Kind::Moment if text.is_empty() => Ok(Cell::Null),
            Kind::Moment => {
                moment::parse(&text).map(Cell::Moment).ok_or_else(|| E::invalid_value(Unexpected::Str(&text), &self))
            }
            _ => Err(E::invalid_type(Unexpected::Str(&text), &self)),
        }
    }
}

/// The whole numbers that a double holds exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl<'de> Visitor<'de> for Value {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Text | Kind::Binary => "a string",
            Kind::Number => "a number",
            Kind::Integer | Kind::Small => "a whole number of 64 bits",
            Kind::Boolean => "true or false",
            Kind::Moment => "a date and time such as 2013-08-15T06:55:00",
        })
    }

    fn visit_unit<E>(self) -> Result<Cell<'de>, E> {
        Ok(Cell::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Cell<'de>, E> {
        match self.0 {
            Kind::Boolean => Ok(Cell::Boolean(value)),
            _ => Err(E::invalid_type(Unexpected::Bool(value), &self)),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Cell<'de>, E> {
        match self.0 {
            Kind::Integer => Ok(Cell::Integer(value)),
            Kind::Number => Ok(Cell::Number(value as f64)),
            _ => Err(E::invalid_type(Unexpected::Signed(value), &self)),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Cell<'de>, E> {
        match (self.0, i64::try_from(value)) {
            (Kind::Integer, Ok(value)) => Ok(Cell::Integer(value)),
            (Kind::Number, _) => Ok(Cell::Number(value as f64)),
            _ => Err(E::invalid_type(Unexpected::Unsigned(value), &self)),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Cell<'de>, E> {
        match self.0 {
            Kind::Number => Ok(Cell::Number(value)),
            // 12.0 is as whole as 12.
            Kind::Integer if value.fract() == 0.0 && value.abs() < EXACT => Ok(Cell::Integer(value as i64)),
            _ => Err(E::invalid_type(Unexpected::Float(value), &self)),
        }
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Cell<'de>, E> {
        self.text(Cow::Owned(value.to_owned()))
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, value: &'de str) -> Result<Cell<'de>, E> {
        self.text(Cow::Borrowed(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: &str = r#""id":"i","transactionID":"t","accountID":"a","ipCountryCode":"us""#;

    fn with(more: &str) -> String {
        format!("{{{REQUIRED}{more}}}")
    }

    fn cell(more: &str, name: &str) -> Result<Cell<'static>, Rejection> {
        let text: &'static str = with(more).leak();
        let place = TRANSACTION.iter().position(|column| column.name == name).unwrap();
        read(text.as_bytes()).map(|transaction| transaction.cells[place].clone())
    }

    #[test]
    fn each_property_is_read_as_its_column_is_typed() {
        assert_eq!(cell(r#","transactionAmount":5499"#, "transactionAmount"), Ok(Cell::Number(5499.0)));
        assert_eq!(cell(r#","localHour":12.0"#, "localHour"), Ok(Cell::Integer(12)));
        assert_eq!(cell(r#","isProxyIP":false"#, "isProxyIP"), Ok(Cell::Boolean(false)));
        assert_eq!(cell(r#","ipState":"d\u00e9 \"x\"""#, "ipState"), Ok(Cell::Text("dé \"x\"".into())));
        assert_eq!(
            cell(r#","transactionDateTime":"2013-08-15T06:55:00""#, "transactionDateTime"),
            Ok(Cell::Moment(1_376_549_700_000_000))
        );
        assert_eq!(cell(r#","ttl":-1"#, "ttl"), Ok(Cell::Integer(-1)));
    }

    #[test]
    fn what_is_absent_null_or_an_empty_date_is_null() {
        assert_eq!(cell("", "ipState"), Ok(Cell::Null));
        assert_eq!(cell(r#","ipState":null"#, "ipState"), Ok(Cell::Null));
        assert_eq!(cell(r#","transactionDateTime":"""#, "transactionDateTime"), Ok(Cell::Null));
    }

    #[test]
    fn properties_without_a_column_are_kept_as_they_stand() {
        let text = with(r#","zeta":[1, 2.50],"alpha":{"b":null}"#);
        let transaction = read(text.as_bytes()).unwrap();
        assert_eq!(transaction.extra.as_deref(), Some(r#"{"alpha":{"b":null},"zeta":[1, 2.50]}"#));
        assert_eq!(read(with("").as_bytes()).unwrap().extra, None);
    }

    #[test]
    fn what_is_no_transaction_is_rejected_with_its_reason() {
        let reason = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(reason(""), "the body is not JSON: EOF while parsing a value at line 1 column 0");
        assert_eq!(reason("hello"), "the body is not JSON: expected value at line 1 column 1");
        assert_eq!(reason(&(with("") + "x")), "the body is not JSON: trailing characters at line 1 column 68");
        assert_eq!(reason("[1]"), "the body is not a JSON object: invalid type: sequence, expected an object");
        assert_eq!(reason(r#"{"id":"i"}"#), "the property transactionID is missing");
        assert_eq!(
            reason(&with(r#","localHour":"noon""#)),
            "the property localHour does not fit: invalid type: string \"noon\", expected a whole number of 64 bits"
        );
        assert_eq!(
            reason(&with(r#","collectionType":"Account""#)),
            "the property collectionType is `Account`, not `Transaction`"
        );
    }

    #[test]
    fn values_of_other_types_never_get_into_a_column() {
        for (name, value) in [
            ("localHour", "1.5"),
            ("localHour", "true"),
            ("localHour", "9223372036854775808"),
            ("transactionAmount", "\"1\""),
            ("transactionAmount", "[1]"),
            ("isProxyIP", "0"),
            ("ipState", "7"),
            ("ipState", "{}"),
            ("transactionDateTime", "\"soon\""),
            ("transactionDateTime", "1376549700"),
        ] {
            let rejection = cell(&format!(r#","{name}":{value}"#), name).unwrap_err();
            assert!(matches!(rejection, Rejection::WrongType { column, .. } if column == name), "{name}: {value}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_and_nesting_without_end_are_rejected() {
        assert!(matches!(read(b"\xff\xfe"), Err(Rejection::NotJson(_))));
        let deep = format!(r#"{{{REQUIRED},"x":{}"#, "[".repeat(100_000));
        assert!(matches!(read(deep.as_bytes()), Err(Rejection::NotJson(_))));
    }
}
