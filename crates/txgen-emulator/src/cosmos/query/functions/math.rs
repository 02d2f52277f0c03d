//! Numbers.

use std::f64::consts::PI;

use serde_json::Value;

use super::super::value::number;
use super::{Arguments, Builtin, function};

pub(super) const FUNCTIONS: &[Builtin] = &[
    function("ABS", 1, 1, |a| one(a, f64::abs)),
    function("ACOS", 1, 1, |a| one(a, f64::acos)),
    function("ASIN", 1, 1, |a| one(a, f64::asin)),
    function("ATAN", 1, 1, |a| one(a, f64::atan)),
    function("ATN2", 2, 2, |a| finite(a.number(0)?.atan2(a.number(1)?))),
    function("CEILING", 1, 1, |a| one(a, f64::ceil)),
    function("COS", 1, 1, |a| one(a, f64::cos)),
    function("COT", 1, 1, |a| one(a, |x| x.tan().recip())),
    function("DEGREES", 1, 1, |a| one(a, f64::to_degrees)),
    function("EXP", 1, 1, |a| one(a, f64::exp)),
    function("FLOOR", 1, 1, |a| one(a, f64::floor)),
    function("LOG", 1, 2, |a| match a.len() {
        1 => one(a, f64::ln),
        _ => finite(a.number(0)?.log(a.number(1)?)),
    }),
    function("LOG10", 1, 1, |a| one(a, f64::log10)),
    function("NUMBERBIN", 1, 2, |a| {
        let size = a.or(1, 1.0, Arguments::number)?;
        finite((a.number(0)? / size).floor() * size)
    }),
    function("PI", 0, 0, |_| finite(PI)),
    function("POWER", 2, 2, |a| finite(a.number(0)?.powf(a.number(1)?))),
    function("RADIANS", 1, 1, |a| one(a, f64::to_radians)),
    function("RAND", 0, 0, |_| finite(random())),
    function("ROUND", 1, 2, |a| match a.len() {
        1 => one(a, f64::round),
        _ => {
            let scale = 10_f64.powi(i32::try_from(a.integer(1)?).ok()?);
            finite((a.number(0)? * scale).round() / scale)
        }
    }),
    function("SIGN", 1, 1, |a| one(a, |x| if x == 0.0 { 0.0 } else { x.signum() })),
    function("SIN", 1, 1, |a| one(a, f64::sin)),
    function("SQRT", 1, 1, |a| one(a, f64::sqrt)),
    function("SQUARE", 1, 1, |a| one(a, |x| x * x)),
    function("TAN", 1, 1, |a| one(a, f64::tan)),
    function("TRUNC", 1, 1, |a| one(a, f64::trunc)),
    function("INTADD", 2, 2, |a| two(a, i64::checked_add)),
    function("INTSUB", 2, 2, |a| two(a, i64::checked_sub)),
    function("INTMUL", 2, 2, |a| two(a, i64::checked_mul)),
    function("INTDIV", 2, 2, |a| two(a, i64::checked_div)),
    function("INTMOD", 2, 2, |a| two(a, i64::checked_rem)),
    function("INTBITAND", 2, 2, |a| two(a, |x, y| Some(x & y))),
    function("INTBITOR", 2, 2, |a| two(a, |x, y| Some(x | y))),
    function("INTBITXOR", 2, 2, |a| two(a, |x, y| Some(x ^ y))),
    function("INTBITNOT", 1, 1, |a| Some(Value::from(!a.integer(0)?))),
    function("INTBITLEFTSHIFT", 2, 2, |a| two(a, |x, y| x.checked_shl(u32::try_from(y).ok()?))),
    function("INTBITRIGHTSHIFT", 2, 2, |a| two(a, |x, y| x.checked_shr(u32::try_from(y).ok()?))),
];

fn one(arguments: &Arguments<'_, '_>, function: fn(f64) -> f64) -> Option<Value> {
    finite(function(arguments.number(0)?))
}

fn two(arguments: &Arguments<'_, '_>, function: fn(i64, i64) -> Option<i64>) -> Option<Value> {
    function(arguments.integer(0)?, arguments.integer(1)?).map(Value::from)
}

/// What is no number is undefined.
fn finite(value: f64) -> Option<Value> {
    value.is_finite().then(|| number(value))
}

/// Below 1, from the 53 bits that a number has.
fn random() -> f64 {
    let bits = uuid::Uuid::new_v4().as_u128() >> 75;
    // 53 bits are exact.
    #[allow(clippy::cast_precision_loss)]
    {
        bits as f64 / (1_u64 << 53) as f64
    }
}
