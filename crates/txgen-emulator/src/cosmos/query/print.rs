//! Expressions as text again, for the queries that plans make clients send.

use std::fmt;

use serde_json::Value;

use super::syntax::{
    Aggregate, Comparison, Direction, Expression, Operator, Over, Query, Select, Source, Step, Subquery,
};

/// An expression as text.
pub(super) struct Printed<'a>(pub(super) &'a Expression);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p = Printed;
        match self.0 {
            Expression::Variable(variable) => f.write_str(&variable.name),
            Expression::Constant(None) => f.write_str("undefined"),
            Expression::Constant(Some(value)) => write!(f, "{value}"),
            Expression::Member(inner, Step::Property(name)) => {
                write!(f, "{}[{}]", p(inner), Value::from(name.as_str()))
            }
            Expression::Member(inner, Step::Element(index)) => write!(f, "{}[{index}]", p(inner)),
            Expression::Index(pair) => write!(f, "{}[{}]", p(&pair.0), p(&pair.1)),
            Expression::Not(inner) => write!(f, "(NOT {})", p(inner)),
            Expression::Negative(inner) => write!(f, "(-{})", p(inner)),
            Expression::Complement(inner) => write!(f, "(~{})", p(inner)),
            Expression::And(parts) => joined(f, "(", parts, " AND ", ")"),
            Expression::Or(parts) => joined(f, "(", parts, " OR ", ")"),
            Expression::Coalesce(parts) => joined(f, "(", parts, " ?? ", ")"),
            Expression::Conditional(three) => write!(f, "({} ? {} : {})", p(&three.0), p(&three.1), p(&three.2)),
            Expression::Compare(left, comparison, right) => {
                write!(f, "({} {} {})", p(left), comparison.symbol(), p(right))
            }
            Expression::In(inner, parts) => {
                write!(f, "({} IN ", p(inner))?;
                joined(f, "(", parts, ", ", "))")
            }
            Expression::Between(inner, bounds) => {
                write!(f, "({} BETWEEN {} AND {})", p(inner), p(&bounds.0), p(&bounds.1))
            }
            Expression::Like(pair, escape) => {
                write!(f, "({} LIKE {}", p(&pair.0), p(&pair.1))?;
                match escape {
                    Some(escape) => write!(f, " ESCAPE {})", Value::from(escape.to_string())),
                    None => f.write_str(")"),
                }
            }
            Expression::Arithmetic(first, rest) => {
                write!(f, "({}", p(first))?;
                for (operator, part) in rest {
                    write!(f, " {} {}", operator.symbol(), p(part))?;
                }
                f.write_str(")")
            }
            Expression::Call(function, arguments) => {
                f.write_str(function.name)?;
                joined(f, "(", arguments, ", ", ")")
            }
            Expression::Aggregate(aggregate, of) => write!(f, "{}({})", aggregate.name(), p(of)),
            Expression::Array(parts) => joined(f, "[", parts, ", ", "]"),
            Expression::Object(fields) => {
                f.write_str("{")?;
                for (index, (name, field)) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{}: {}", Value::from(name.as_str()), p(field))?;
                }
                f.write_str("}")
            }
            Expression::Subquery(kind, query) => {
                let name = match kind {
                    Subquery::Scalar => "",
                    Subquery::Exists => "EXISTS",
                    Subquery::Array => "ARRAY",
                };
                write!(f, "{name}({query})")
            }
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, open: &str, parts: &[Expression], between: &str, close: &str) -> fmt::Result {
    f.write_str(open)?;
    for (index, part) in parts.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { between })?;
        write!(f, "{}", Printed(part))?;
    }
    f.write_str(close)
}

/// A whole query.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SELECT ")?;
        f.write_str(if self.distinct { "DISTINCT " } else { "" })?;
        if let Some(top) = self.top {
            write!(f, "TOP {top} ")?;
        }
        write!(f, "{}{}", self.select, From(&self.sources))?;
        if let Some(filter) = &self.filter {
            write!(f, " WHERE {}", Printed(filter))?;
        }
        for (index, by) in self.group_by.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { " GROUP BY " } else { ", " }, Printed(by))?;
        }
        write!(f, "{}", OrderBy(&self.order_by))?;
        match (self.offset, self.limit) {
            (Some(offset), Some(limit)) => write!(f, " OFFSET {offset} LIMIT {limit}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(_) => f.write_str("*"),
            Self::Value(value) => write!(f, "VALUE {}", Printed(value)),
            Self::Fields(fields) => {
                for (index, (name, field)) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    // Any text may be a name in quotation marks, also one that is no word.
                    write!(f, "{comma}{} AS {}", Printed(field), Value::from(name.as_str()))?;
                }
                Ok(())
            }
        }
    }
}

/// ` FROM …`
pub(super) struct From<'a>(pub(super) &'a [Source]);

impl fmt::Display for From<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Source { variable, over }) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { " FROM " } else { " JOIN " })?;
            let name = &variable.name;
            match over {
                Over::Documents => f.write_str(name)?,
                Over::Value(path) => write!(f, "{}", Printed(path))?,
                Over::Elements(Expression::Subquery(_, query)) => write!(f, "({query})")?,
                Over::Elements(path) => write!(f, "{name} IN {}", Printed(path))?,
            }
            let is_named = matches!(over, Over::Value(_) | Over::Elements(Expression::Subquery(..)));
            if is_named && !name.is_empty() {
                write!(f, " AS {name}")?;
            }
        }
        Ok(())
    }
}

/// ` ORDER BY …`
pub(super) struct OrderBy<'a>(pub(super) &'a [(Expression, Direction)]);

impl fmt::Display for OrderBy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (by, direction)) in self.0.iter().enumerate() {
            let keyword = if *direction == Direction::Ascending { "ASC" } else { "DESC" };
            write!(f, "{}{} {keyword}", if index == 0 { " ORDER BY " } else { ", " }, Printed(by))?;
        }
        Ok(())
    }
}

impl Comparison {
    fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl Operator {
    fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Concatenate => "||",
            Self::BitAnd => "&",
            Self::BitOr => "|",
            Self::BitXor => "^",
            Self::ShiftLeft => "<<",
            Self::ShiftRight => ">>",
            Self::ShiftRightZero => ">>>",
        }
    }
}

impl Aggregate {
    fn name(self) -> &'static str {
        match self {
            Self::Count => "COUNT",
            Self::Sum => "SUM",
            Self::Min => "MIN",
            Self::Max => "MAX",
            Self::Average => "AVG",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parser::parse;

    #[test]
    fn what_is_printed_reads_as_the_same() {
        for text in [
            "SELECT * FROM c WHERE c.a = 1 AND NOT (c.b != 'x\"y' OR c.c IN (1, null, true))",
            "SELECT VALUE c['a b'][0].x >= -1.5 + 2 * c.n - 3 FROM c",
            "SELECT * FROM c WHERE c.x NOT BETWEEN 1 AND 2 AND STARTSWITH(c.t, 'é', true)",
            "SELECT {\"a\": [c, c.x], b: undefined} = c.o AS \"a b\", c.y FROM c",
            "SELECT DISTINCT TOP 3 c.id, t FROM c JOIN t IN c.tags WHERE t LIKE 'a!%%' ESCAPE '!'",
            "SELECT c.a ?? c.b ?? 1 AS x, c.a ? 1 : 2 AS y FROM r AS c",
            "SELECT VALUE ~c.a & 3 | c.b ^ 1 << 2 >>> 3 FROM c ORDER BY c.a DESC, c.b OFFSET 1 LIMIT 2",
            "SELECT COUNT(1) AS n, c.a FROM c GROUP BY c.a, c.b",
            "SELECT VALUE f FROM f IN c.children WHERE EXISTS(SELECT VALUE g FROM g IN f.grades WHERE g > 1)",
            "SELECT ARRAY(SELECT VALUE t.n FROM t IN c.tags) AS n, (SELECT VALUE COUNT(1) FROM t IN c.tags) AS m FROM c",
            "SELECT t FROM c JOIN (SELECT VALUE t FROM t IN c.tags WHERE t.x > 1) AS t WHERE c[c.k] = 1",
            "SELECT * FROM c.a.b AS x",
        ] {
            let query = parse(text, &Default::default()).unwrap();
            let printed = query.to_string();
            assert_eq!(parse(&printed, &Default::default()).unwrap(), query, "{text} became {printed}");
        }
    }
}
