//! FROM and JOIN: what a query ranges over.

use super::super::Problem;
use super::super::lexer::Kind;
use super::super::syntax::{DOCUMENT, Expression, Over, Query, Source, Subquery, Variable};
use super::{MAX_SOURCES, Parser, implied_name, is_keyword};

impl Parser<'_, '_> {
    /// Where the FROM of the query stands whose SELECT was just read.
    pub(super) fn find_from(&self) -> Option<usize> {
        let mut depth = 0_usize;
        for (index, token) in self.tokens.iter().enumerate().skip(self.next) {
            match &token.kind {
                Kind::Symbol("(" | "[" | "{") => depth += 1,
                Kind::Symbol(")" | "]" | "}") => depth = depth.checked_sub(1)?,
                // A property may be called `from`.
                Kind::Word(word) if depth == 0 && word.eq_ignore_ascii_case("FROM") => {
                    let before = index.checked_sub(1).and_then(|before| self.tokens.get(before));
                    if !matches!(before.map(|token| &token.kind), Some(Kind::Symbol("."))) {
                        return Some(index);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// What stands behind FROM. The first name of the outermost query is that of the documents.
    pub(super) fn sources(&mut self, is_outermost: bool) -> Result<Vec<Source>, Problem> {
        let mut sources = vec![self.source(is_outermost)?];
        while self.word("JOIN") {
            sources.push(self.source(false)?);
        }
        if self.is_symbol(",") {
            return Err(Problem::unsupported("several collections in FROM: use JOIN"));
        }
        Ok(sources)
    }

    fn source(&mut self, is_root: bool) -> Result<Source, Problem> {
        if self.sources >= self.most_sources {
            return Err(Problem::unsupported(format!("more than {MAX_SOURCES} collections in FROM and JOIN")));
        }
        self.sources += 1;
        let is_element = matches!(
            (self.peek(), self.tokens.get(self.next + 1).map(|token| &token.kind)),
            (Some(Kind::Word(_)), Some(Kind::Word(word))) if word.eq_ignore_ascii_case("IN")
        );
        if is_element {
            let name = self.name()?;
            self.expect_word("IN")?;
            let over = self.collection(is_root)?.0;
            return Ok(self.named(Over::Elements(over), &name));
        }
        let (over, implied) = self.collection(is_root)?;
        let alias = if self.word("AS") || matches!(self.peek(), Some(Kind::Word(word)) if !is_keyword(word)) {
            Some(self.name()?)
        } else {
            implied
        };
        if is_root && over.is_document() {
            // Only what FROM calls the documents is their name, so that the container's own no longer is.
            self.names.clear();
            let name = alias.as_deref().unwrap_or("c");
            let variable = Variable { slot: DOCUMENT, name: name.into() };
            self.names.push(variable.clone());
            return Ok(Source { variable, over: Over::Documents });
        }
        let over = if matches!(over, Expression::Subquery(..)) { Over::Elements(over) } else { Over::Value(over) };
        Ok(self.named(over, alias.as_deref().unwrap_or("")))
    }

    /// A path or a subquery, and the name that it has without AS.
    fn collection(&mut self, is_root: bool) -> Result<(Expression, Option<String>), Problem> {
        if self.is_symbol("(") {
            self.next += 1;
            let at = self.at();
            let query = if is_root { self.outermost_subquery()? } else { self.query()? };
            self.expect_symbol(")")?;
            let looks_at_many = query.is_aggregate() || query.distinct || query.top.is_some() || query.limit.is_some();
            if is_root && (looks_at_many || !query.order_by.is_empty()) {
                return Err(Problem::Syntax {
                    what: "a subquery in FROM that looks at several documents, which this emulator does not support",
                    at,
                });
            }
            return Ok((Expression::Subquery(Subquery::Array, Box::new(query)), None));
        }
        if is_root {
            match self.peek() {
                Some(Kind::Word(word)) if !is_keyword(word) => {
                    self.names.push(Variable { slot: DOCUMENT, name: (*word).into() });
                }
                _ => return Err(self.unexpected("the name of the container")),
            }
        }
        let path = self.member()?;
        let implied = implied_name(&path);
        Ok((path, implied))
    }

    /// A subquery that the outermost query ranges over: its FROM names the documents.
    fn outermost_subquery(&mut self) -> Result<Query, Problem> {
        let names = std::mem::take(&mut self.names);
        let query = self.query()?;
        self.names = names;
        self.names.push(Variable { slot: DOCUMENT, name: "".into() });
        Ok(query)
    }

    fn named(&mut self, over: Over, name: &str) -> Source {
        let variable = Variable { slot: self.sources, name: name.into() };
        self.names.push(variable.clone());
        Source { variable, over }
    }
}
