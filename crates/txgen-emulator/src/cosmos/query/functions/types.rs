//! What kind of value something is, and choices by it.

use serde_json::Value;

use super::{Arguments, Builtin, function};

pub(super) const FUNCTIONS: &[Builtin] = &[
    function("IS_DEFINED", 1, 1, |a| Some(Value::Bool(a.value(0).is_some()))),
    function("IS_NULL", 1, 1, |a| is(a, Value::is_null)),
    function("IS_BOOL", 1, 1, |a| is(a, Value::is_boolean)),
    function("IS_NUMBER", 1, 1, |a| is(a, Value::is_number)),
    function("IS_FINITE_NUMBER", 1, 1, |a| is(a, |value| value.as_f64().is_some_and(f64::is_finite))),
    function("IS_INTEGER", 1, 1, |a| is(a, |value| value.as_f64().is_some_and(|value| value.fract() == 0.0))),
    function("IS_STRING", 1, 1, |a| is(a, Value::is_string)),
    function("IS_ARRAY", 1, 1, |a| is(a, Value::is_array)),
    function("IS_OBJECT", 1, 1, |a| is(a, Value::is_object)),
    function("IS_PRIMITIVE", 1, 1, |a| is(a, |value| !value.is_array() && !value.is_object())),
    function("IIF", 3, 3, |a| a.value(if a.truth(0) == Some(true) { 1 } else { 2 }).cloned()),
];

#[allow(clippy::unnecessary_wraps, reason = "what all functions give")]
fn is(arguments: &Arguments<'_, '_>, test: fn(&Value) -> bool) -> Option<Value> {
    Some(Value::Bool(arguments.value(0).is_some_and(test)))
}
