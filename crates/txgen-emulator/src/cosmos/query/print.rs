//! Expressions as text again, for the queries that plans tell the clients to send.

use std::fmt;

use serde_json::Value;

use super::syntax::{Aggregate, Comparison, Expression, Function, Operator, Step};

/// An expression with the name that its documents have.
pub(super) struct Printed<'a>(pub(super) &'a Expression, pub(super) &'a str);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alias = self.1;
        let p = |inner| Printed(inner, alias);
        match self.0 {
            Expression::Document => f.write_str(alias),
            Expression::Constant(None) => f.write_str("undefined"),
            Expression::Constant(Some(value)) => write!(f, "{value}"),
            Expression::Member(inner, Step::Property(name)) => {
                write!(f, "{}[{}]", p(inner), Value::from(name.as_str()))
            }
            Expression::Member(inner, Step::Element(index)) => write!(f, "{}[{index}]", p(inner)),
            Expression::Not(inner) => write!(f, "(NOT {})", p(inner)),
            Expression::Negative(inner) => write!(f, "(-{})", p(inner)),
            Expression::And(parts) => joined(f, "(", parts, " AND ", ")", alias),
            Expression::Or(parts) => joined(f, "(", parts, " OR ", ")", alias),
            Expression::Compare(left, comparison, right) => {
                write!(f, "({} {} {})", p(left), comparison.symbol(), p(right))
            }
            Expression::In(inner, parts) => {
                write!(f, "({} IN ", p(inner))?;
                joined(f, "(", parts, ", ", "))", alias)
            }
            Expression::Between(inner, bounds) => {
                write!(f, "({} BETWEEN {} AND {})", p(inner), p(&bounds.0), p(&bounds.1))
            }
            Expression::Arithmetic(first, rest) => {
                write!(f, "({}", p(first))?;
                for (operator, part) in rest {
                    write!(f, " {} {}", operator.symbol(), p(part))?;
                }
                f.write_str(")")
            }
            Expression::Call(function, arguments) => {
                f.write_str(function.name())?;
                joined(f, "(", arguments, ", ", ")", alias)
            }
            Expression::Aggregate(aggregate, of) => write!(f, "{}({})", aggregate.name(), p(of)),
            Expression::Array(parts) => joined(f, "[", parts, ", ", "]", alias),
            Expression::Object(fields) => {
                f.write_str("{")?;
                for (index, (name, field)) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{}: {}", Value::from(name.as_str()), p(field))?;
                }
                f.write_str("}")
            }
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    open: &str,
    parts: &[Expression],
    between: &str,
    close: &str,
    alias: &str,
) -> fmt::Result {
    f.write_str(open)?;
    for (index, part) in parts.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { between })?;
        write!(f, "{}", Printed(part, alias))?;
    }
    f.write_str(close)
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

impl Function {
    fn name(self) -> &'static str {
        match self {
            Self::StartsWith => "STARTSWITH",
            Self::EndsWith => "ENDSWITH",
            Self::Contains => "CONTAINS",
            Self::StringEquals => "STRINGEQUALS",
            Self::IsDefined => "IS_DEFINED",
            Self::IsNull => "IS_NULL",
            Self::IsBool => "IS_BOOL",
            Self::IsNumber => "IS_NUMBER",
            Self::IsInteger => "IS_INTEGER",
            Self::IsString => "IS_STRING",
            Self::IsArray => "IS_ARRAY",
            Self::IsObject => "IS_OBJECT",
            Self::IsPrimitive => "IS_PRIMITIVE",
            Self::Lower => "LOWER",
            Self::Upper => "UPPER",
            Self::Length => "LENGTH",
            Self::Abs => "ABS",
            Self::Floor => "FLOOR",
            Self::Ceiling => "CEILING",
            Self::Round => "ROUND",
            Self::Concat => "CONCAT",
            Self::ArrayContains => "ARRAY_CONTAINS",
            Self::ArrayLength => "ARRAY_LENGTH",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parser::parse;
    use super::*;

    #[test]
    fn what_is_printed_reads_as_the_same() {
        for text in [
            "c.a = 1 AND NOT (c.b != 'x\"y' OR c.c IN (1, null, true))",
            "c['a b'][0].x >= -1.5 + 2 * c.n - 3",
            "c.x NOT BETWEEN 1 AND 2 AND STARTSWITH(c.t, 'é', true)",
            "{\"a\": [c, c.x], b: undefined} = c.o",
        ] {
            let filter = |text: &str| {
                parse(&format!("SELECT * FROM c WHERE {text}"), &Default::default()).unwrap().filter.unwrap()
            };
            let expression = filter(text);
            let printed = Printed(&expression, "c").to_string();
            assert_eq!(filter(&printed), expression, "{text} became {printed}");
        }
    }
}
