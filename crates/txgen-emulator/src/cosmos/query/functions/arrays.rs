//! Arrays, and objects as arrays.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::{Value, json};

use super::super::value::{canonical, compare, number, order};
use super::{ANY, Arguments, Builtin, function};

/// Elements at most that a function makes of shorter arrays.
const MAX_ELEMENTS: usize = 1_000_000;

pub(super) const FUNCTIONS: &[Builtin] = &[
    function("ARRAY_CONCAT", 2, ANY, |a| {
        let mut whole = Vec::new();
        for part in a.values() {
            whole.extend_from_slice(part?.as_array()?);
            if whole.len() > MAX_ELEMENTS {
                return None;
            }
        }
        Some(whole.into())
    }),
    function("ARRAY_CONTAINS", 2, 3, |a| {
        let (items, wanted) = (a.array(0)?, a.value(1));
        let partly = a.truth(2) == Some(true);
        Some(items.iter().any(|item| equal(item, wanted) || partly && holds(item, wanted)).into())
    }),
    function("ARRAY_CONTAINS_ANY", 2, ANY, |a| {
        let items = a.array(0)?;
        Some(a.values().skip(1).any(|wanted| items.iter().any(|item| equal(item, wanted))).into())
    }),
    function("ARRAY_CONTAINS_ALL", 2, ANY, |a| {
        let items = a.array(0)?;
        Some(a.values().skip(1).all(|wanted| items.iter().any(|item| equal(item, wanted))).into())
    }),
    function("ARRAY_LENGTH", 1, 1, |a| Some(a.array(0)?.len().into())),
    function("ARRAY_SLICE", 2, 3, |a| {
        let (items, start) = (a.array(0)?, a.integer(1)?);
        let length = i64::try_from(items.len()).ok()?;
        let start = if start < 0 { length.saturating_add(start).max(0) } else { start.min(length) };
        let count = a.or(2, length, Arguments::integer)?.clamp(0, length - start);
        let (start, count) = (usize::try_from(start).ok()?, usize::try_from(count).ok()?);
        Some(items[start..start + count].to_vec().into())
    }),
    function("ARRAY_SUM", 1, 1, |a| Some(number(numbers(a)?.iter().sum()))),
    function("ARRAY_AVG", 1, 1, |a| {
        let numbers = numbers(a)?;
        // Arrays are far shorter than 2^52.
        #[allow(clippy::cast_precision_loss)]
        (!numbers.is_empty()).then(|| number(numbers.iter().sum::<f64>() / numbers.len() as f64))
    }),
    function("ARRAY_MEDIAN", 1, 1, |a| {
        let mut numbers = numbers(a)?;
        numbers.sort_by(f64::total_cmp);
        let middle = numbers.len().checked_sub(1)? / 2;
        let both = numbers[middle] + numbers[numbers.len() / 2];
        Some(number(both / 2.0))
    }),
    function("ARRAY_MIN", 1, 1, |a| a.array(0)?.iter().min_by(|l, r| order(Some(l), Some(r))).cloned()),
    function("ARRAY_MAX", 1, 1, |a| a.array(0)?.iter().max_by(|l, r| order(Some(l), Some(r))).cloned()),
    function("CHOOSE", 2, 2, |a| a.array(0)?.get(usize::try_from(a.integer(1)?).ok()?).cloned()),
    function("OBJECTTOARRAY", 1, 3, |a| {
        let (name, value) = (a.text_or(1, "k")?, a.text_or(2, "v")?);
        let pair = |(key, item): (&String, &Value)| json!({ name: key, value: item });
        Some(a.value(0)?.as_object()?.iter().map(pair).collect::<Vec<_>>().into())
    }),
    function("SETUNION", 2, 2, |a| {
        let mut seen = HashSet::new();
        let both = a.array(0)?.iter().chain(a.array(1)?);
        Some(both.filter(|item| seen.insert(canonical(Some(item)))).cloned().collect::<Vec<_>>().into())
    }),
    function("SETINTERSECT", 2, 2, |a| common(a, true)),
    function("SETDIFFERENCE", 2, 2, |a| common(a, false)),
];

fn equal(item: &Value, wanted: Option<&Value>) -> bool {
    compare(Some(item), wanted) == Some(Ordering::Equal)
}

/// Whether an object has all that another has.
fn holds(item: &Value, wanted: Option<&Value>) -> bool {
    let (Some(item), Some(wanted)) = (item.as_object(), wanted.and_then(Value::as_object)) else { return false };
    wanted
        .iter()
        .all(|(name, value)| item.get(name).is_some_and(|found| equal(found, Some(value)) || holds(found, Some(value))))
}

fn numbers(arguments: &Arguments<'_, '_>) -> Option<Vec<f64>> {
    arguments.array(0)?.iter().map(Value::as_f64).collect()
}

/// What of the first array is in the second, or is not; each once.
fn common(arguments: &Arguments<'_, '_>, wanted: bool) -> Option<Value> {
    let others: HashSet<_> = arguments.array(1)?.iter().map(|item| canonical(Some(item))).collect();
    let mut seen = HashSet::new();
    let items = arguments.array(0)?.iter().filter(|item| {
        let text = canonical(Some(item));
        others.contains(&text) == wanted && seen.insert(text)
    });
    Some(items.cloned().collect::<Vec<_>>().into())
}
