//! From a query's text to its meaning, by recursive descent. The grammar:
//!
//! ```text
//! query      = SELECT [DISTINCT] [TOP count] select [FROM source {JOIN source}] [WHERE expression]
//!              [GROUP BY expression {, expression}] [ORDER BY key {, key}] [OFFSET count LIMIT count]
//! select     = * | VALUE expression | expression [[AS] name] {, expression [[AS] name]}
//! source     = path [[AS] name] | name IN path | (query) [[AS] name] | name IN (query)
//! key        = expression [ASC | DESC]
//! expression = coalesce [? expression : expression]
//! coalesce   = or {?? or}
//! or         = and {OR and}
//! and        = not {AND not}
//! not        = {NOT} predicate
//! predicate  = bit-or [[NOT] IN (list) | [NOT] BETWEEN shift AND shift | [NOT] LIKE shift [ESCAPE text]]
//! bit-or     = bit-xor {| bit-xor}
//! bit-xor    = bit-and {^ bit-and}
//! bit-and    = compare {& compare}
//! compare    = shift {(= | != | <> | < | <= | > | >=) shift}
//! shift      = sum {(<< | >> | >>>) sum}
//! sum        = product {(+ | - | ||) product}
//! product    = unary {(* | / | %) unary}
//! unary      = {+ | - | ~} member
//! member     = primary {. name | [expression]}
//! primary    = number | text | @parameter | true | false | null | undefined | name | name(list)
//!            | (expression) | (query) | EXISTS(query) | ARRAY(query) | [list] | {name: expression, …}
//! ```
//!
//! Written by hand because no SQL parser that is published takes this dialect (`SELECT VALUE`, `c["x"]`, object
//! literals, OFFSET before LIMIT), and it is small. How deep expressions may nest, and how many parts a query may have,
//! is bounded, so that no text can exhaust the stack.
//! <https://learn.microsoft.com/azure/cosmos-db/nosql/query/select>

mod expression;
mod from;

use super::lexer::{Kind, Token, tokens};
use super::syntax::{Direction, Expression, Query, Select, Source, Step, Variable};
use super::{Parameters, Problem};

/// How deep expressions may nest, and how many steps a path may have.
const MAX_DEPTH: usize = 64;
/// How many things all FROMs and JOINs of a query may range over.
const MAX_SOURCES: usize = 32;

/// Reads a query. Parameters are put in where they stand.
pub(super) fn parse(text: &str, parameters: &Parameters) -> Result<Query, Problem> {
    parse_after(text, parameters, 0)
}

/// Reads a query whose names take slots after `taken`.
pub(super) fn parse_after(text: &str, parameters: &Parameters, taken: usize) -> Result<Query, Problem> {
    let tokens = tokens(text)?;
    let mut parser = Parser {
        tokens: &tokens,
        next: 0,
        end: text.len(),
        depth: 0,
        inner_steps: 0,
        names: Vec::new(),
        sources: taken,
        most_sources: taken + MAX_SOURCES,
        parameters,
    };
    let query = parser.query()?;
    match parser.tokens.get(parser.next) {
        None => Ok(query),
        Some(Token { kind: Kind::Word(word), at }) => {
            Err(Problem::Near { word: (*word).to_owned(), what: "the end of the query", at: *at })
        }
        Some(token) => Err(Problem::syntax(token.at, "something after the end of the query")),
    }
}

/// The words that end an expression or a name.
fn is_keyword(word: &str) -> bool {
    const KEYWORDS: [&str; 23] = [
        "AND", "AS", "ASC", "BETWEEN", "BY", "DESC", "DISTINCT", "ESCAPE", "EXISTS", "FROM", "GROUP", "HAVING", "IN",
        "JOIN", "LIKE", "LIMIT", "NOT", "OFFSET", "OR", "ORDER", "SELECT", "TOP", "WHERE",
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
    /// What can be named here, the innermost last.
    names: Vec<Variable>,
    /// How many sources there are so far in the whole text: the slots in use, after the document's own.
    sources: usize,
    most_sources: usize,
    parameters: &'t Parameters,
}

impl<'t, 'a> Parser<'t, 'a> {
    fn query(&mut self) -> Result<Query, Problem> {
        self.enter()?;
        self.expect_word("SELECT")?;
        let known = self.names.len();
        // FROM comes after the expressions that use its names, and is read before them.
        let start = self.next;
        let (mut sources, mut behind_from) = (Vec::new(), None);
        if let Some(from) = self.find_from() {
            self.next = from + 1;
            sources = self.sources(known == 0)?;
            behind_from = Some((from, self.next));
            self.next = start;
        } else if known == 0 {
            self.names.push(Variable { slot: super::syntax::DOCUMENT, name: "c".into() });
        }
        let distinct = self.word("DISTINCT");
        let top = if self.word("TOP") { Some(self.count()?) } else { None };
        let select = self.select(&sources)?;
        if let Some((from, behind)) = behind_from {
            if self.next != from {
                return Err(self.unexpected("FROM"));
            }
            self.next = behind;
        }
        let filter = if self.word("WHERE") { Some(self.expression()?) } else { None };
        if filter.as_ref().is_some_and(Expression::has_aggregate) {
            return Err(Problem::unsupported("aggregates in WHERE"));
        }
        let group_by: Vec<_> = self.keys("GROUP")?.into_iter().map(|(by, _)| by).collect();
        let mut order_by = self.keys("ORDER")?;
        let (offset, limit) = self.window()?;
        self.names.truncate(known);
        if group_by.is_empty() && select.expressions().into_iter().any(Expression::has_aggregate) {
            // One result is in order.
            order_by.clear();
        }
        let query = Query { select, distinct, top, sources, filter, group_by, order_by, offset, limit };
        check(&query)?;
        self.depth -= 1;
        Ok(query)
    }

    /// One level deeper, if there may be one.
    fn enter(&mut self) -> Result<(), Problem> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Problem::syntax(self.at(), "an expression that is nested too deeply"));
        }
        Ok(())
    }

    fn window(&mut self) -> Result<(Option<u64>, Option<u64>), Problem> {
        if !self.word("OFFSET") {
            return Ok((None, None));
        }
        let offset = self.count()?;
        self.expect_word("LIMIT")?;
        Ok((Some(offset), Some(self.count()?)))
    }

    /// `GROUP BY e, …`, `ORDER BY e, …`
    fn keys(&mut self, word: &'static str) -> Result<Vec<(Expression, Direction)>, Problem> {
        let mut keys = Vec::new();
        if !self.word(word) {
            return Ok(keys);
        }
        self.expect_word("BY")?;
        if word == "ORDER" && self.is_word("RANK") {
            return Err(Problem::unsupported("ORDER BY RANK"));
        }
        loop {
            let by = self.expression()?;
            if by.has_aggregate() {
                return Err(Problem::unsupported(format!("aggregates in {word} BY")));
            }
            let descending = word == "ORDER" && self.word("DESC");
            let _ = word == "ORDER" && !descending && self.word("ASC");
            keys.push((by, if descending { Direction::Descending } else { Direction::Ascending }));
            if !self.symbol(",") {
                return Ok(keys);
            }
        }
    }

    fn select(&mut self, sources: &[Source]) -> Result<Select, Problem> {
        let at = self.at();
        if self.symbol("*") {
            return match (sources, self.names.first()) {
                ([only], _) => Ok(Select::All(only.variable.clone())),
                ([], Some(document)) => Ok(Select::All(document.clone())),
                _ => Err(Problem::syntax(at, "SELECT * over more than one input set")),
            };
        }
        // `VALUE` may also be a property's alias, but no expression starts with two words in a row.
        if self.word("VALUE") {
            return self.expression().map(Select::Value);
        }
        let mut fields: Vec<(String, Expression)> = Vec::new();
        let mut unnamed = 0;
        loop {
            let expression = self.expression()?;
            let name = match self.peek() {
                Some(Kind::Word(word)) if word.eq_ignore_ascii_case("AS") => {
                    self.next += 1;
                    self.name_or_text()?
                }
                Some(Kind::Word(word)) if !is_keyword(word) => self.name()?,
                _ => implied_name(&expression).unwrap_or_else(|| {
                    unnamed += 1;
                    format!("${unnamed}")
                }),
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

    /// A number of results: digits, or a parameter.
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
        let value = value.ok_or_else(|| self.unexpected("a number of results"))?;
        self.next += 1;
        whole(value, at).map(|count| count as u64)
    }

    fn name(&mut self) -> Result<String, Problem> {
        match self.peek() {
            Some(Kind::Word(word)) if !is_keyword(word) => {
                self.next += 1;
                Ok((*word).to_owned())
            }
            _ => Err(self.unexpected("a name; keywords go into [\"…\"]")),
        }
    }

    fn name_or_text(&mut self) -> Result<String, Problem> {
        match self.peek() {
            Some(Kind::Text(name)) => {
                self.next += 1;
                Ok(name.clone())
            }
            _ => self.name(),
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
        if self.word(word) { Ok(()) } else { Err(self.unexpected(word)) }
    }

    fn expect_symbol(&mut self, symbol: &'static str) -> Result<(), Problem> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.unexpected(symbol)) }
    }

    /// The problem that something else stands here than what is expected.
    fn unexpected(&self, what: &'static str) -> Problem {
        let word = match self.peek() {
            None => return Problem::Expected { what, at: self.at() },
            Some(Kind::Word(word)) => (*word).to_owned(),
            Some(Kind::Parameter(name)) => format!("@{name}"),
            Some(Kind::Number(number)) => number.to_string(),
            Some(Kind::Text(text)) => text.clone(),
            Some(Kind::Symbol(symbol)) => (*symbol).to_owned(),
        };
        Problem::Near { word, what, at: self.at() }
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

/// The name that a field has without AS: the last step of its path.
fn implied_name(expression: &Expression) -> Option<String> {
    match expression {
        Expression::Member(_, Step::Property(name)) => Some(name.clone()),
        Expression::Variable(variable) => Some(variable.name.to_string()),
        _ => None,
    }
}

/// What can be said clause by clause but makes no sense, or too much of it, together.
fn check(query: &Query) -> Result<(), Problem> {
    if query.top.is_some() && query.offset.is_some() {
        return Err(Problem::Message("TOP and OFFSET LIMIT cannot be used in the same query.".to_owned()));
    }
    if !query.is_aggregate() {
        return Ok(());
    }
    if matches!(query.select, Select::All(_)) {
        return Err(Problem::Message("SELECT * cannot be used with GROUP BY.".to_owned()));
    }
    if !query.order_by.is_empty() {
        return Err(Problem::unsupported("ORDER BY together with aggregates or GROUP BY"));
    }
    let mut inner = Vec::new();
    query.sources.iter().for_each(|source| inner.push(source.variable.slot));
    let looks_at_one = |expression: &&Expression| looks_at_one_row(expression, query, &inner);
    if query.select.expressions().iter().any(looks_at_one) {
        return Err(Problem::Message(
            "A field of the SELECT list is neither an aggregate nor part of the GROUP BY clause.".to_owned(),
        ));
    }
    Ok(())
}

/// Whether an expression needs a row outside of aggregates and of what is grouped by.
fn looks_at_one_row(expression: &Expression, query: &Query, own: &[usize]) -> bool {
    match expression {
        Expression::Aggregate(..) => false,
        grouped if query.group_by.contains(grouped) => false,
        Expression::Variable(variable) => own.contains(&variable.slot),
        other => other.parts_and_subqueries().into_iter().any(|part| looks_at_one_row(part, query, own)),
    }
}

#[cfg(test)]
mod tests;
