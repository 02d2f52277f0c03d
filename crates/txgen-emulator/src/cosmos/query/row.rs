//! One document as a query sees it: the few properties that the query looks at, read from the bytes, and the bytes
//! themselves for where the whole document is returned.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::syntax::{DOCUMENT, Expression, Query, Select, Variable};

/// What of a document has to be read to evaluate expressions over it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Needs {
    Properties(BTreeSet<String>),
    Everything,
}

impl Needs {
    /// What a query looks at. Handing out the whole document is not looking at it.
    pub(super) fn of(query: &Query) -> Self {
        let mut needs = Self::Properties(BTreeSet::new());
        // What has to be compared with other results is looked at, even where it is the whole document.
        if query.distinct {
            if let Select::All(Variable { slot: DOCUMENT, .. }) = query.select {
                needs = Self::Everything;
            }
            query.expressions().into_iter().for_each(|expression| needs.add(expression));
            return needs;
        }
        let output = query.select.expressions();
        output.iter().for_each(|expression| needs.add_output(expression));
        query.expressions().into_iter().skip(output.len()).for_each(|expression| needs.add(expression));
        needs
    }

    /// Whether nothing at all has to be read.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Properties(names) if names.is_empty())
    }

    fn add_output(&mut self, expression: &Expression) {
        match expression {
            document if document.is_document() => {}
            Expression::Array(parts) => parts.iter().for_each(|part| self.add_output(part)),
            Expression::Object(fields) => fields.iter().for_each(|(_, part)| self.add_output(part)),
            other => self.add(other),
        }
    }

    fn add(&mut self, expression: &Expression) {
        match (expression.as_property(), expression) {
            (Some(name), _) => {
                if let Self::Properties(names) = self {
                    names.insert(name.to_owned());
                }
            }
            (None, document) if document.is_document() => *self = Self::Everything,
            (None, other) => {
                if let Expression::Subquery(_, query) = other
                    && let Select::All(Variable { slot: DOCUMENT, .. }) = query.select
                {
                    *self = Self::Everything;
                }
                other.parts_and_subqueries().into_iter().for_each(|part| self.add(part));
            }
        }
    }
}

/// One document.
pub(super) struct Row<'a> {
    properties: Value,
    whole: Whole<'a>,
}

/// Where the bytes of the whole document come from.
enum Whole<'a> {
    Value(&'a Value),
    Writer(&'a dyn Fn(&mut Vec<u8>)),
    /// A group's row: there is no one document.
    Nothing,
}

impl<'a> Row<'a> {
    /// A document that is a tree already.
    pub(super) fn of_value(value: &'a Value) -> Self {
        Self { properties: value.clone(), whole: Whole::Value(value) }
    }

    /// A row of which everything that can be known stands in the expressions.
    pub(super) fn empty() -> Self {
        Self { properties: Value::Object(Map::new()), whole: Whole::Nothing }
    }

    /// A stored document. `write` writes it out whole, with its system properties; `body` are its bytes without them.
    pub(super) fn read(body: &[u8], write: &'a dyn Fn(&mut Vec<u8>), needs: &Needs) -> Self {
        let is_system = |name: &String| name.starts_with('_');
        let properties = match needs {
            Needs::Properties(names) if names.is_empty() => Map::new(),
            Needs::Properties(names) if !names.iter().any(is_system) => read_some(body, names),
            needs => {
                let mut whole = Vec::with_capacity(body.len() + 256);
                write(&mut whole);
                match needs {
                    Needs::Properties(names) => read_some(&whole, names),
                    Needs::Everything => serde_json::from_slice(&whole).unwrap_or_default(),
                }
            }
        };
        Self { properties: Value::Object(properties), whole: Whole::Writer(write) }
    }

    /// The properties that were read, as an object.
    pub(super) fn properties(&self) -> &Value {
        &self.properties
    }

    /// Writes the document out whole.
    pub(super) fn write_whole(&self, out: &mut Vec<u8>) {
        match self.whole {
            Whole::Value(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Whole::Writer(write) => write(out),
            Whole::Nothing => out.extend_from_slice(b"{}"),
        }
    }
}

/// Some top-level properties of an object. What is stored was read before, so it is an object.
fn read_some(body: &[u8], names: &BTreeSet<String>) -> Map<String, Value> {
    serde_json::Deserializer::from_slice(body).deserialize_map(OnlyThese(names)).unwrap_or_default()
}

struct OnlyThese<'a>(&'a BTreeSet<String>);

impl<'de> Visitor<'de> for OnlyThese<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Map::new();
        while let Some(wanted) = map.next_key_seed(Wanted(self.0))? {
            match wanted {
                Some(name) => {
                    found.insert(name.to_owned(), map.next_value()?);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

/// Reads a property's name as the wanted one that it is, or as none.
struct Wanted<'a>(&'a BTreeSet<String>);

impl<'de, 'a> DeserializeSeed<'de> for Wanted<'a> {
    type Value = Option<&'a str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, 'a> Visitor<'de> for Wanted<'a> {
    type Value = Option<&'a str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.get(name).map(String::as_str))
    }
}
