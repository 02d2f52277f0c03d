//! Queries: the part of the service's SQL that a reader of these runs types.
//!
//! `SELECT *`, projections, `VALUE`, `TOP`, `WHERE` with comparisons, AND, OR, NOT, IN, BETWEEN, arithmetic and the
//! common functions, `ORDER BY` one expression, `GROUP BY` one expression with COUNT, SUM, MIN, MAX and AVG,
//! `OFFSET … LIMIT …`, parameters. Anything else is refused by name.
//! <https://learn.microsoft.com/azure/cosmos-db/nosql/query/>

mod aggregate;
mod evaluate;
mod lexer;
mod parser;
mod plan;
mod print;
mod row;
mod syntax;
mod value;

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::failure::Failure;
use super::partition_key::PartitionKey;
use aggregate::Groups;
use evaluate::{evaluate, passes};
use row::{Needs, Row};
use syntax::{Comparison, Direction, Expression, Query, Select};

/// The longest query, in bytes.
pub(super) const MAX_LENGTH: usize = 256 * 1024;

/// Values by name, without the `@`.
type Parameters = HashMap<String, Value>;

/// Why a query is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("Syntax error at character {at}: expected {what}.")]
    Expected { what: &'static str, at: usize },
    #[error("Syntax error at character {at}: {what}.")]
    Syntax { what: &'static str, at: usize },
    #[error("This emulator does not support {0}.")]
    Unsupported(String),
    #[error("The query has the parameter @{0}, but no value came with it.")]
    Parameter(String),
    #[error("Identifier `{name}` at character {at} could not be resolved: the documents are called `{alias}`.")]
    Name { name: String, alias: String, at: usize },
}

impl Problem {
    fn syntax(at: usize, what: &'static str) -> Self {
        Self::Syntax { what, at }
    }

    fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported(what.into())
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::bad_request(problem.to_string())
    }
}

/// A query, ready to be run.
pub(super) struct Prepared {
    query: Query,
    needs: Needs,
}

#[derive(Deserialize)]
struct Body {
    query: String,
    #[serde(default)]
    parameters: Option<Vec<Parameter>>,
}

#[derive(Deserialize)]
struct Parameter {
    name: String,
    #[serde(default)]
    value: Value,
}

/// Reads the body of a query request: `{"query": …, "parameters": [{"name": "@…", "value": …}]}`.
pub(super) fn prepare(body: &[u8]) -> Result<Prepared, Failure> {
    let body: Body = serde_json::from_slice(body)
        .map_err(|error| Failure::bad_request(format!("The body is not a query: {error}.")))?;
    if body.query.len() > MAX_LENGTH {
        return Err(Failure::bad_request(format!("The query is longer than {MAX_LENGTH} bytes.")));
    }
    let named = |parameter: Parameter| (parameter.name.trim_start_matches('@').to_owned(), parameter.value);
    let parameters = body.parameters.unwrap_or_default().into_iter().map(named).collect();
    let query = parser::parse(&body.query, &parameters)?;
    let needs = Needs::of(&query);
    Ok(Prepared { query, needs })
}

/// A query over resources that there are few of: databases, containers, offers.
pub(super) fn over_values(body: &[u8], values: &[Value]) -> Result<Vec<Value>, Failure> {
    let Prepared { query, .. } = prepare(body)?;
    if query.is_aggregate() || query.order_by.is_some() {
        return Err(Failure::unsupported("aggregates and ORDER BY over databases, containers and offers"));
    }
    let skip = usize::try_from(query.offset.unwrap_or(0)).unwrap_or(usize::MAX);
    let take = query.top.or(query.limit).and_then(|take| usize::try_from(take).ok()).unwrap_or(usize::MAX);
    let rows = values.iter().map(Row::of_value).filter(|row| query.filter.as_ref().is_none_or(|f| passes(f, row)));
    let results = rows.skip(skip).take(take).filter_map(|row| {
        let mut out = Vec::new();
        write_selected(&query.select, &row, &mut out).then(|| serde_json::from_slice(&out).ok())?
    });
    Ok(results.collect())
}

/// How a query is to be run.
pub(super) enum Plan<'q> {
    /// Document by document, as they are found.
    Stream,
    /// All in order.
    Sort { descending: bool },
    /// One result for many documents.
    Aggregate(Totals<'q>),
}

/// A value that ORDER BY sorts by; `None` is undefined.
pub(super) type SortKey = Option<Value>;

impl Prepared {
    pub(super) fn plan(&self) -> Plan<'_> {
        match self.query.order_by {
            _ if self.query.is_aggregate() => Plan::Aggregate(Totals(Groups::new(&self.query))),
            Some((_, direction)) => Plan::Sort { descending: direction == Direction::Descending },
            None => Plan::Stream,
        }
    }

    /// What the SDKs ask for that merge the results of several partitions themselves.
    pub(super) fn plan_for_client(&self, key_path: &str) -> Result<Value, Failure> {
        Ok(plan::for_client(&self.query, self.partition_key(key_path).as_ref())?)
    }

    /// Whether documents have to be read to answer, rather than just be counted or copied.
    pub(super) fn reads(&self) -> bool {
        !self.needs.is_nothing()
    }

    /// How many results are left out at the start, and how many there are to be at most.
    pub(super) fn window(&self) -> (u64, Option<u64>) {
        let take = match (self.query.top, self.query.limit) {
            (Some(top), Some(limit)) => Some(top.min(limit)),
            (top, limit) => top.or(limit),
        };
        (self.query.offset.unwrap_or(0), take)
    }

    /// The one partition key that the filter allows, if it allows but one.
    pub(super) fn partition_key(&self, key_path: &str) -> Option<PartitionKey> {
        let name = key_path.strip_prefix('/').filter(|name| !name.contains('/'))?;
        let conditions = match self.query.filter.as_ref()? {
            Expression::And(parts) => parts.as_slice(),
            single => std::slice::from_ref(single),
        };
        conditions.iter().find_map(|condition| match condition {
            Expression::Compare(left, Comparison::Equal, right) => {
                let value = match (left.as_ref(), right.as_ref()) {
                    (property, Expression::Constant(Some(value))) if property.as_property() == Some(name) => value,
                    (Expression::Constant(Some(value)), property) if property.as_property() == Some(name) => value,
                    _ => return None,
                };
                PartitionKey::from_value(value.clone()).filter(|key| *key != PartitionKey::Undefined)
            }
            _ => None,
        })
    }

    /// Writes what the query selects of a document that passes its filter. Tells whether there is anything; where not,
    /// nothing was written.
    pub(super) fn select(&self, body: &[u8], write: &dyn Fn(&mut Vec<u8>), out: &mut Vec<u8>) -> bool {
        let row = Row::read(body, write, &self.needs);
        self.passes(&row) && write_selected(&self.query.select, &row, out)
    }

    /// What ORDER BY sorts a document by; nothing when the document does not pass the filter.
    pub(super) fn sort_key(&self, body: &[u8], write: &dyn Fn(&mut Vec<u8>)) -> Option<SortKey> {
        let row = Row::read(body, write, &self.needs);
        let (by, _) = self.query.order_by.as_ref()?;
        self.passes(&row).then(|| evaluate(by, &row).map(std::borrow::Cow::into_owned))
    }

    fn passes(&self, row: &Row<'_>) -> bool {
        self.query.filter.as_ref().is_none_or(|filter| passes(filter, row))
    }

    /// Takes a document into the totals when it passes the filter.
    pub(super) fn add(
        &self,
        totals: &mut Totals<'_>,
        body: &[u8],
        write: &dyn Fn(&mut Vec<u8>),
    ) -> Result<(), Failure> {
        let row = Row::read(body, write, &self.needs);
        if self.passes(&row) { Ok(totals.0.add(&row)?) } else { Ok(()) }
    }
}

/// The aggregates of a query, as documents come in.
pub(super) struct Totals<'q>(Groups<'q>);

impl Totals<'_> {
    /// The results, one for each group, as JSON.
    pub(super) fn finish(self) -> impl Iterator<Item = Vec<u8>> {
        self.0.finish().filter_map(|select| {
            let mut out = Vec::new();
            write_selected(&select, &Row::empty(), &mut out).then_some(out)
        })
    }
}

/// The order of two sort keys.
pub(super) fn order_keys(left: &SortKey, right: &SortKey) -> std::cmp::Ordering {
    value::order(left.as_ref(), right.as_ref())
}

/// Writes what is selected; undefined is nothing.
fn write_selected(select: &Select, row: &Row<'_>, out: &mut Vec<u8>) -> bool {
    match select {
        Select::All => {
            row.write_whole(out);
            true
        }
        Select::Value(expression) => write_value(expression, row, out),
        Select::Fields(fields) => write_object(fields, row, out),
    }
}

/// Writes a value, copying whole documents byte by byte.
fn write_value(expression: &Expression, row: &Row<'_>, out: &mut Vec<u8>) -> bool {
    match expression {
        Expression::Document => {
            row.write_whole(out);
            true
        }
        Expression::Object(fields) => write_object(fields, row, out),
        Expression::Array(parts) => {
            out.push(b'[');
            let mut is_first = true;
            for part in parts {
                write_after_comma(&mut is_first, out, |out| write_value(part, row, out));
            }
            out.push(b']');
            true
        }
        other => match evaluate(other, row) {
            // Writing to memory does not fail, and neither does a tree of JSON values.
            Some(value) => serde_json::to_writer(out, &value).is_ok(),
            None => false,
        },
    }
}

fn write_object(fields: &[(String, Expression)], row: &Row<'_>, out: &mut Vec<u8>) -> bool {
    out.push(b'{');
    let mut is_first = true;
    for (name, field) in fields {
        write_after_comma(&mut is_first, out, |out| {
            out.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
            out.push(b':');
            write_value(field, row, out)
        });
    }
    out.push(b'}');
    true
}

/// Writes an item with the comma that it needs, or nothing at all when there is no item.
fn write_after_comma(is_first: &mut bool, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> bool) {
    let start = out.len();
    if !*is_first {
        out.push(b',');
    }
    if write(out) {
        *is_first = false;
    } else {
        out.truncate(start);
    }
}
