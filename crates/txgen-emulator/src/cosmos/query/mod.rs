//! Queries: the service's SQL, from its text to results.
//!
//! Everything that the service's language has except user-defined functions, spatial functions, full-text search and
//! ORDER BY RANK, which are refused by name. The grammar stands at [`parser`], the functions at [`functions`].
//! <https://learn.microsoft.com/azure/cosmos-db/nosql/query/>

mod aggregate;
mod evaluate;
mod functions;
mod lexer;
mod like;
mod parser;
mod plan;
mod print;
mod row;
mod run;
mod syntax;
mod value;

use std::collections::HashMap;
use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::Value;

use super::failure::Failure;
use super::key_definition::KeyDefinition;
use super::partition_key::PartitionKey;
use evaluate::{Budget, Env, evaluate};
use row::{Needs, Row};
use run::Collector;
use syntax::{Comparison, DOCUMENT, Direction, Expression, Query, Select, Variable};

/// The longest query, in bytes.
pub(super) const MAX_LENGTH: usize = 256 * 1024;

/// Values by name, without the `@`.
type Parameters = HashMap<String, Value>;

/// Why a query is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("Syntax error, incorrect syntax near the end of the query: expected {what} at character {at}.")]
    Expected { what: &'static str, at: usize },
    #[error("Syntax error, incorrect syntax near '{word}': expected {what} at character {at}.")]
    Near { word: String, what: &'static str, at: usize },
    #[error("Syntax error at character {at}: {what}.")]
    Syntax { what: &'static str, at: usize },
    /// Something that the service refuses, too.
    #[error("{0}")]
    Message(String),
    #[error("This emulator does not support {0}.")]
    Unsupported(String),
    #[error("The query has the parameter @{0}, but no value came with it.")]
    Parameter(String),
    #[error("Identifier '{name}' could not be resolved: at character {at} the query knows `{known}`.")]
    Name { name: String, known: String, at: usize },
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

pub(super) use value::canonical;

/// A property that the container computes of each document.
#[derive(Clone, Debug)]
pub(super) struct Computed {
    name: String,
    of: Expression,
}

impl Computed {
    /// Reads the query of a computed property: `SELECT VALUE … FROM c`. `index` distinguishes it from the container's others.
    pub(super) fn read(name: &str, query: &str, index: usize) -> Result<Self, Problem> {
        let query = parser::parse_after(query, &Parameters::new(), (index + 1) * 1000)?;
        let only_selects = query.filter.is_none() && query.order_by.is_empty() && query.limit.is_none();
        let is_simple =
            only_selects && query.is_plain() && !query.is_aggregate() && !query.distinct && query.top.is_none();
        match query.select {
            Select::Value(of) if is_simple => Ok(Self { name: name.to_owned(), of }),
            _ => Err(Problem::Message(format!(
                "The query of the computed property '{name}' must be SELECT VALUE of one expression FROM the container, \
                 without other clauses."
            ))),
        }
    }
}

/// Reads the body of a query request: `{"query": …, "parameters": [{"name": "@…", "value": …}]}`.
pub(super) fn prepare(body: &[u8], computed: &[Computed]) -> Result<Prepared, Failure> {
    let body: Body = serde_json::from_slice(body)
        .map_err(|error| Failure::bad_request(format!("The body is not a query: {error}.")))?;
    if body.query.len() > MAX_LENGTH {
        return Err(Failure::bad_request(format!("The query is longer than {MAX_LENGTH} bytes.")));
    }
    let named = |parameter: Parameter| (parameter.name.trim_start_matches('@').to_owned(), parameter.value);
    let parameters = body.parameters.unwrap_or_default().into_iter().map(named).collect();
    let mut query = parser::parse(&body.query, &parameters)?;
    if !computed.is_empty() {
        let mut change = |part: &Expression| {
            let name = part.as_property()?;
            computed.iter().find(|computed| computed.name == name).map(|computed| computed.of.clone())
        };
        query.expressions_mut().into_iter().for_each(|expression| expression.replace(&mut change));
    }
    let needs = Needs::of(&query);
    Ok(Prepared { query, needs })
}

/// A query over resources that there are few of: databases, containers, offers.
pub(super) fn over_values(body: &[u8], values: &[Value]) -> Result<Vec<Value>, Failure> {
    let prepared = prepare(body, &[])?;
    let mut totals = Totals(Collector::new(&prepared.query));
    for value in values {
        let row = Row::of_value(value);
        prepared.collect(&mut totals, &row)?;
    }
    Ok(totals.results())
}

/// How a query is run.
pub(super) enum Plan<'q> {
    /// Document by document, as they are found.
    Stream,
    /// All in order.
    Sort,
    /// All results have to be known before the first can be returned.
    Whole(Totals<'q>),
}

/// A value that ORDER BY sorts by; `None` is undefined.
pub(super) type SortKey = Option<Value>;

impl Prepared {
    pub(super) fn plan(&self) -> Plan<'_> {
        let query = &self.query;
        if query.is_aggregate() || query.distinct || query.sources.is_empty() {
            Plan::Whole(Totals(Collector::new(query)))
        } else if query.order_by.is_empty() {
            Plan::Stream
        } else {
            Plan::Sort
        }
    }

    /// Whether the results of several partitions have to be merged by the client, by a plan.
    pub(super) fn needs_merging(&self) -> bool {
        let Query { top, limit, order_by, distinct, .. } = &self.query;
        self.query.is_aggregate() || top.is_some() || limit.is_some() || !order_by.is_empty() || *distinct
    }

    /// Whether an aggregate is selected as a field of a result, which the service never merges by itself.
    pub(super) fn selects_aggregate_fields(&self) -> bool {
        let Query { select, group_by, .. } = &self.query;
        self.query.is_aggregate() && group_by.is_empty() && matches!(select, Select::Fields(_))
    }

    /// What the SDKs ask for that merge the results of several partitions themselves.
    pub(super) fn plan_for_client(&self, bounds: &(String, String), features: &str) -> Result<Value, Failure> {
        Ok(plan::for_client(&self.query, bounds, features)?)
    }

    /// Whether documents have to be read to answer, rather than just be counted or copied.
    pub(super) fn reads(&self) -> bool {
        !self.needs.is_nothing()
    }

    /// How many results are left out at the start, and the most there may be.
    pub(super) fn window(&self) -> (u64, Option<u64>) {
        (self.query.offset.unwrap_or(0), self.query.top.or(self.query.limit))
    }

    /// The parts of the partition key that the filter allows but one value of, from the first path on.
    pub(super) fn partition_key(&self, definition: &KeyDefinition) -> Vec<PartitionKey> {
        let value = |path: &Vec<String>| {
            self.query.conditions().iter().find_map(|condition| {
                let Expression::Compare(left, Comparison::Equal, right) = condition else { return None };
                let is_path = |side: &Expression| side.as_path().is_some_and(|found| found == *path);
                match (left.as_ref(), right.as_ref()) {
                    (side, Expression::Constant(Some(value))) | (Expression::Constant(Some(value)), side)
                        if is_path(side) =>
                    {
                        PartitionKey::from_value(value.clone()).filter(|key| *key != PartitionKey::Undefined)
                    }
                    _ => None,
                }
            })
        };
        definition.paths().iter().map_while(value).collect()
    }

    /// Calls `each` with each result of a document, as JSON, until it wants no more.
    pub(super) fn select(
        &self,
        body: &[u8],
        write: &dyn Fn(&mut Vec<u8>),
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let row = Row::read(body, write, &self.needs);
        let mut out = Vec::new();
        self.each_row(&row, &mut |env| {
            out.clear();
            if write_selected(&self.query.select, env, &mut out) { each(&out) } else { ControlFlow::Continue(()) }
        })
    }

    /// Calls `each` with what ORDER BY sorts each result of a document by, and the result's number in the document.
    pub(super) fn sort_keys(
        &self,
        body: &[u8],
        write: &dyn Fn(&mut Vec<u8>),
        each: &mut dyn FnMut(Vec<SortKey>, u64),
    ) -> Result<(), Failure> {
        let row = Row::read(body, write, &self.needs);
        let mut number = 0;
        self.each_row(&row, &mut |env| {
            each(run::sort_keys(&self.query.order_by, env), number);
            number += 1;
            ControlFlow::Continue(())
        })
    }

    /// Writes the result with this number in a document. Tells whether there is one.
    pub(super) fn select_nth(&self, body: &[u8], write: &dyn Fn(&mut Vec<u8>), nth: u64, out: &mut Vec<u8>) -> bool {
        let row = Row::read(body, write, &self.needs);
        let (mut number, mut is_there) = (0, false);
        let done = self.each_row(&row, &mut |env| {
            if number == nth {
                is_there = write_selected(&self.query.select, env, out);
                return ControlFlow::Break(());
            }
            number += 1;
            ControlFlow::Continue(())
        });
        done.is_ok() && is_there
    }

    /// The order of two results with these keys.
    pub(super) fn order(&self, left: &[SortKey], right: &[SortKey]) -> std::cmp::Ordering {
        run::order_keys(&self.query.order_by, left, right)
    }

    /// Takes a document into the totals when it passes the filter.
    pub(super) fn add(
        &self,
        totals: &mut Totals<'_>,
        body: &[u8],
        write: &dyn Fn(&mut Vec<u8>),
    ) -> Result<(), Failure> {
        self.collect(totals, &Row::read(body, write, &self.needs))
    }

    fn collect(&self, totals: &mut Totals<'_>, row: &Row<'_>) -> Result<(), Failure> {
        let mut problem = None;
        self.each_row(row, &mut |env| match totals.0.add(env) {
            Ok(()) => ControlFlow::Continue(()),
            Err(found) => {
                problem = Some(found);
                ControlFlow::Break(())
            }
        })?;
        problem.map_or(Ok(()), |problem| Err(problem.into()))
    }

    /// Whether documents are looked at for their own sake, rather than counted.
    pub(super) fn retrieves(&self) -> bool {
        !self.query.is_aggregate()
    }

    /// The paths that the filter and ORDER BY look at, as indexes have them: `/a/b/?`.
    pub(super) fn filtered_paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let sorted = self.query.order_by.iter().map(|(by, _)| by);
        for expression in self.query.filter.iter().chain(sorted) {
            expression.walk(&mut |part| {
                if let Some(path) = part.as_path().filter(|path| !path.is_empty()) {
                    let path = format!("/{}/?", path.join("/"));
                    // A path's beginnings are no paths of their own: they are visited after it.
                    if !paths.iter().any(|longer: &String| longer.starts_with(path.trim_end_matches('?'))) {
                        paths.push(path);
                    }
                }
            });
        }
        paths
    }

    /// The paths that a composite index for ORDER BY would have: `/a ASC`.
    pub(super) fn composite_paths(&self) -> Vec<String> {
        let paths = self.query.order_by.iter().filter_map(|(by, direction)| {
            let direction = if *direction == Direction::Descending { "DESC" } else { "ASC" };
            Some(format!("/{} {direction}", by.as_path()?.join("/")))
        });
        paths.collect()
    }

    /// Whether the query looks at no documents at all: `SELECT 1`.
    pub(super) fn has_no_source(&self) -> bool {
        self.query.sources.is_empty()
    }

    fn each_row(&self, row: &Row<'_>, each: &mut dyn FnMut(Env<'_>) -> ControlFlow<()>) -> Result<(), Failure> {
        let budget = Budget::new();
        let _ = run::each_row(&self.query, Env::new(row, &budget), each);
        if budget.is_exceeded() {
            return Err(Failure::unsupported("a query that looks at so many rows in one document"));
        }
        Ok(())
    }
}

/// All results of a query, as documents come in.
pub(super) struct Totals<'q>(Collector<'q>);

impl Totals<'_> {
    /// Takes in a row that has nothing to do with any document.
    pub(super) fn add_nothing(&mut self) -> Result<(), Failure> {
        Ok(self.0.add(Env::new(&Row::empty(), &Budget::new()))?)
    }

    /// The results as values; an aggregate that is undefined is none.
    pub(super) fn results(self) -> Vec<Value> {
        self.0.finish(Env::new(&Row::empty(), &Budget::new())).into_iter().flatten().collect()
    }
}

/// Writes what is selected; undefined is nothing.
fn write_selected(select: &Select, env: Env<'_>, out: &mut Vec<u8>) -> bool {
    match select {
        Select::All(variable) => write_variable(variable, env, out),
        Select::Value(expression) => write_value(expression, env, out),
        Select::Fields(fields) => write_object(fields, env, out),
    }
}

/// Writes what a name stands for, copying whole documents byte by byte.
fn write_variable(variable: &Variable, env: Env<'_>, out: &mut Vec<u8>) -> bool {
    if variable.slot == DOCUMENT {
        env.row.write_whole(out);
        return true;
    }
    // Writing to memory does not fail, and neither does a tree of JSON values.
    env.variable(variable.slot).is_some_and(|value| serde_json::to_writer(out, value).is_ok())
}

fn write_value(expression: &Expression, env: Env<'_>, out: &mut Vec<u8>) -> bool {
    match expression {
        Expression::Variable(variable) => write_variable(variable, env, out),
        Expression::Object(fields) => write_object(fields, env, out),
        Expression::Array(parts) => {
            out.push(b'[');
            let mut is_first = true;
            for part in parts {
                write_after_comma(&mut is_first, out, |out| write_value(part, env, out));
            }
            out.push(b']');
            true
        }
        other => match evaluate(other, env) {
            Some(value) => serde_json::to_writer(out, &value).is_ok(),
            None => false,
        },
    }
}

fn write_object(fields: &[(String, Expression)], env: Env<'_>, out: &mut Vec<u8>) -> bool {
    out.push(b'{');
    let mut is_first = true;
    for (name, field) in fields {
        write_after_comma(&mut is_first, out, |out| {
            out.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
            out.push(b':');
            write_value(field, env, out)
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
