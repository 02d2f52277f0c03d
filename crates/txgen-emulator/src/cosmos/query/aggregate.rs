//! Aggregates, by group or over everything.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Problem;
use super::evaluate::{Env, evaluate};
use super::syntax::{Aggregate, Expression, Query, Select};
use super::value::{canonical, number, order};

/// Groups at most: all are held in memory.
const MAX_GROUPS: usize = 100_000;

/// The aggregates of a query, as documents come in.
pub(super) struct Groups<'q> {
    query: &'q Query,
    /// All aggregates, in the order in which [`Expression::replace`] comes by them.
    aggregates: Vec<(Aggregate, &'q Expression)>,
    /// By the values that are grouped by, as JSON; undefined is the empty text.
    groups: BTreeMap<Vec<String>, Group>,
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
        if query.group_by.is_empty() {
            // Nothing at all has a count, too.
            groups.insert(Vec::new(), (Vec::new(), vec![Accumulator::default(); aggregates.len()]));
        }
        Self { query, aggregates, groups }
    }

    /// Takes in a row that passed the filter.
    pub(super) fn add(&mut self, env: Env<'_>) -> Result<(), Problem> {
        let by: Vec<_> = self.query.group_by.iter().map(|by| evaluate(by, env)).collect();
        let key: Vec<_> = by.iter().map(|value| canonical(value.as_deref())).collect();
        if self.groups.len() >= MAX_GROUPS && !self.groups.contains_key(&key) {
            return Err(Problem::unsupported(format!("more than {MAX_GROUPS} groups")));
        }
        let count = self.aggregates.len();
        let (_, accumulators) = self.groups.entry(key).or_insert_with(|| {
            let by = by.into_iter().map(|value| value.map(std::borrow::Cow::into_owned)).collect();
            (by, vec![Accumulator::default(); count])
        });
        for (accumulator, (_, of)) in accumulators.iter_mut().zip(&self.aggregates) {
            accumulator.add(evaluate(of, env).as_deref());
        }
        Ok(())
    }

    /// What the query selects, once for each group: with the results where the aggregates stood.
    pub(super) fn finish(self) -> impl Iterator<Item = Select> {
        let Self { query, aggregates, groups } = self;
        groups.into_values().map(move |(by, accumulators)| {
            let mut results =
                aggregates.iter().zip(accumulators).map(|((kind, _), accumulator)| accumulator.result(*kind));
            let grouped = |part: &Expression| {
                let index = query.group_by.iter().position(|grouped| grouped == part)?;
                Some(Expression::Constant(by.get(index).cloned().flatten()))
            };
            let mut change = |part: &Expression| match part {
                Expression::Aggregate(..) => Some(Expression::Constant(results.next().flatten())),
                // The aggregates of a subquery are its own.
                Expression::Subquery(..) => {
                    let mut inner = part.clone();
                    inner.replace(&mut |part| grouped(part));
                    Some(inner)
                }
                part => grouped(part),
            };
            let mut select = query.select.clone();
            select.expressions_mut().into_iter().for_each(|expression| expression.replace(&mut change));
            select
        })
    }
}

/// The values that a group is made by, and its aggregates.
type Group = (Vec<Option<Value>>, Vec<Accumulator>);

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
