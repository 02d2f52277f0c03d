//! Expressions, from what binds weakest to what binds strongest.

use serde_json::Value;

use super::super::Problem;
use super::super::functions::Builtin;
use super::super::lexer::Kind;
use super::super::syntax::{Aggregate, Comparison, Expression, Operator, Step, Subquery};
use super::super::value::number;
use super::{MAX_DEPTH, Parser, whole};

type Operators = [(&'static str, Operator)];

impl Parser<'_, '_> {
    pub(super) fn expression(&mut self) -> Result<Expression, Problem> {
        self.enter()?;
        let mut parts = vec![self.disjunction()?];
        while self.symbol("??") {
            parts.push(self.disjunction()?);
        }
        let mut found = single_or(parts, Expression::Coalesce);
        if self.symbol("?") {
            let then = self.expression()?;
            self.expect_symbol(":")?;
            found = Expression::Conditional(Box::new((found, then, self.expression()?)));
        }
        self.depth -= 1;
        Ok(found)
    }

    fn disjunction(&mut self) -> Result<Expression, Problem> {
        let mut parts = vec![self.conjunction()?];
        while self.word("OR") {
            parts.push(self.conjunction()?);
        }
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
        Ok(negated_if(negated, self.predicate()?))
    }

    fn predicate(&mut self) -> Result<Expression, Problem> {
        let left = self.bit_or()?;
        let negated = self.word("NOT");
        let found = if self.word("IN") {
            self.expect_symbol("(")?;
            Expression::In(Box::new(left), self.list(")")?)
        } else if self.word("BETWEEN") {
            let low = self.shift()?;
            self.expect_word("AND")?;
            Expression::Between(Box::new(left), Box::new((low, self.shift()?)))
        } else if self.word("LIKE") {
            let pattern = self.shift()?;
            let escape = if self.word("ESCAPE") { Some(self.escape()?) } else { None };
            Expression::Like(Box::new((left, pattern)), escape)
        } else if negated {
            return Err(self.unexpected("IN, BETWEEN or LIKE behind NOT"));
        } else {
            return Ok(left);
        };
        Ok(negated_if(negated, found))
    }

    /// The one character behind ESCAPE.
    fn escape(&mut self) -> Result<char, Problem> {
        let text = match self.peek() {
            Some(Kind::Text(text)) => Some(text.as_str()),
            Some(Kind::Parameter(name)) => self.parameters.get(*name).and_then(Value::as_str),
            _ => None,
        };
        let mut characters = text.unwrap_or_default().chars();
        match (characters.next(), characters.next()) {
            (Some(only), None) => {
                self.next += 1;
                Ok(only)
            }
            _ => Err(self.unexpected("a text of one character behind ESCAPE")),
        }
    }

    fn bit_or(&mut self) -> Result<Expression, Problem> {
        self.chain(&[("|", Operator::BitOr)], |parser| {
            parser
                .chain(&[("^", Operator::BitXor)], |parser| parser.chain(&[("&", Operator::BitAnd)], Self::comparison))
        })
    }

    fn comparison(&mut self) -> Result<Expression, Problem> {
        let mut left = self.shift()?;
        let mut count = 0;
        while let Some(comparison) = self.comparison_symbol() {
            // Each nests the ones before.
            count += 1;
            if count > MAX_DEPTH {
                return Err(Problem::syntax(self.at(), "too many comparisons in a row"));
            }
            let right = self.shift()?;
            left = Expression::Compare(Box::new(left), comparison, Box::new(right));
        }
        Ok(left)
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

    fn shift(&mut self) -> Result<Expression, Problem> {
        let operators = [("<<", Operator::ShiftLeft), (">>>", Operator::ShiftRightZero), (">>", Operator::ShiftRight)];
        self.chain(&operators, Self::sum)
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
        operators: &Operators,
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
            } else if self.symbol("~") {
                self.enter()?;
                let inner = Expression::Complement(Box::new(self.signed()?));
                self.depth -= 1;
                return Ok(if negative { Expression::Negative(Box::new(inner)) } else { inner });
            } else if !self.symbol("+") {
                break;
            }
        }
        let inner = self.member()?;
        Ok(match inner {
            inner if !negative => inner,
            Expression::Constant(Some(Value::Number(found))) => {
                Expression::Constant(found.as_f64().map(|value| number(-value)))
            }
            inner => Expression::Negative(Box::new(inner)),
        })
    }

    pub(super) fn member(&mut self) -> Result<Expression, Problem> {
        let mut inner = self.primary()?;
        let nests = !matches!(inner, Expression::Variable(_) | Expression::Constant(_));
        let mut steps = 0;
        loop {
            let step = if self.symbol(".") {
                Ok(Step::Property(self.name()?))
            } else if self.symbol("[") {
                let at = self.at();
                let step = match self.expression()? {
                    Expression::Constant(Some(Value::String(name))) => Ok(Step::Property(name)),
                    Expression::Constant(Some(Value::Number(index))) => {
                        Ok(Step::Element(whole(index.as_f64().unwrap_or(-1.0), at)?))
                    }
                    computed => Err(computed),
                };
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
            inner = match step {
                Ok(step) => Expression::Member(Box::new(inner), step),
                Err(computed) => Expression::Index(Box::new((inner, computed))),
            };
        }
    }

    fn primary(&mut self) -> Result<Expression, Problem> {
        let at = self.at();
        let Some(token) = self.tokens.get(self.next) else {
            return Err(Problem::syntax(at, "an end where an expression should be"));
        };
        let constant = |value| Ok(Expression::Constant(Some(value)));
        self.next += 1;
        match &token.kind {
            Kind::Number(value) => constant(number(*value)),
            Kind::Text(text) => constant(Value::String(text.clone())),
            Kind::Parameter(name) => match self.parameters.get(*name) {
                Some(value) => constant(value.clone()),
                None => Err(Problem::Parameter((*name).to_owned())),
            },
            Kind::Symbol("(") => {
                let inner = if self.is_word("SELECT") {
                    Expression::Subquery(Subquery::Scalar, Box::new(self.query()?))
                } else {
                    self.expression()?
                };
                self.expect_symbol(")")?;
                Ok(inner)
            }
            Kind::Symbol("[") => self.list("]").map(Expression::Array),
            Kind::Symbol("{") => self.object(),
            Kind::Word(word) if self.is_symbol("(") => self.call(word),
            Kind::Word(word) if word.eq_ignore_ascii_case("udf") && self.is_symbol(".") => {
                Err(Problem::unsupported("user-defined functions (udf.…)"))
            }
            Kind::Word(word) => self.word_expression(word, at),
            Kind::Symbol(_) => {
                self.next -= 1;
                Err(self.unexpected("an expression"))
            }
        }
    }

    fn word_expression(&mut self, word: &str, at: usize) -> Result<Expression, Problem> {
        let constant = |value| Ok(Expression::Constant(Some(value)));
        match word.to_ascii_lowercase().as_str() {
            "true" => constant(Value::Bool(true)),
            "false" => constant(Value::Bool(false)),
            "null" => constant(Value::Null),
            "undefined" => Ok(Expression::Constant(None)),
            _ if super::is_keyword(word) => {
                self.next -= 1;
                Err(self.unexpected("an expression"))
            }
            _ => match self.names.iter().rev().find(|variable| variable.name.as_ref() == word) {
                Some(variable) => Ok(Expression::Variable(variable.clone())),
                None => {
                    let known =
                        self.names.iter().map(|variable| variable.name.as_ref()).filter(|name| !name.is_empty());
                    let known = known.collect::<Vec<_>>().join("`, `");
                    Err(Problem::Name { name: word.to_owned(), known, at })
                }
            },
        }
    }

    fn call(&mut self, name: &str) -> Result<Expression, Problem> {
        self.expect_symbol("(")?;
        let upper = name.to_ascii_uppercase();
        if self.is_word("SELECT") {
            let kind = match upper.as_str() {
                "EXISTS" => Subquery::Exists,
                "ARRAY" => Subquery::Array,
                _ => return Err(Problem::unsupported(format!("{upper} of a subquery"))),
            };
            let query = self.query()?;
            self.expect_symbol(")")?;
            return Ok(Expression::Subquery(kind, Box::new(query)));
        }
        if let Some(aggregate) = Aggregate::by_name(&upper) {
            let inner = self.expression()?;
            self.expect_symbol(")")?;
            if inner.has_aggregate() {
                return Err(Problem::unsupported("aggregates of aggregates"));
            }
            return Ok(Expression::Aggregate(aggregate, Box::new(inner)));
        }
        let Some(function) = Builtin::by_name(&upper) else {
            return Err(Problem::unsupported(format!("the function {upper}")));
        };
        let at = self.at();
        let arguments = self.list(")")?;
        if !function.takes(arguments.len()) {
            return Err(Problem::Message(format!(
                "The {} function requires {} argument(s), and not {}, at character {at}.",
                function.name,
                function.arity(),
                arguments.len(),
            )));
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
            let name = self.name_or_text()?;
            self.expect_symbol(":")?;
            fields.push((name, self.expression()?));
            if self.symbol("}") {
                return Ok(Expression::Object(fields));
            }
            self.expect_symbol(",")?;
        }
    }
}

fn negated_if(negated: bool, inner: Expression) -> Expression {
    if negated { Expression::Not(Box::new(inner)) } else { inner }
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
