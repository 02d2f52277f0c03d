//! Values as queries compare and order them. `None` is undefined: what a document does not have.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// A number as JSON: whole ones without a decimal point.
pub(super) fn number(value: f64) -> Value {
    // Whole numbers up to 2^53 are exact in both types.
    if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 {
        #[allow(clippy::cast_possible_truncation)]
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// The kinds of values, in the order in which ORDER BY puts them.
fn kind(value: Option<&Value>) -> u8 {
    match value {
        None => 0,
        Some(Value::Null) => 1,
        Some(Value::Bool(_)) => 2,
        Some(Value::Number(_)) => 3,
        Some(Value::String(_)) => 4,
        Some(Value::Array(_)) => 5,
        Some(Value::Object(_)) => 6,
    }
}

/// The order of any two values: by kind, then within it.
pub(super) fn order(left: Option<&Value>, right: Option<&Value>) -> Ordering {
    match (left, right) {
        (Some(Value::Bool(left)), Some(Value::Bool(right))) => left.cmp(right),
        (Some(Value::Number(left)), Some(Value::Number(right))) => order_numbers(left, right),
        (Some(Value::String(left)), Some(Value::String(right))) => left.cmp(right),
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            let first = left.iter().zip(right).map(|(l, r)| order(Some(l), Some(r))).find(|order| order.is_ne());
            first.unwrap_or_else(|| left.len().cmp(&right.len()))
        }
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let pair = |((l, a), (r, b)): ((&String, &Value), (&String, &Value))| {
                l.cmp(r).then_with(|| order(Some(a), Some(b)))
            };
            let first = left.iter().zip(right).map(pair).find(|order| order.is_ne());
            first.unwrap_or_else(|| left.len().cmp(&right.len()))
        }
        (left, right) => kind(left).cmp(&kind(right)),
    }
}

fn order_numbers(left: &Number, right: &Number) -> Ordering {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => left.as_f64().partial_cmp(&right.as_f64()).unwrap_or(Ordering::Equal),
    }
}

/// How two values compare: not at all when one is undefined or they are of different kinds.
pub(super) fn compare(left: Option<&Value>, right: Option<&Value>) -> Option<Ordering> {
    (left.is_some() && kind(left) == kind(right)).then(|| order(left, right))
}

/// A value written so that equal ones are the same text: numbers as they are compared, properties by name.
pub(in crate::cosmos) fn canonical(value: Option<&Value>) -> String {
    let mut text = String::new();
    if let Some(value) = value {
        write_canonical(value, &mut text);
    }
    text
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Number(found) => match found.as_f64() {
            Some(float) => out.push_str(&number(float).to_string()),
            None => out.push_str(&found.to_string()),
        },
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            out.push('{');
            for (name, item) in sorted {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write_canonical(item, out);
                out.push(',');
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_come_in_the_services_order() {
        let values = [
            json!(null),
            json!(false),
            json!(true),
            json!(-1),
            json!(2.5),
            json!("a"),
            json!("b"),
            json!([1]),
            json!({}),
        ];
        for pair in values.windows(2) {
            assert_eq!(order(Some(&pair[0]), Some(&pair[1])), Ordering::Less, "{pair:?}");
        }
        assert_eq!(order(None, Some(&values[0])), Ordering::Less);
    }

    #[test]
    fn values_of_different_kinds_do_not_compare() {
        assert_eq!(compare(Some(&json!(1)), Some(&json!("1"))), None);
        assert_eq!(compare(None, None), None);
        assert_eq!(compare(Some(&json!(1)), Some(&json!(1.0))), Some(Ordering::Equal));
        assert_eq!(compare(Some(&json!({"a": 1, "b": 2})), Some(&json!({"b": 2, "a": 1.0}))), Some(Ordering::Equal));
        assert_eq!(compare(Some(&json!([1, 2])), Some(&json!([1]))), Some(Ordering::Greater));
    }

    #[test]
    fn equal_values_are_the_same_text() {
        let text = |value: Value| canonical(Some(&value));
        assert_eq!(text(json!({"a": [1.0, null], "b": "x"})), text(json!({"b": "x", "a": [1, null]})));
        assert_ne!(text(json!([1, 2])), text(json!([12])));
        assert_ne!(canonical(None), text(Value::Null));
    }

    #[test]
    fn whole_numbers_have_no_decimal_point() {
        assert_eq!(number(3.0).to_string(), "3");
        assert_eq!(number(-0.5).to_string(), "-0.5");
    }
}
