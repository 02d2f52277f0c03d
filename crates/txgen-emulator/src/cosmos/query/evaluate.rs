//! The value of an expression for one document.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::row::Row;
use super::syntax::{Comparison, Expression, Function, Operator, Step};
use super::value::{compare, number};

/// A value, or undefined.
pub(super) type Found<'a> = Option<Cow<'a, Value>>;

/// Whether a document passes a filter: only what is true does.
pub(super) fn passes(filter: &Expression, row: &Row<'_>) -> bool {
    matches!(evaluate(filter, row).as_deref(), Some(Value::Bool(true)))
}

/// The value of an expression without aggregates.
pub(super) fn evaluate<'a>(expression: &'a Expression, row: &'a Row<'_>) -> Found<'a> {
    match expression {
        Expression::Document => Some(Cow::Borrowed(row.properties())),
        Expression::Constant(value) => value.as_ref().map(Cow::Borrowed),
        Expression::Member(inner, step) => member(evaluate(inner, row)?, step),
        Expression::Not(inner) => truth(evaluate(inner, row).as_deref()).map(|truth| owned(!truth)),
        Expression::Negative(inner) => as_number(&evaluate(inner, row)).map(|value| Cow::Owned(number(-value))),
        Expression::And(parts) => all(parts, row, false),
        Expression::Or(parts) => all(parts, row, true),
        Expression::Compare(left, comparison, right) => {
            holds(*comparison, &evaluate(left, row), &evaluate(right, row)).map(owned)
        }
        Expression::In(inner, parts) => {
            let value = evaluate(inner, row);
            // Undefined where nothing was equal and something could not be compared.
            let mut outcome = value.is_some().then_some(false);
            for part in parts {
                match holds(Comparison::Equal, &value, &evaluate(part, row)) {
                    Some(true) => return Some(owned(true)),
                    Some(false) => {}
                    None => outcome = None,
                }
            }
            outcome.map(owned)
        }
        Expression::Between(inner, bounds) => {
            let value = evaluate(inner, row);
            let above = holds(Comparison::GreaterOrEqual, &value, &evaluate(&bounds.0, row))?;
            let below = holds(Comparison::LessOrEqual, &value, &evaluate(&bounds.1, row))?;
            Some(owned(above && below))
        }
        Expression::Arithmetic(first, rest) => {
            let mut value = evaluate(first, row)?;
            for (operator, operand) in rest {
                value = Cow::Owned(operate(*operator, &value, &*evaluate(operand, row)?)?);
            }
            Some(value)
        }
        Expression::Call(function, arguments) => call(*function, arguments, row),
        // Replaced by their results before anything is evaluated.
        Expression::Aggregate(..) => None,
        Expression::Array(parts) => {
            let values = parts.iter().filter_map(|part| evaluate(part, row)).map(Cow::into_owned);
            Some(Cow::Owned(Value::Array(values.collect())))
        }
        Expression::Object(fields) => {
            let values =
                fields.iter().filter_map(|(name, part)| Some((name.clone(), evaluate(part, row)?.into_owned())));
            Some(Cow::Owned(Value::Object(values.collect())))
        }
    }
}

fn owned<'a>(truth: bool) -> Cow<'a, Value> {
    Cow::Owned(Value::Bool(truth))
}

fn truth(value: Option<&Value>) -> Option<bool> {
    value.and_then(Value::as_bool)
}

/// AND (`decisive` is false) or OR (`decisive` is true) of three-valued truths.
fn all<'a>(parts: &'a [Expression], row: &'a Row<'_>, decisive: bool) -> Found<'a> {
    let mut outcome = Some(!decisive);
    for part in parts {
        match truth(evaluate(part, row).as_deref()) {
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

fn operate(operator: Operator, left: &Value, right: &Value) -> Option<Value> {
    if operator == Operator::Concatenate {
        return Some(Value::String(format!("{}{}", left.as_str()?, right.as_str()?)));
    }
    let (left, right) = (left.as_f64()?, right.as_f64()?);
    let result = match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        Operator::Remainder => left % right,
        Operator::Concatenate => return None,
    };
    result.is_finite().then(|| number(result))
}

fn call<'a>(function: Function, arguments: &'a [Expression], row: &'a Row<'_>) -> Found<'a> {
    let argument = |index: usize| arguments.get(index).and_then(|argument| evaluate(argument, row));
    let first = argument(0);
    let found = first.as_deref();
    let check = |is: fn(&Value) -> bool| Some(owned(found.is_some_and(is)));
    let on_number = |f: fn(f64) -> f64| as_number(&first).map(|value| Cow::Owned(number(f(value))));
    match function {
        Function::IsDefined => Some(owned(found.is_some())),
        Function::IsNull => check(Value::is_null),
        Function::IsBool => check(Value::is_boolean),
        Function::IsNumber => check(Value::is_number),
        Function::IsInteger => check(|value| value.as_f64().is_some_and(|value| value.fract() == 0.0)),
        Function::IsString => check(Value::is_string),
        Function::IsArray => check(Value::is_array),
        Function::IsObject => check(Value::is_object),
        Function::IsPrimitive => check(|value| !value.is_array() && !value.is_object()),
        Function::Abs => on_number(f64::abs),
        Function::Floor => on_number(f64::floor),
        Function::Ceiling => on_number(f64::ceil),
        Function::Round => on_number(f64::round),
        Function::Lower => Some(Cow::Owned(Value::String(found?.as_str()?.to_lowercase()))),
        Function::Upper => Some(Cow::Owned(Value::String(found?.as_str()?.to_uppercase()))),
        Function::Length => Some(Cow::Owned(Value::from(found?.as_str()?.chars().count()))),
        Function::ArrayLength => Some(Cow::Owned(Value::from(found?.as_array()?.len()))),
        Function::ArrayContains => {
            let wanted = argument(1);
            let equal = |value: &Value| compare(Some(value), wanted.as_deref()) == Some(Ordering::Equal);
            Some(owned(found?.as_array()?.iter().any(equal)))
        }
        Function::Concat => {
            let parts: Option<Vec<_>> = (0..arguments.len()).map(argument).collect();
            let texts: Option<String> = parts?.iter().map(|part| part.as_str()).collect();
            texts.map(|text| Cow::Owned(Value::String(text)))
        }
        Function::StartsWith => on_texts(found, argument(1), argument(2), |text, part| text.starts_with(part)),
        Function::EndsWith => on_texts(found, argument(1), argument(2), |text, part| text.ends_with(part)),
        Function::Contains => on_texts(found, argument(1), argument(2), |text, part| text.contains(part)),
        Function::StringEquals => on_texts(found, argument(1), argument(2), |text, part| text == part),
    }
}

/// A test of one text against another; the third argument says whether upper and lower case are one.
fn on_texts<'a>(
    text: Option<&Value>,
    part: Found<'_>,
    ignore_case: Found<'_>,
    test: fn(&str, &str) -> bool,
) -> Found<'a> {
    let (text, part) = (text?.as_str()?, part.as_deref()?.as_str()?);
    let passed = if truth(ignore_case.as_deref()) == Some(true) {
        test(&text.to_lowercase(), &part.to_lowercase())
    } else {
        test(text, part)
    };
    Some(owned(passed))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::parser::parse;
    use super::super::syntax::Select;
    use super::*;

    /// The value of an expression over one document; null for undefined is told apart by `None`.
    fn value(expression: &str) -> Option<Value> {
        let document = json!({
            "a": 1, "b": 2.5, "t": "Hello", "n": null, "yes": true, "no": false, "o": { "k": [10, "x"] }, "e": "",
        });
        let query = parse(&format!("SELECT VALUE {expression} FROM c"), &Default::default()).unwrap();
        let Select::Value(expression) = &query.select else { panic!("{query:?}") };
        let row = Row::of_value(&document);
        evaluate(expression, &row).map(Cow::into_owned)
    }

    #[test]
    fn values_compare_within_their_kind() {
        for (expression, expected) in [
            ("c.a = 1", Some(true)),
            ("c.a = 1.0", Some(true)),
            ("c.a != 2", Some(true)),
            ("c.a <> 1", Some(false)),
            ("c.a < c.b", Some(true)),
            ("c.t >= 'Hello'", Some(true)),
            ("c.t > 'hello'", Some(false)),
            ("c.n = null", Some(true)),
            ("c.a = '1'", None),
            ("c.a < '2'", None),
            ("c.missing = 1", None),
            ("c.missing != 1", None),
            ("c.o.k = [10, 'x']", Some(true)),
            ("c.o < c.o", None),
        ] {
            assert_eq!(value(expression), expected.map(Value::Bool), "{expression}");
        }
    }

    #[test]
    fn truth_has_three_values() {
        for (expression, expected) in [
            ("c.yes AND c.missing", None),
            ("c.no AND c.missing", Some(false)),
            ("c.yes OR c.missing", Some(true)),
            ("c.no OR c.missing", None),
            ("NOT c.no", Some(true)),
            ("NOT c.missing", None),
            ("c.a AND c.yes", None),
        ] {
            assert_eq!(value(expression), expected.map(Value::Bool), "{expression}");
        }
    }

    #[test]
    fn sets_and_spans() {
        assert_eq!(value("c.a IN (3, 2, 1)"), Some(json!(true)));
        assert_eq!(value("c.t NOT IN ('a', 'b')"), Some(json!(true)));
        assert_eq!(value("c.missing IN (1)"), None);
        assert_eq!(value("c.b BETWEEN 2 AND 3"), Some(json!(true)));
        assert_eq!(value("c.b NOT BETWEEN 2 AND 3"), Some(json!(false)));
    }

    #[test]
    fn arithmetic_and_texts() {
        assert_eq!(value("1 + 2 * 3 - 4 / 2"), Some(json!(5)));
        assert_eq!(value("-c.b"), Some(json!(-2.5)));
        assert_eq!(value("7 % 4"), Some(json!(3)));
        assert_eq!(value("1 / 0"), None);
        assert_eq!(value("c.t || '!'"), Some(json!("Hello!")));
        assert_eq!(value("c.t + 1"), None);
    }

    #[test]
    fn paths_lead_into_documents() {
        assert_eq!(value("c.o.k[1]"), Some(json!("x")));
        assert_eq!(value("c['o'][\"k\"][0]"), Some(json!(10)));
        assert_eq!(value("c.o.k[9]"), None);
        assert_eq!(value("c.a.b"), None);
        assert_eq!(value("{\"x\": c.a, \"y\": c.missing}"), Some(json!({ "x": 1 })));
        assert_eq!(value("[c.a, c.missing, c.t].length"), None);
    }

    #[test]
    fn functions_know_their_kinds() {
        for (expression, expected) in [
            ("STARTSWITH(c.t, 'He')", json!(true)),
            ("STARTSWITH(c.t, 'he')", json!(false)),
            ("STARTSWITH(c.t, 'he', true)", json!(true)),
            ("endswith(c.t, 'llo')", json!(true)),
            ("CONTAINS(c.t, 'ell')", json!(true)),
            ("IS_DEFINED(c.missing)", json!(false)),
            ("IS_DEFINED(c.n)", json!(true)),
            ("IS_NULL(c.n)", json!(true)),
            ("IS_STRING(c.a)", json!(false)),
            ("IS_NUMBER(c.a)", json!(true)),
            ("LOWER(c.t)", json!("hello")),
            ("LENGTH(c.t)", json!(5)),
            ("ABS(-c.a)", json!(1)),
            ("ARRAY_CONTAINS(c.o.k, 10)", json!(true)),
            ("CONCAT(c.t, ' ', 'you')", json!("Hello you")),
        ] {
            assert_eq!(value(expression), Some(expected), "{expression}");
        }
        assert_eq!(value("STARTSWITH(c.a, '1')"), None);
        assert_eq!(value("LOWER(c.missing)"), None);
    }
}
