//! From a query's text to its meaning, by recursive descent.
//!
//! Written by hand because no SQL parser that is published takes this dialect (`SELECT VALUE`, `c["x"]`, object
//! literals, OFFSET before LIMIT), and it is small. How deep expressions may nest, and how many parts a query may have,
//! is bounded, so that no text can exhaust the stack.

mod expression;

use super::lexer::{Kind, Token, tokens};
use super::syntax::{Direction, Expression, Query, Select, Step};
use super::{Parameters, Problem};

/// How deep expressions may nest, and how many steps a path may have.
const MAX_DEPTH: usize = 64;

/// Reads a query. Parameters are put in where they stand.
pub(super) fn parse(text: &str, parameters: &Parameters) -> Result<Query, Problem> {
    let tokens = tokens(text)?;
    let alias = find_alias(&tokens);
    let mut parser = Parser { tokens: &tokens, next: 0, end: text.len(), depth: 0, inner_steps: 0, alias, parameters };
    let query = parser.query()?;
    match parser.tokens.get(parser.next) {
        None => Ok(query),
        Some(Token { kind: Kind::Word(word), .. }) => {
            Err(Problem::unsupported(format!("{} here", word.to_uppercase())))
        }
        Some(token) => Err(Problem::syntax(token.at, "something after the end of the query")),
    }
}

/// What FROM calls the documents: it comes after the expressions that use it.
fn find_alias<'a>(tokens: &[Token<'a>]) -> &'a str {
    let is = |token: &Token<'_>, word: &str| matches!(token.kind, Kind::Word(w) if w.eq_ignore_ascii_case(word));
    let Some(from) = tokens.iter().position(|token| is(token, "FROM")) else { return "c" };
    let word = |at: usize| match tokens.get(at) {
        Some(Token { kind: Kind::Word(word), .. }) => Some(*word),
        _ => None,
    };
    let source = word(from + 1).unwrap_or("c");
    match word(from + 2) {
        Some(keyword) if keyword.eq_ignore_ascii_case("AS") => word(from + 3).unwrap_or(source),
        Some(alias) if !is_keyword(alias) => alias,
        _ => source,
    }
}

/// The words that end an expression or a name.
fn is_keyword(word: &str) -> bool {
    const KEYWORDS: [&str; 21] = [
        "AND", "AS", "ASC", "BETWEEN", "BY", "DESC", "DISTINCT", "FROM", "GROUP", "HAVING", "IN", "JOIN", "LIKE",
        "LIMIT", "NOT", "OFFSET", "OR", "ORDER", "SELECT", "TOP", "WHERE",
    ];
    KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

struct Parser<'t, 'a> {
    tokens: &'t [Token<'a>],
    next: usize,
    /// The length of the text, for problems at its end.
    end: usize,
    /// How many expressions are around the one that is being read.
    depth: usize,
    /// Steps into what is no path, so far: `[1, 2][0]`.
    inner_steps: usize,
    /// What FROM calls the documents.
    alias: &'a str,
    parameters: &'t Parameters,
}

impl<'t, 'a> Parser<'t, 'a> {
    fn query(&mut self) -> Result<Query, Problem> {
        self.expect_word("SELECT")?;
        if self.word("DISTINCT") {
            return Err(Problem::unsupported("DISTINCT"));
        }
        let top = if self.word("TOP") { Some(self.count()?) } else { None };
        let select = self.select()?;
        if self.word("FROM") {
            self.from()?;
        }
        let filter = if self.word("WHERE") { Some(self.expression()?) } else { None };
        if let Some(filter) = &filter
            && filter.has_aggregate()
        {
            return Err(Problem::unsupported("aggregates in WHERE"));
        }
        let group_by = self.clause("GROUP")?;
        let order_by = self.clause("ORDER")?;
        let order_by = order_by.map(|by| {
            let descending = self.word("DESC");
            let _ = !descending && self.word("ASC");
            (by, if descending { Direction::Descending } else { Direction::Ascending })
        });
        if self.is_symbol(",") {
            return Err(Problem::unsupported("ORDER BY or GROUP BY with more than one expression"));
        }
        let offset = if self.word("OFFSET") { Some(self.count()?) } else { None };
        let limit = if offset.is_some() {
            self.expect_word("LIMIT")?;
            Some(self.count()?)
        } else {
            None
        };
        let query = Query { select, top, filter, group_by, order_by, offset, limit, alias: self.alias.to_owned() };
        check(&query)?;
        Ok(query)
    }

    /// `GROUP BY e`, `ORDER BY e`
    fn clause(&mut self, word: &'static str) -> Result<Option<Expression>, Problem> {
        if !self.word(word) {
            return Ok(None);
        }
        self.expect_word("BY")?;
        let by = self.expression()?;
        if by.has_aggregate() {
            return Err(Problem::unsupported(format!("aggregates in {word} BY")));
        }
        Ok(Some(by))
    }

    fn select(&mut self) -> Result<Select, Problem> {
        if self.symbol("*") {
            return Ok(Select::All);
        }
        // `VALUE` may also be a property's alias, but no expression starts with two words in a row.
        if self.word("VALUE") {
            return self.expression().map(Select::Value);
        }
        let mut fields: Vec<(String, Expression)> = Vec::new();
        loop {
            let expression = self.expression()?;
            let name = match self.peek() {
                Some(Kind::Word(word)) if word.eq_ignore_ascii_case("AS") => {
                    self.next += 1;
                    self.name()?
                }
                Some(Kind::Word(word)) if !is_keyword(word) => self.name()?,
                _ => implied_name(&expression, fields.len() + 1),
            };
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(Problem::syntax(self.at(), "a second field of the same name"));
            }
            fields.push((name, expression));
            if !self.symbol(",") {
                return Ok(Select::Fields(fields));
            }
        }
    }

    fn from(&mut self) -> Result<(), Problem> {
        self.name()?;
        if self.is_symbol(".") || self.is_symbol("[") || self.is_word("IN") {
            return Err(Problem::unsupported("FROM with another source than the container"));
        }
        if self.word("AS") || matches!(self.peek(), Some(Kind::Word(word)) if !is_keyword(word)) {
            self.name()?;
        }
        if self.is_word("JOIN") || self.is_symbol(",") {
            return Err(Problem::unsupported("JOIN"));
        }
        Ok(())
    }

    /// A number of documents: digits, or a parameter.
    fn count(&mut self) -> Result<u64, Problem> {
        let at = self.at();
        let value = match self.peek() {
            Some(Kind::Number(value)) => Some(*value),
            Some(Kind::Parameter(name)) => {
                let value = self.parameters.get(*name).ok_or_else(|| Problem::Parameter((*name).to_owned()))?;
                value.as_f64()
            }
            _ => None,
        };
        self.next += 1;
        let value = value.ok_or_else(|| Problem::syntax(at, "something that is not a number of documents"))?;
        whole(value, at).map(|count| count as u64)
    }

    fn name(&mut self) -> Result<String, Problem> {
        match self.peek() {
            Some(Kind::Word(word)) if !is_keyword(word) => {
                self.next += 1;
                Ok((*word).to_owned())
            }
            _ => Err(Problem::syntax(self.at(), "something where a name should be; keywords go into [\"…\"]")),
        }
    }

    fn peek(&self) -> Option<&'t Kind<'a>> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |token| token.at)
    }

    fn is_word(&self, keyword: &str) -> bool {
        matches!(self.peek(), Some(Kind::Word(word)) if word.eq_ignore_ascii_case(keyword))
    }

    fn word(&mut self, keyword: &str) -> bool {
        let found = self.is_word(keyword);
        self.next += usize::from(found);
        found
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), Some(Kind::Symbol(found)) if *found == symbol)
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        self.next += usize::from(found);
        found
    }

    fn expect_word(&mut self, word: &'static str) -> Result<(), Problem> {
        if self.word(word) { Ok(()) } else { Err(Problem::Expected { what: word, at: self.at() }) }
    }

    fn expect_symbol(&mut self, symbol: &'static str) -> Result<(), Problem> {
        if self.symbol(symbol) { Ok(()) } else { Err(Problem::Expected { what: symbol, at: self.at() }) }
    }
}

fn whole(value: f64, at: usize) -> Result<usize, Problem> {
    if value.fract() != 0.0 || !(0.0..=9.0e15).contains(&value) {
        return Err(Problem::syntax(at, "a number that is not a whole one"));
    }
    // In range by the line above.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(value as usize)
}

/// The name that a field has without AS: the last step of its path, or its number.
fn implied_name(expression: &Expression, number: usize) -> String {
    match expression {
        Expression::Member(_, Step::Property(name)) => name.clone(),
        _ => format!("${number}"),
    }
}

/// What can be said clause by clause but makes no sense, or too much of it, together.
fn check(query: &Query) -> Result<(), Problem> {
    if !query.is_aggregate() {
        return Ok(());
    }
    if query.select == Select::All {
        return Err(Problem::unsupported("SELECT * with GROUP BY"));
    }
    if query.order_by.is_some() {
        return Err(Problem::unsupported("ORDER BY together with aggregates or GROUP BY"));
    }
    let looks_at_one = |expression: &&Expression| looks_at_one_document(expression, query.group_by.as_ref());
    if query.select.expressions().iter().any(looks_at_one) {
        return Err(Problem::unsupported("fields that are neither aggregates nor what GROUP BY names"));
    }
    Ok(())
}

/// Whether an expression needs a document outside of aggregates and of what is grouped by.
fn looks_at_one_document(expression: &Expression, group_by: Option<&Expression>) -> bool {
    match expression {
        Expression::Document => true,
        Expression::Aggregate(..) => false,
        grouped if Some(grouped) == group_by => false,
        other => other.parts().into_iter().any(|part| looks_at_one_document(part, group_by)),
    }
}

#[cfg(test)]
mod tests {
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
            parsed("SELECT TOP 5 c.id, c.ttl AS x FROM c WHERE c.a = @p ORDER BY c.b DESC OFFSET 1 LIMIT @n").unwrap();
        assert_eq!(query.top, Some(5));
        assert_eq!((query.offset, query.limit), (Some(1), Some(3)));
        assert!(matches!(query.order_by, Some((_, Direction::Descending))));
        let Select::Fields(fields) = query.select else { panic!("{:?}", query.select) };
        let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["id", "x"]);
    }

    #[test]
    fn documents_can_have_any_name() {
        for text in ["select * from root r where r.x = 1", "SELECT * FROM root AS r WHERE r.x = 1"] {
            assert_eq!(parsed(text).unwrap().alias, "r", "{text}");
        }
        assert_eq!(parsed("SELECT root.id FROM root").unwrap().alias, "root");
        assert!(problem("SELECT x.id FROM c").contains("`x`"));
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
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (text, named) in [
            ("SELECT DISTINCT c.id FROM c", "DISTINCT"),
            ("SELECT * FROM c JOIN t IN c.tags", "JOIN"),
            ("SELECT VALUE t FROM t IN c.tags", "FROM"),
            ("SELECT * FROM c WHERE c.x LIKE 'a%'", "LIKE"),
            ("SELECT * FROM c WHERE EXISTS(SELECT VALUE 1)", "subqueries"),
            ("SELECT udf.f(c) FROM c", "udf"),
            ("SELECT VALUE SOUNDEX(c.id) FROM c", "SOUNDEX"),
            ("SELECT * FROM c ORDER BY c.a, c.b", "more than one"),
            ("SELECT c.id, COUNT(1) FROM c", "neither"),
            ("SELECT * FROM c HAVING c.x", "HAVING"),
            ("DELETE FROM c", "SELECT"),
        ] {
            assert!(problem(text).contains(named), "{text}: {}", problem(text));
        }
    }

    #[test]
    fn no_text_exhausts_the_stack() {
        for (open, close) in [("(", ")"), ("[", "]"), ("{\"a\":", "}"), ("ABS(", ")")] {
            let text = format!("SELECT VALUE {}1{} FROM c", open.repeat(50_000), close.repeat(50_000));
            assert!(problem(&text).contains("too deeply"), "{open}");
        }
        let (open, close) = ("[".repeat(60), format!("]{}", "[0]".repeat(60)).repeat(60));
        assert!(problem(&format!("SELECT VALUE {open}1{close} FROM c")).contains("too long"));
        assert!(parsed(&format!("SELECT VALUE c{} FROM c", ".a".repeat(100_000))).is_err());
        assert!(parsed(&format!("SELECT VALUE {}1 FROM c", "- ".repeat(100_000))).is_ok());
        assert!(parsed(&format!("SELECT * FROM c WHERE {}true", "NOT ".repeat(50_000))).is_ok());
        assert!(parsed(&format!("SELECT * FROM c WHERE true{}", " AND true".repeat(20_000))).is_ok());
        assert!(parsed(&format!("SELECT VALUE 1{} FROM c", "+1".repeat(50_000))).is_ok());
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
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
