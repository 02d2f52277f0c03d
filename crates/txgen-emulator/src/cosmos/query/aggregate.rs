//! Aggregates, by group or over everything.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Problem;
use super::evaluate::evaluate;
use super::row::Row;
use super::syntax::{Aggregate, Expression, Query, Select};
use super::value::{number, order};

/// Groups at most: all are held in memory.
const MAX_GROUPS: usize = 100_000;

/// The aggregates of a query, as documents come in.
pub(super) struct Groups<'q> {
    query: &'q Query,
    /// All aggregates, in the order in which [`Expression::replaced`] comes by them.
    aggregates: Vec<(Aggregate, &'q Expression)>,
    /// By the value that is grouped by, as JSON; undefined is the empty text.
    groups: BTreeMap<String, (Option<Value>, Vec<Accumulator>)>,
}

impl<'q> Groups<'q> {
    pub(super) fn new(query: &'q Query) -> Self {
        let mut aggregates = Vec::new();
        for expression in query.select.expressions() {
            expression.walk(&mut |part| {
                if let Expression::Aggregate(aggregate, of) = part {
                    aggregates.push((*aggregate, of.as_ref()));
                }
            });
        }
        let mut groups = BTreeMap::new();
        if query.group_by.is_none() {
            // Nothing at all has a count, too.
            groups.insert(String::new(), (None, vec![Accumulator::default(); aggregates.len()]));
        }
        Self { query, aggregates, groups }
    }

    /// Takes in a document that passed the filter.
    pub(super) fn add(&mut self, row: &Row<'_>) -> Result<(), Problem> {
        let by = self.query.group_by.as_ref().and_then(|by| evaluate(by, row));
        let key = by.as_deref().map(Value::to_string).unwrap_or_default();
        if self.groups.len() >= MAX_GROUPS && !self.groups.contains_key(&key) {
            return Err(Problem::unsupported(format!("more than {MAX_GROUPS} groups")));
        }
        let count = self.aggregates.len();
        let (_, accumulators) = self
            .groups
            .entry(key)
            .or_insert_with(|| (by.map(std::borrow::Cow::into_owned), vec![Accumulator::default(); count]));
        for (accumulator, (_, of)) in accumulators.iter_mut().zip(&self.aggregates) {
            accumulator.add(evaluate(of, row).as_deref());
        }
        Ok(())
    }

    /// What the query selects, once for each group: with the results where the aggregates stood.
    pub(super) fn finish(self) -> impl Iterator<Item = Select> {
        let Self { query, aggregates, groups } = self;
        groups.into_values().map(move |(by, accumulators)| {
            let mut results =
                aggregates.iter().zip(accumulators).map(|((kind, _), accumulator)| accumulator.result(*kind));
            let mut replaced = |expression: &Expression| {
                expression.replaced(&mut |part| match part {
                    Expression::Aggregate(..) => Some(Expression::Constant(results.next().flatten())),
                    part if Some(part) == query.group_by.as_ref() => Some(Expression::Constant(by.clone())),
                    _ => None,
                })
            };
            match &query.select {
                Select::All => Select::All,
                Select::Value(expression) => Select::Value(replaced(expression)),
                Select::Fields(fields) => {
                    Select::Fields(fields.iter().map(|(name, field)| (name.clone(), replaced(field))).collect())
                }
            }
        })
    }
}

/// What all aggregates of one expression need to know.
#[derive(Clone, Debug, Default)]
struct Accumulator {
    defined: u64,
    numbers: u64,
    sum: f64,
    least: Option<Value>,
    greatest: Option<Value>,
}

impl Accumulator {
    fn add(&mut self, value: Option<&Value>) {
        let Some(value) = value else { return };
        self.defined += 1;
        if let Some(number) = value.as_f64() {
            self.numbers += 1;
            self.sum += number;
        }
        if self.least.is_none() || order(Some(value), self.least.as_ref()).is_lt() {
            self.least = Some(value.clone());
        }
        if self.greatest.is_none() || order(Some(value), self.greatest.as_ref()).is_gt() {
            self.greatest = Some(value.clone());
        }
    }

    /// <https://learn.microsoft.com/azure/cosmos-db/nosql/query/sum>: one value that is no number makes a sum undefined.
    fn result(self, kind: Aggregate) -> Option<Value> {
        let all_numbers = self.numbers == self.defined && self.numbers > 0;
        match kind {
            Aggregate::Count => Some(Value::from(self.defined)),
            Aggregate::Sum => all_numbers.then(|| number(self.sum)),
            // Counts are far below 2^52.
            #[allow(clippy::cast_precision_loss)]
            Aggregate::Average => all_numbers.then(|| number(self.sum / self.numbers as f64)),
            Aggregate::Min => self.least,
            Aggregate::Max => self.greatest,
        }
    }
}
