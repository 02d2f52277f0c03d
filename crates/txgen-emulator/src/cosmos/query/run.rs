//! The rows of a query, and what it makes of them: for subqueries, and for queries whose results have to be known all
//! before the first can be handed out.

use std::collections::HashSet;
use std::ops::ControlFlow;

use serde_json::Value;

use super::aggregate::Groups;
use super::evaluate::{Env, evaluate, passes};
use super::syntax::{Direction, Expression, Over, Query, Select, Source};
use super::value::{canonical, order};
use super::{Problem, SortKey};

/// Results at most that are held in memory.
const MAX_RESULTS: usize = 100_000;

/// Calls `visit` with each row of a query that passes its filter.
pub(super) fn each_row(
    query: &Query,
    env: Env<'_>,
    visit: &mut dyn FnMut(Env<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    each_of(&query.sources, env, &mut |env| {
        if query.filter.as_ref().is_none_or(|filter| passes(filter, env)) {
            visit(env)
        } else {
            ControlFlow::Continue(())
        }
    })
}

fn each_of(sources: &[Source], env: Env<'_>, visit: &mut dyn FnMut(Env<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
    let Some((first, rest)) = sources.split_first() else {
        return if env.budget().spend() { visit(env) } else { ControlFlow::Break(()) };
    };
    let variable = &first.variable;
    match &first.over {
        Over::Documents => each_of(rest, env, visit),
        Over::Value(expression) => match evaluate(expression, env) {
            Some(value) => env.bind(variable, &value, |env| each_of(rest, env, visit)),
            None => ControlFlow::Continue(()),
        },
        Over::Elements(expression) => {
            if let Some(Value::Array(items)) = evaluate(expression, env).as_deref() {
                for item in items {
                    env.bind(variable, item, |env| each_of(rest, env, visit))?;
                }
            }
            ControlFlow::Continue(())
        }
    }
}

/// Whether a subquery has a result.
pub(super) fn exists(query: &Query, env: Env<'_>) -> bool {
    if query.is_aggregate() || query.offset.is_some() || query.top == Some(0) {
        return !results(query, env).is_empty();
    }
    each_row(query, env, &mut |env| match selected(&query.select, env) {
        Some(_) => ControlFlow::Break(()),
        None => ControlFlow::Continue(()),
    })
    .is_break()
}

/// The results of a subquery. One that would have too many uses up the budget, and has none.
pub(super) fn results(query: &Query, env: Env<'_>) -> Vec<Value> {
    let mut collector = Collector::new(query);
    let _ = each_row(query, env, &mut |env| match collector.add(env) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => {
            while env.budget().spend() {}
            ControlFlow::Break(())
        }
    });
    collector.finish(env).into_iter().flatten().collect()
}

/// What a row gives; nothing where it is undefined.
pub(super) fn selected(select: &Select, env: Env<'_>) -> Option<Value> {
    match select {
        Select::All(variable) => env.variable(variable.slot).cloned(),
        Select::Value(expression) => evaluate(expression, env).map(std::borrow::Cow::into_owned),
        Select::Fields(fields) => {
            let values =
                fields.iter().filter_map(|(name, part)| Some((name.clone(), evaluate(part, env)?.into_owned())));
            Some(Value::Object(values.collect()))
        }
    }
}

/// What ORDER BY sorts a row by.
pub(super) fn sort_keys(order_by: &[(Expression, Direction)], env: Env<'_>) -> Vec<SortKey> {
    order_by.iter().map(|(by, _)| evaluate(by, env).map(std::borrow::Cow::into_owned)).collect()
}

/// The order of two rows with these keys.
pub(super) fn order_keys(
    order_by: &[(Expression, Direction)],
    left: &[SortKey],
    right: &[SortKey],
) -> std::cmp::Ordering {
    let ordered = order_by.iter().zip(left.iter().zip(right)).map(|((_, direction), (left, right))| {
        let order = order(left.as_ref(), right.as_ref());
        if *direction == Direction::Descending { order.reverse() } else { order }
    });
    ordered.into_iter().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
}

/// The results of a query, as rows come in.
pub(super) struct Collector<'q> {
    query: &'q Query,
    groups: Option<Groups<'q>>,
    found: Vec<(Vec<SortKey>, Option<Value>)>,
    /// With DISTINCT, the results so far.
    seen: HashSet<String>,
}

impl<'q> Collector<'q> {
    pub(super) fn new(query: &'q Query) -> Self {
        let groups = query.is_aggregate().then(|| Groups::new(query));
        Self { query, groups, found: Vec::new(), seen: HashSet::new() }
    }

    /// Takes in a row that passed the filter.
    pub(super) fn add(&mut self, env: Env<'_>) -> Result<(), Problem> {
        if let Some(groups) = &mut self.groups {
            return groups.add(env);
        }
        let result = selected(&self.query.select, env);
        if result.is_none() || self.query.distinct && !self.seen.insert(canonical(result.as_ref())) {
            return Ok(());
        }
        if self.found.len() >= MAX_RESULTS {
            return Err(Problem::unsupported(format!("more than {MAX_RESULTS} results of a query with DISTINCT")));
        }
        self.found.push((sort_keys(&self.query.order_by, env), result));
        Ok(())
    }

    /// The results; `None` is the one of an aggregate that is undefined. `env` is what is around the query.
    pub(super) fn finish(self, env: Env<'_>) -> Vec<Option<Value>> {
        let Self { query, groups, mut found, mut seen } = self;
        let mut results: Vec<_> = match groups {
            Some(groups) => groups.finish().map(|select| selected(&select, env)).collect(),
            None => {
                found.sort_by(|(left, _), (right, _)| order_keys(&query.order_by, left, right));
                found.into_iter().map(|(_, result)| result).collect()
            }
        };
        if query.is_aggregate() && query.distinct {
            results.retain(|result| seen.insert(canonical(result.as_ref())));
        }
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let skip = query.offset.map_or(0, count);
        let take = query.top.or(query.limit).map_or(usize::MAX, count);
        results.into_iter().skip(skip).take(take).collect()
    }
}
