//! The results that the documentation of each function shows, and the edges that it names.

use serde_json::{Value, json};

use super::super::over_values;

fn value(expression: &str) -> Option<Value> {
    let body = json!({ "query": format!("SELECT VALUE {expression} FROM c") }).to_string();
    over_values(body.as_bytes(), &[json!({ "n": null, "o": { "a": 1 } })]).unwrap().pop()
}

fn check(table: &[(&str, Value)]) {
    for (expression, expected) in table {
        assert_eq!(value(expression).as_ref(), Some(expected), "{expression}");
    }
}

fn is_undefined(expressions: &[&str]) {
    for expression in expressions {
        assert_eq!(value(expression), None, "{expression}");
    }
}

#[test]
fn kinds_of_values() {
    check(&[
        ("IS_DEFINED(c.missing)", json!(false)),
        ("IS_DEFINED(c.n)", json!(true)),
        ("IS_NULL(c.n)", json!(true)),
        ("IS_STRING(1)", json!(false)),
        ("IS_NUMBER(1)", json!(true)),
        ("IS_INTEGER(1.5)", json!(false)),
        ("IS_PRIMITIVE(c.o)", json!(false)),
        ("IS_OBJECT(c.o)", json!(true)),
        ("IIF(true, 1, 2)", json!(1)),
        ("IIF(c.missing, 1, 2)", json!(2)),
    ]);
}

#[test]
fn numbers() {
    check(&[
        ("ABS(-1)", json!(1)),
        ("CEILING(123.45)", json!(124)),
        ("FLOOR(-123.45)", json!(-124)),
        ("ROUND(2.4)", json!(2)),
        ("TRUNC(-2.6)", json!(-2)),
        ("SIGN(-2)", json!(-1)),
        ("POWER(2, 3)", json!(8)),
        ("SQUARE(3)", json!(9)),
        ("SQRT(4)", json!(2)),
        ("LOG(8, 2)", json!(3)),
        ("LOG10(100)", json!(2)),
        ("EXP(0)", json!(1)),
        ("DEGREES(PI())", json!(180)),
        ("NUMBERBIN(37752, 10)", json!(37750)),
        ("INTADD(20, 10)", json!(30)),
        ("INTDIV(7, 2)", json!(3)),
        ("INTMOD(12, 5)", json!(2)),
        ("INTBITXOR(15, 25)", json!(22)),
        ("INTBITNOT(10)", json!(-11)),
        ("INTBITLEFTSHIFT(16, 4)", json!(256)),
        ("RAND() < 1", json!(true)),
    ]);
    is_undefined(&["SQRT(-1)", "ABS('1')", "INTDIV(1, 0)", "INTADD(20.5, 10)", "LOG(0)"]);
}

#[test]
fn texts() {
    check(&[
        ("CONCAT('a', 'b', 'c')", json!("abc")),
        ("STARTSWITH('Hello', 'he', true)", json!(true)),
        ("endswith('Hello', 'LLO')", json!(false)),
        ("CONTAINS('abc', 'd')", json!(false)),
        ("STRINGEQUALS('abc', 'aBC', true)", json!(true)),
        ("INDEX_OF('abc', 'c')", json!(2)),
        ("INDEX_OF('abca', 'a', 1)", json!(3)),
        ("INDEX_OF('abc', 'x')", json!(-1)),
        ("LEFT('abc', 2)", json!("ab")),
        ("RIGHT('abc', 2)", json!("bc")),
        ("SUBSTRING('abcdef', 1, 2)", json!("bc")),
        ("LENGTH('né')", json!(2)),
        ("UPPER('ab')", json!("AB")),
        ("LTRIM('  a ')", json!("a ")),
        ("TRIM('xax', 'x')", json!("a")),
        ("REVERSE('abc')", json!("cba")),
        ("REPLACE('This is', 'is', 'at')", json!("That at")),
        ("REPLICATE('ab', 2)", json!("abab")),
        ("REGEXMATCH('abcd', 'ABC', 'i')", json!(true)),
        ("REGEXMATCH('abcd', '^bc')", json!(false)),
        ("STRINGSPLIT('a,b', ',')", json!(["a", "b"])),
        ("STRINGJOIN(['a', 'b'], '-')", json!("a-b")),
        ("StringToArray('[1,\"a\"]')", json!([1, "a"])),
        ("StringToNumber('1.5')", json!(1.5)),
        ("StringToBoolean('true')", json!(true)),
        ("ToString(1.0)", json!("1")),
        ("ToString(true)", json!("true")),
    ]);
    is_undefined(&[
        "LOWER(c.missing)",
        "STARTSWITH(1, '1')",
        "StringToNumber('x')",
        "REPLICATE('a', 10001)",
        "REGEXMATCH('a', '(')",
    ]);
}

#[test]
fn arrays() {
    check(&[
        ("ARRAY_CONCAT(['a'], ['b', 'c'])", json!(["a", "b", "c"])),
        ("ARRAY_CONTAINS(['a', 'b'], 'a')", json!(true)),
        ("ARRAY_CONTAINS([{a: 1, b: 2}], {a: 1})", json!(false)),
        ("ARRAY_CONTAINS([{a: 1, b: 2}], {a: 1}, true)", json!(true)),
        ("ARRAY_CONTAINS_ANY([1, 2], 3, 2)", json!(true)),
        ("ARRAY_CONTAINS_ALL([1, 2], 3, 2)", json!(false)),
        ("ARRAY_LENGTH([1, 2])", json!(2)),
        ("ARRAY_SLICE(['a', 'b', 'c'], 1, 1)", json!(["b"])),
        ("ARRAY_SLICE(['a', 'b', 'c'], -2)", json!(["b", "c"])),
        ("ARRAY_SLICE(['a'], 5, 2)", json!([])),
        ("ARRAY_MEDIAN([1, 9, 3, 4])", json!(3.5)),
        ("ARRAY_MAX([1, 'a', 2])", json!("a")),
        ("CHOOSE(['a', 'b'], 1)", json!("b")),
        ("OBJECTTOARRAY(c.o)", json!([{ "k": "a", "v": 1 }])),
        ("SETUNION([1, 2, 1], [3, 2])", json!([1, 2, 3])),
        ("SETINTERSECT([1, 2, 2], [2, 3])", json!([2])),
    ]);
}

#[test]
fn dates() {
    check(&[
        ("DateTimeToTicks('2020-12-31T00:00:00.0000000Z')", json!(16_093_728_000_000_000_i64)),
        ("DateTimeToTimestamp('2021-05-23T10:13:25.1234567Z')", json!(1_621_764_805_123_i64)),
        ("TicksToDateTime(16093728000000000)", json!("2020-12-31T00:00:00.0000000Z")),
        ("TimestampToDateTime(1621764805123)", json!("2021-05-23T10:13:25.1230000Z")),
        ("DateTimeFromParts(2017, 4, 20, 13, 15, 20, 3456789)", json!("2017-04-20T13:15:20.3456789Z")),
        ("DateTimePart('mcs', '2016-05-29T08:30:00.1301617Z')", json!(130_161)),
        ("DateTimeAdd('mm', 1, '2020-01-31T00:00:00Z')", json!("2020-02-29T00:00:00.0000000Z")),
        ("DateTimeAdd('hh', -1, '2020-07-09T23:20:13.4575530Z')", json!("2020-07-09T22:20:13.4575530Z")),
        ("DateTimeDiff('yyyy', '2018-01-02T01:02:03.1234567Z', '2020-12-31T23:59:59.9999999Z')", json!(2)),
        ("DateTimeDiff('hh', '2020-01-01T01:59:00Z', '2020-01-01T02:00:00Z')", json!(1)),
        ("DateTimeBin('2021-06-28T17:24:29.2991234Z', 'hh', 1)", json!("2021-06-28T17:00:00.0000000Z")),
        ("DateTimeBin('2021-06-28T17:24:29.2991234Z', 'dd', 7)", json!("2021-06-24T00:00:00.0000000Z")),
        ("LENGTH(GetCurrentDateTime())", json!(28)),
    ]);
    is_undefined(&["DateTimeToTicks('x')", "DateTimeFromParts(2020, 13, 1)", "DateTimeAdd('xx', 1, '2020-01-01')"]);
}
