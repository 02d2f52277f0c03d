use serde_json::Value;

use super::*;

fn parsed(text: &str) -> Result<Query, Problem> {
    let parameters = [("p".to_owned(), Value::from("us")), ("n".to_owned(), Value::from(3))].into();
    parse(text, &parameters)
}

fn problem(text: &str) -> String {
    parsed(text).unwrap_err().to_string()
}

#[test]
fn the_clauses_are_told_apart() {
    let query =
        parsed("SELECT c.id, c.ttl AS x FROM c WHERE c.a = @p ORDER BY c.b DESC, c.c OFFSET 1 LIMIT @n").unwrap();
    assert_eq!((query.offset, query.limit), (Some(1), Some(3)));
    let directions: Vec<_> = query.order_by.iter().map(|(_, direction)| *direction).collect();
    assert_eq!(directions, [Direction::Descending, Direction::Ascending]);
    let Select::Fields(fields) = query.select else { panic!("{:?}", query.select) };
    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["id", "x"]);
}

#[test]
fn fields_without_a_name_are_numbered() {
    let Select::Fields(fields) = parsed("SELECT 1, c.id, COUNT(1), c FROM c GROUP BY c.id, c").unwrap().select else {
        panic!()
    };
    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["$1", "id", "$2", "c"]);
}

#[test]
fn documents_can_have_any_name() {
    for text in ["select * from root r where r.x = 1", "SELECT * FROM root AS r WHERE r.x = 1"] {
        assert_eq!(parsed(text).unwrap().root(), "r", "{text}");
    }
    assert_eq!(parsed("SELECT root.id FROM root").unwrap().root(), "root");
    assert!(problem("SELECT x.id FROM c").contains("'x'"));
    assert!(problem("SELECT root.id FROM root AS r").contains("'root'"));
}

#[test]
fn not_binds_stronger_than_and_and_and_than_or() {
    let a = parsed("SELECT * FROM c WHERE c.a = 1 OR NOT c.b = 2 AND c.c = 3").unwrap();
    let b = parsed("SELECT * FROM c WHERE (c.a = 1) OR ((NOT (c.b = 2)) AND (c.c = 3))").unwrap();
    assert_eq!(a, b);
}

#[test]
fn products_bind_stronger_than_sums() {
    let a = parsed("SELECT VALUE 1 + 2 * -c.x - 3 FROM c").unwrap();
    let b = parsed("SELECT VALUE 1 + (2 * (-c.x)) - 3 FROM c").unwrap();
    assert_eq!(a, b);
}

#[test]
fn properties_can_be_written_in_brackets() {
    assert_eq!(parsed("SELECT VALUE c[\"x\"][0] FROM c"), parsed("SELECT VALUE c.x[0] FROM c"));
    assert_eq!(parsed("SELECT VALUE c[@p] FROM c"), parsed("SELECT VALUE c.us FROM c"));
}

#[test]
fn from_and_join_name_what_they_range_over() {
    let query = parsed("SELECT f, g AS h FROM c JOIN f IN c.children JOIN g IN f.grades WHERE g > c.x").unwrap();
    let names: Vec<_> = query.sources.iter().map(|source| source.variable.name.as_ref()).collect();
    assert_eq!(names, ["c", "f", "g"]);
    assert_eq!(parsed("SELECT VALUE f FROM f IN c.children").unwrap().root(), "c");
    assert!(parsed("SELECT VALUE c.from FROM c").is_err(), "keywords are no names");
    assert!(problem("SELECT g FROM c JOIN f IN g.children").contains("'g'"));
    assert!(problem("SELECT * FROM c JOIN f IN c.children").contains("input set"));
}

#[test]
fn what_is_not_supported_is_named() {
    for (text, named) in [
        ("SELECT udf.f(c) FROM c", "user-defined"),
        ("SELECT VALUE SOUNDEX(c.id) FROM c", "SOUNDEX"),
        ("SELECT VALUE ALL(SELECT VALUE 1) FROM c", "ALL"),
        ("SELECT c.id, COUNT(1) FROM c", "neither"),
        ("SELECT * FROM c HAVING c.x", "HAVING"),
        ("SELECT * FROM c ORDER BY RANK RRF(c.x)", "RANK"),
        ("SELECT TOP 1 * FROM c OFFSET 1 LIMIT 1", "TOP"),
        ("SELECT VALUE LOWER() FROM c", "LOWER"),
        ("SELECT VALUE n FROM (SELECT VALUE COUNT(1) FROM c) AS n", "subquery in FROM"),
        ("DELETE FROM c", "SELECT"),
    ] {
        assert!(problem(text).contains(named), "{text}: {}", problem(text));
    }
}

#[test]
fn no_text_exhausts_the_stack() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{\"a\":", "}"), ("ABS(", ")"), ("(SELECT VALUE ", ")"), ("c[", "]")]
    {
        let text = format!("SELECT VALUE {}1{} FROM c", open.repeat(50_000), close.repeat(50_000));
        assert!(problem(&text).contains("too deeply"), "{open}");
    }
    let (open, close) = ("[".repeat(60), format!("]{}", "[0]".repeat(60)).repeat(60));
    assert!(problem(&format!("SELECT VALUE {open}1{close} FROM c")).contains("too long"));
    assert!(parsed(&format!("SELECT VALUE c{} FROM c", ".a".repeat(100_000))).is_err());
    assert!(parsed(&format!("SELECT VALUE 1{} FROM c", " = 1".repeat(50_000))).is_err());
    assert!(parsed(&format!("SELECT VALUE {}1 FROM c", "~ ".repeat(100_000))).is_err());
    assert!(parsed(&format!("SELECT VALUE 1{} FROM c", " ? 1 : 1".repeat(50_000))).is_err());
    assert!(parsed(&format!("SELECT VALUE {}1 FROM c", "- ".repeat(100_000))).is_ok());
    assert!(parsed(&format!("SELECT * FROM c WHERE {}true", "NOT ".repeat(50_000))).is_ok());
    assert!(parsed(&format!("SELECT * FROM c WHERE true{}", " AND true".repeat(20_000))).is_ok());
    assert!(parsed(&format!("SELECT VALUE 1{} FROM c", "+1".repeat(50_000))).is_ok());
    assert!(parsed(&format!("SELECT VALUE 1{} FROM c", " ?? 1".repeat(50_000))).is_ok());
}

#[test]
fn unfinished_queries_are_refused() {
    for text in [
        "",
        "SELECT",
        "SELECT *  FROM",
        "SELECT * FROM c WHERE",
        "SELECT c. FROM c",
        "SELECT TOP -1 * FROM c",
        "SELECT * FROM c WHERE c.x IN (1,",
        "SELECT * FROM c OFFSET 1",
        "SELECT * FROM c WHERE c.x = @q",
        "SELECT , FROM c",
        "SELECT * FROM c WHERE c.x LIKE 'a' ESCAPE 'ab'",
        "SELECT * FROM c JOIN",
        "SELECT c.x ? 1 FROM c",
    ] {
        assert!(parsed(text).is_err(), "{text}");
    }
}
