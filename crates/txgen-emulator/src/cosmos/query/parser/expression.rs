//! Expressions, from what binds weakest to what binds strongest.

use serde_json::Value;

use super::super::Problem;
use super::super::lexer::Kind;
use super::super::syntax::{Aggregate, Comparison, Expression, Function, Operator, Step};
use super::{MAX_DEPTH, Parser, whole};

impl Parser<'_, '_> {
    pub(super) fn expression(&mut self) -> Result<Expression, Problem> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Problem::syntax(self.at(), "an expression that is nested too deeply"));
        }
        let mut parts = vec![self.conjunction()?];
        while self.word("OR") {
            parts.push(self.conjunction()?);
        }
        self.depth -= 1;
        Ok(single_or(parts, Expression::Or))
    }

    fn conjunction(&mut self) -> Result<Expression, Problem> {
        let mut parts = vec![self.negation()?];
        while self.word("AND") {
            parts.push(self.negation()?);
        }
        Ok(single_or(parts, Expression::And))
    }

    fn negation(&mut self) -> Result<Expression, Problem> {
        let mut negated = false;
        while self.word("NOT") {
            negated = !negated;
        }
        let inner = self.comparison()?;
        Ok(if negated { Expression::Not(Box::new(inner)) } else { inner })
    }

    fn comparison(&mut self) -> Result<Expression, Problem> {
        let left = self.sum()?;
        if let Some(comparison) = self.comparison_symbol() {
            let right = self.sum()?;
            return Ok(Expression::Compare(Box::new(left), comparison, Box::new(right)));
        }
        let negated = self.word("NOT");
        let found = if self.word("IN") {
            self.expect_symbol("(")?;
            Expression::In(Box::new(left), self.list(")")?)
        } else if self.word("BETWEEN") {
            let low = self.sum()?;
            self.expect_word("AND")?;
            Expression::Between(Box::new(left), Box::new((low, self.sum()?)))
        } else if self.is_word("LIKE") {
            return Err(Problem::unsupported("LIKE: use STARTSWITH, ENDSWITH or CONTAINS"));
        } else if self.is_symbol("?") || self.is_symbol("??") {
            return Err(Problem::unsupported("the operators ? and ??"));
        } else if negated {
            return Err(Problem::syntax(self.at(), "a NOT in this place"));
        } else {
            return Ok(left);
        };
        Ok(if negated { Expression::Not(Box::new(found)) } else { found })
    }

    fn comparison_symbol(&mut self) -> Option<Comparison> {
        let comparison = match self.peek() {
            Some(Kind::Symbol("=")) => Comparison::Equal,
            Some(Kind::Symbol("!=" | "<>")) => Comparison::NotEqual,
            Some(Kind::Symbol("<")) => Comparison::Less,
            Some(Kind::Symbol("<=")) => Comparison::LessOrEqual,
            Some(Kind::Symbol(">")) => Comparison::Greater,
            Some(Kind::Symbol(">=")) => Comparison::GreaterOrEqual,
            _ => return None,
        };
        self.next += 1;
        Some(comparison)
    }

    fn sum(&mut self) -> Result<Expression, Problem> {
        let operators = [("+", Operator::Add), ("-", Operator::Subtract), ("||", Operator::Concatenate)];
        self.chain(&operators, Self::product)
    }

    fn product(&mut self) -> Result<Expression, Problem> {
        let operators = [("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)];
        self.chain(&operators, Self::signed)
    }

    fn chain(
        &mut self,
        operators: &[(&'static str, Operator)],
        operand: fn(&mut Self) -> Result<Expression, Problem>,
    ) -> Result<Expression, Problem> {
        let first = operand(self)?;
        let mut rest = Vec::new();
        while let Some((_, operator)) = operators.iter().find(|(symbol, _)| self.symbol(symbol)) {
            rest.push((*operator, operand(self)?));
        }
        Ok(if rest.is_empty() { first } else { Expression::Arithmetic(Box::new(first), rest) })
    }

    fn signed(&mut self) -> Result<Expression, Problem> {
        let mut negative = false;
        loop {
            if self.symbol("-") {
                negative = !negative;
            } else if !self.symbol("+") {
                break;
            }
        }
        let inner = self.member()?;
        Ok(match inner {
            inner if !negative => inner,
            Expression::Constant(Some(Value::Number(number))) => {
                Expression::Constant(number.as_f64().map(|value| super::super::value::number(-value)))
            }
            inner => Expression::Negative(Box::new(inner)),
        })
    }

    fn member(&mut self) -> Result<Expression, Problem> {
        let mut inner = self.primary()?;
        let nests = !matches!(inner, Expression::Document | Expression::Constant(_));
        let mut steps = 0;
        loop {
            let step = if self.symbol(".") {
                Step::Property(self.name()?)
            } else if self.symbol("[") {
                let step = match self.peek() {
                    Some(Kind::Text(name)) => Step::Property(name.clone()),
                    Some(Kind::Number(index)) => Step::Element(whole(*index, self.at())?),
                    _ => return Err(Problem::unsupported("other things in [ ] than a text or a number")),
                };
                self.next += 1;
                self.expect_symbol("]")?;
                step
            } else {
                return Ok(inner);
            };
            // What has expressions inside may nest, and with steps at each level the whole would become very deep.
            let count = if nests { &mut self.inner_steps } else { &mut steps };
            *count += 1;
            if *count > MAX_DEPTH {
                return Err(Problem::syntax(self.at(), "a path that is too long"));
            }
            inner = Expression::Member(Box::new(inner), step);
        }
    }

    fn primary(&mut self) -> Result<Expression, Problem> {
        let at = self.at();
        let Some(token) = self.tokens.get(self.next) else {
            return Err(Problem::syntax(at, "an end where an expression should be"));
        };
        self.next += 1;
        match &token.kind {
            Kind::Number(value) => Ok(Expression::Constant(Some(super::super::value::number(*value)))),
            Kind::Text(text) => Ok(Expression::Constant(Some(Value::String(text.clone())))),
            Kind::Parameter(name) => match self.parameters.get(*name) {
                Some(value) => Ok(Expression::Constant(Some(value.clone()))),
                None => Err(Problem::Parameter((*name).to_owned())),
            },
            Kind::Symbol("(") => {
                if self.is_word("SELECT") {
                    return Err(Problem::unsupported("subqueries"));
                }
                let inner = self.expression()?;
                self.expect_symbol(")")?;
                Ok(inner)
            }
            Kind::Symbol("[") => self.list("]").map(Expression::Array),
            Kind::Symbol("{") => self.object(),
            Kind::Word(word) if self.is_symbol("(") => self.call(word),
            Kind::Word(word) => self.word_expression(word, at),
            Kind::Symbol(_) => Err(Problem::syntax(at, "something that is no expression")),
        }
    }

    fn word_expression(&self, word: &str, at: usize) -> Result<Expression, Problem> {
        let constant = |value| Ok(Expression::Constant(Some(value)));
        match word.to_ascii_lowercase().as_str() {
            "true" => constant(Value::Bool(true)),
            "false" => constant(Value::Bool(false)),
            "null" => constant(Value::Null),
            "undefined" => Ok(Expression::Constant(None)),
            "exists" | "array" => Err(Problem::unsupported("subqueries")),
            _ if word == self.alias => Ok(Expression::Document),
            _ => Err(Problem::Name { name: word.to_owned(), alias: self.alias.to_owned(), at }),
        }
    }

    fn call(&mut self, name: &str) -> Result<Expression, Problem> {
        self.expect_symbol("(")?;
        let upper = name.to_ascii_uppercase();
        if matches!(upper.as_str(), "EXISTS" | "ARRAY" | "ALL" | "FIRST" | "LAST") {
            return Err(Problem::unsupported("subqueries"));
        }
        if let Some(aggregate) = Aggregate::by_name(&upper) {
            let inner = self.expression()?;
            self.expect_symbol(")")?;
            if inner.has_aggregate() {
                return Err(Problem::unsupported("aggregates of aggregates"));
            }
            return Ok(Expression::Aggregate(aggregate, Box::new(inner)));
        }
        let Some((function, expected)) = Function::by_name(&upper) else {
            return Err(Problem::unsupported(format!("the function {upper}")));
        };
        let at = self.at();
        let arguments = self.list(")")?;
        if !expected.contains(&arguments.len()) {
            return Err(Problem::syntax(at, "another number of arguments than the function takes"));
        }
        Ok(Expression::Call(function, arguments))
    }

    /// Expressions with commas between, up to this symbol.
    fn list(&mut self, end: &'static str) -> Result<Vec<Expression>, Problem> {
        let mut items = Vec::new();
        if self.symbol(end) {
            return Ok(items);
        }
        loop {
            items.push(self.expression()?);
            if self.symbol(end) {
                return Ok(items);
            }
            self.expect_symbol(",")?;
        }
    }

    fn object(&mut self) -> Result<Expression, Problem> {
        let mut fields = Vec::new();
        if self.symbol("}") {
            return Ok(Expression::Object(fields));
        }
        loop {
            let name = match self.peek() {
                Some(Kind::Text(name)) => {
                    let name = name.clone();
                    self.next += 1;
                    name
                }
                _ => self.name()?,
            };
            self.expect_symbol(":")?;
            fields.push((name, self.expression()?));
            if self.symbol("}") {
                return Ok(Expression::Object(fields));
            }
            self.expect_symbol(",")?;
        }
    }
}

fn single_or(mut parts: Vec<Expression>, chain: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            chain(parts)
        }
        None => chain(parts),
    }
}
