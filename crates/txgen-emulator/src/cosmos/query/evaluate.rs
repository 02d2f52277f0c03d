//! The value of an expression for one row.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;

use serde_json::Value;

use super::like;
use super::row::Row;
use super::run;
use super::syntax::{Comparison, DOCUMENT, Expression, Operator, Query, Step, Subquery, Variable};
use super::value::{compare, number};

/// Rows that JOINs and subqueries may look at for one document.
const MAX_ROWS: u64 = 1_000_000;

/// A value, or undefined.
pub(super) type Found<'a> = Option<Cow<'a, Value>>;

/// What expressions are evaluated over: the document, and what FROM and JOIN have got to in it.
#[derive(Clone, Copy)]
pub(super) struct Env<'a> {
    pub(super) row: &'a Row<'a>,
    bound: Option<&'a Bound<'a>>,
    budget: &'a Budget,
}

/// Something that a name stands for.
struct Bound<'a> {
    slot: usize,
    value: &'a Value,
    outer: Option<&'a Self>,
}

/// How many rows may still be looked at.
#[derive(Debug)]
pub(super) struct Budget(Cell<u64>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Cell::new(MAX_ROWS))
    }

    /// Takes one row, if there is one.
    pub(super) fn spend(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }

    /// Whether more rows were wanted than there may be.
    pub(super) fn is_exceeded(&self) -> bool {
        self.0.get() == 0
    }
}

impl<'a> Env<'a> {
    pub(super) fn new(row: &'a Row<'a>, budget: &'a Budget) -> Self {
        Self { row, bound: None, budget }
    }

    pub(super) fn budget(&self) -> &'a Budget {
        self.budget
    }

    /// Calls `then` with a name for this value.
    pub(super) fn bind<R>(self, variable: &Variable, value: &Value, then: impl FnOnce(Env<'_>) -> R) -> R {
        let bound = Bound { slot: variable.slot, value, outer: self.bound };
        then(Env { row: self.row, bound: Some(&bound), budget: self.budget })
    }

    pub(super) fn variable(&self, slot: usize) -> Option<&'a Value> {
        if slot == DOCUMENT {
            return Some(self.row.properties());
        }
        let mut bound = self.bound;
        while let Some(found) = bound {
            if found.slot == slot {
                return Some(found.value);
            }
            bound = found.outer;
        }
        None
    }
}

/// Whether a row passes a filter: only what is true does.
pub(super) fn passes(filter: &Expression, env: Env<'_>) -> bool {
    matches!(evaluate(filter, env).as_deref(), Some(Value::Bool(true)))
}

/// The value of an expression without aggregates.
pub(super) fn evaluate<'a>(expression: &'a Expression, env: Env<'a>) -> Found<'a> {
    match expression {
        Expression::Variable(variable) => env.variable(variable.slot).map(Cow::Borrowed),
        Expression::Constant(value) => value.as_ref().map(Cow::Borrowed),
        Expression::Member(inner, step) => member(evaluate(inner, env)?, step),
        Expression::Index(pair) => {
            let step = match evaluate(&pair.1, env)?.as_ref() {
                Value::String(name) => Step::Property(name.clone()),
                Value::Number(index) => Step::Element(usize::try_from(index.as_u64()?).ok()?),
                _ => return None,
            };
            member(evaluate(&pair.0, env)?, &step)
        }
        Expression::Not(inner) => truth(evaluate(inner, env).as_deref()).map(|truth| owned(!truth)),
        Expression::Negative(inner) => as_number(&evaluate(inner, env)).map(|value| Cow::Owned(number(-value))),
        Expression::Complement(inner) => integer(evaluate(inner, env)?.as_ref()).map(|bits| from_bits(!bits)),
        Expression::And(parts) => all(parts, env, false),
        Expression::Or(parts) => all(parts, env, true),
        Expression::Coalesce(parts) => parts.iter().find_map(|part| evaluate(part, env)),
        Expression::Conditional(three) => {
            let (condition, then, otherwise) = three.as_ref();
            evaluate(if passes(condition, env) { then } else { otherwise }, env)
        }
        Expression::Compare(left, comparison, right) => {
            holds(*comparison, &evaluate(left, env), &evaluate(right, env)).map(owned)
        }
        Expression::In(inner, parts) => is_in(inner, parts, env),
        Expression::Between(inner, bounds) => {
            let value = evaluate(inner, env);
            let above = holds(Comparison::GreaterOrEqual, &value, &evaluate(&bounds.0, env))?;
            let below = holds(Comparison::LessOrEqual, &value, &evaluate(&bounds.1, env))?;
            Some(owned(above && below))
        }
        Expression::Like(pair, escape) => {
            let (text, pattern) = (evaluate(&pair.0, env)?, evaluate(&pair.1, env)?);
            Some(owned(like::matches(text.as_str()?, pattern.as_str()?, *escape)))
        }
        Expression::Arithmetic(first, rest) => {
            let mut value = evaluate(first, env)?;
            for (operator, operand) in rest {
                value = Cow::Owned(operate(*operator, &value, &*evaluate(operand, env)?)?);
            }
            Some(value)
        }
        Expression::Call(function, arguments) => {
            let values: Vec<_> = arguments.iter().map(|argument| evaluate(argument, env)).collect();
            function.call(&values).map(Cow::Owned)
        }
        // Replaced by their results before anything is evaluated.
        Expression::Aggregate(..) => None,
        Expression::Array(parts) => {
            let values = parts.iter().filter_map(|part| evaluate(part, env)).map(Cow::into_owned);
            Some(Cow::Owned(Value::Array(values.collect())))
        }
        Expression::Object(fields) => {
            let values =
                fields.iter().filter_map(|(name, part)| Some((name.clone(), evaluate(part, env)?.into_owned())));
            Some(Cow::Owned(Value::Object(values.collect())))
        }
        Expression::Subquery(kind, query) => subquery(*kind, query, env),
    }
}

fn subquery<'a>(kind: Subquery, query: &Query, env: Env<'_>) -> Found<'a> {
    // A subquery that fails has asked for too many rows or groups, which the budget shows.
    match kind {
        Subquery::Exists => Some(owned(run::exists(query, env))),
        Subquery::Array => Some(Cow::Owned(Value::Array(run::results(query, env)))),
        Subquery::Scalar => run::results(query, env).into_iter().next().map(Cow::Owned),
    }
}

fn owned<'a>(truth: bool) -> Cow<'a, Value> {
    Cow::Owned(Value::Bool(truth))
}

fn truth(value: Option<&Value>) -> Option<bool> {
    value.and_then(Value::as_bool)
}

/// Undefined where nothing was equal and something could not be compared.
fn is_in<'a>(inner: &'a Expression, parts: &'a [Expression], env: Env<'a>) -> Found<'a> {
    let value = evaluate(inner, env);
    let mut outcome = value.is_some().then_some(false);
    for part in parts {
        match holds(Comparison::Equal, &value, &evaluate(part, env)) {
            Some(true) => return Some(owned(true)),
            Some(false) => {}
            None => outcome = None,
        }
    }
    outcome.map(owned)
}

/// AND (`decisive` is false) or OR (`decisive` is true) of three-valued truths.
fn all<'a>(parts: &'a [Expression], env: Env<'a>, decisive: bool) -> Found<'a> {
    let mut outcome = Some(!decisive);
    for part in parts {
        match truth(evaluate(part, env).as_deref()) {
            Some(truth) if truth == decisive => return Some(owned(decisive)),
            Some(_) => {}
            None => outcome = None,
        }
    }
    outcome.map(owned)
}

fn member<'a>(inner: Cow<'a, Value>, step: &Step) -> Found<'a> {
    match (inner, step) {
        (Cow::Borrowed(inner), Step::Property(name)) => inner.get(name).map(Cow::Borrowed),
        (Cow::Borrowed(inner), Step::Element(index)) => inner.get(index).map(Cow::Borrowed),
        (Cow::Owned(mut inner), Step::Property(name)) => inner.get_mut(name).map(|value| Cow::Owned(value.take())),
        (Cow::Owned(mut inner), Step::Element(index)) => inner.get_mut(index).map(|value| Cow::Owned(value.take())),
    }
}

fn holds(comparison: Comparison, left: &Found<'_>, right: &Found<'_>) -> Option<bool> {
    let order = compare(left.as_deref(), right.as_deref())?;
    let (left, right) = (left.as_deref()?, right.as_deref()?);
    let is_complex = |value: &Value| value.is_array() || value.is_object();
    match comparison {
        Comparison::Equal => Some(order == Ordering::Equal),
        Comparison::NotEqual => Some(order != Ordering::Equal),
        // Arrays and objects are equal or not, but neither is the less.
        _ if is_complex(left) || is_complex(right) => None,
        Comparison::Less => Some(order == Ordering::Less),
        Comparison::LessOrEqual => Some(order != Ordering::Greater),
        Comparison::Greater => Some(order == Ordering::Greater),
        Comparison::GreaterOrEqual => Some(order != Ordering::Less),
    }
}

fn as_number(value: &Found<'_>) -> Option<f64> {
    value.as_deref().and_then(Value::as_f64)
}

/// The bits of a whole number, as the bitwise operators take it: 32 of them, as JavaScript has it.
fn integer(value: &Value) -> Option<i32> {
    let number = value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9.2e18)?;
    // Exact by the line above, and cut to 32 bits on purpose.
    #[allow(clippy::cast_possible_truncation)]
    Some(number as i64 as i32)
}

fn from_bits<'a>(bits: i32) -> Cow<'a, Value> {
    Cow::Owned(Value::from(bits))
}

fn operate(operator: Operator, left: &Value, right: &Value) -> Option<Value> {
    if operator == Operator::Concatenate {
        return Some(Value::String(format!("{}{}", left.as_str()?, right.as_str()?)));
    }
    if let Some(result) = operate_on_bits(operator, left, right) {
        return result;
    }
    let (left, right) = (left.as_f64()?, right.as_f64()?);
    let result = match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        Operator::Remainder => left % right,
        _ => return None,
    };
    result.is_finite().then(|| number(result))
}

/// The result of a bitwise operator; nothing for the others.
#[allow(clippy::cast_sign_loss, reason = "shifts count bits, of which the low five count")]
fn operate_on_bits(operator: Operator, left: &Value, right: &Value) -> Option<Option<Value>> {
    let apply: fn(i32, i32) -> i64 = match operator {
        Operator::BitAnd => |left, right| (left & right).into(),
        Operator::BitOr => |left, right| (left | right).into(),
        Operator::BitXor => |left, right| (left ^ right).into(),
        Operator::ShiftLeft => |left, right| left.wrapping_shl(right as u32).into(),
        Operator::ShiftRight => |left, right| left.wrapping_shr(right as u32).into(),
        Operator::ShiftRightZero => |left, right| (left as u32).wrapping_shr(right as u32).into(),
        _ => return None,
    };
    Some(integer(left).zip(integer(right)).map(|(left, right)| Value::from(apply(left, right))))
}

#[cfg(test)]
mod tests;
