use serde_json::json;

use super::super::parser::parse;
use super::super::syntax::Select;
use super::*;

/// The value of an expression over one document; null for undefined is told apart by `None`.
fn value(expression: &str) -> Option<Value> {
    let document = json!({
        "a": 1, "b": 2.5, "t": "Hello", "n": null, "yes": true, "no": false, "o": { "k": [10, "x"] }, "e": "",
        "tags": [{ "name": "x", "n": 1 }, { "name": "y", "n": 2 }, { "name": "z" }],
    });
    let query = parse(&format!("SELECT VALUE {expression} FROM c"), &Default::default()).unwrap();
    let Select::Value(expression) = &query.select else { panic!("{query:?}") };
    let (row, budget) = (Row::of_value(&document), Budget::new());
    evaluate(expression, Env::new(&row, &budget)).map(Cow::into_owned)
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
fn sets_spans_and_patterns() {
    assert_eq!(value("c.a IN (3, 2, 1)"), Some(json!(true)));
    assert_eq!(value("c.t NOT IN ('a', 'b')"), Some(json!(true)));
    assert_eq!(value("c.missing IN (1)"), None);
    assert_eq!(value("c.b BETWEEN 2 AND 3"), Some(json!(true)));
    assert_eq!(value("c.b NOT BETWEEN 2 AND 3"), Some(json!(false)));
    assert_eq!(value("c.t LIKE 'H%o'"), Some(json!(true)));
    assert_eq!(value("c.t NOT LIKE 'h%'"), Some(json!(true)));
    assert_eq!(value("c.a LIKE '%'"), None);
}

#[test]
fn choices_take_the_first_that_fits() {
    assert_eq!(value("c.yes ? 1 : 2"), Some(json!(1)));
    assert_eq!(value("c.missing ? 1 : c.no ? 2 : 3"), Some(json!(3)));
    assert_eq!(value("c.missing ?? c.n ?? 1"), Some(json!(null)));
    assert_eq!(value("c.missing ?? undefined"), None);
}

#[test]
fn arithmetic_texts_and_bits() {
    assert_eq!(value("1 + 2 * 3 - 4 / 2"), Some(json!(5)));
    assert_eq!(value("-c.b"), Some(json!(-2.5)));
    assert_eq!(value("7 % 4"), Some(json!(3)));
    assert_eq!(value("1 / 0"), None);
    assert_eq!(value("c.t || '!'"), Some(json!("Hello!")));
    assert_eq!(value("c.t + 1"), None);
    assert_eq!(value("6 & 3"), Some(json!(2)));
    assert_eq!(value("6 | 1 ^ 2"), Some(json!(7)));
    assert_eq!(value("~5"), Some(json!(-6)));
    assert_eq!(value("1 << 3 >> 1"), Some(json!(4)));
    assert_eq!(value("-1 >>> 28"), Some(json!(15)));
    assert_eq!(value("1.5 & 1"), None);
}

#[test]
fn paths_lead_into_documents() {
    assert_eq!(value("c.o.k[1]"), Some(json!("x")));
    assert_eq!(value("c['o'][\"k\"][0]"), Some(json!(10)));
    assert_eq!(value("c.o[c.tags[0].missing ?? 'k'][c.a]"), Some(json!("x")));
    assert_eq!(value("c.o.k[9]"), None);
    assert_eq!(value("c.a.b"), None);
    assert_eq!(value("{\"x\": c.a, \"y\": c.missing}"), Some(json!({ "x": 1 })));
    assert_eq!(value("[c.a, c.missing, c.t].length"), None);
}

#[test]
fn subqueries_range_over_arrays() {
    assert_eq!(value("ARRAY(SELECT VALUE t.name FROM t IN c.tags WHERE t.n > 1)"), Some(json!(["y"])));
    assert_eq!(value("ARRAY(SELECT DISTINCT VALUE IS_DEFINED(t.n) FROM t IN c.tags)"), Some(json!([true, false])));
    assert_eq!(
        value("ARRAY(SELECT VALUE t.name FROM t IN c.tags ORDER BY t.name DESC OFFSET 1 LIMIT 1)"),
        Some(json!(["y"]))
    );
    assert_eq!(value("(SELECT VALUE COUNT(1) FROM t IN c.tags WHERE t.n >= c.a)"), Some(json!(2)));
    assert_eq!(
        value("(SELECT SUM(t.n) AS s, c.t AS t FROM t IN c.tags WHERE IS_DEFINED(t.n) GROUP BY c.t)"),
        Some(json!({ "s": 3, "t": "Hello" }))
    );
    assert_eq!(value("EXISTS(SELECT VALUE t FROM t IN c.tags WHERE t.name = 'z')"), Some(json!(true)));
    assert_eq!(value("EXISTS(SELECT VALUE t.missing FROM t IN c.tags)"), Some(json!(false)));
    assert_eq!(value("(SELECT VALUE t FROM t IN c.missing)"), None);
    let pairs = "ARRAY(SELECT VALUE CONCAT(t.name, u.name) FROM t IN c.tags JOIN u IN c.tags WHERE t.n < u.n)";
    assert_eq!(value(pairs), Some(json!(["xy"])));
}
