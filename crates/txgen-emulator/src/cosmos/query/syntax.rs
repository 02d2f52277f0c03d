//! What a query means: its clauses and expressions.

use serde_json::Value;

/// A whole query.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Query {
    pub(super) select: Select,
    pub(super) top: Option<u64>,
    pub(super) filter: Option<Expression>,
    pub(super) group_by: Option<Expression>,
    pub(super) order_by: Option<(Expression, Direction)>,
    pub(super) offset: Option<u64>,
    pub(super) limit: Option<u64>,
    /// What the documents are called in it.
    pub(super) alias: String,
}

/// What a query gives for each document, or for all of them together.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Select {
    /// `*`
    All,
    /// `VALUE e`
    Value(Expression),
    /// `e AS name, …`
    Fields(Vec<(String, Expression)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Ascending,
    Descending,
}

/// An expression over one document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    /// The document itself.
    Document,
    /// A value that stands in the query or came as a parameter; `None` is undefined.
    Constant(Option<Value>),
    /// A property, or an element.
    Member(Box<Self>, Step),
    Not(Box<Self>),
    Negative(Box<Self>),
    /// Chains are flat, so that no query, however long, recurses deeply.
    And(Vec<Self>),
    Or(Vec<Self>),
    Compare(Box<Self>, Comparison, Box<Self>),
    In(Box<Self>, Vec<Self>),
    Between(Box<Self>, Box<(Self, Self)>),
    /// A number or text, then operations on it from left to right.
    Arithmetic(Box<Self>, Vec<(Operator, Self)>),
    Call(Function, Vec<Self>),
    Aggregate(Aggregate, Box<Self>),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Property(String),
    Element(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Concatenate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Count,
    Sum,
    Min,
    Max,
    Average,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    StartsWith,
    EndsWith,
    Contains,
    StringEquals,
    IsDefined,
    IsNull,
    IsBool,
    IsNumber,
    IsInteger,
    IsString,
    IsArray,
    IsObject,
    IsPrimitive,
    Lower,
    Upper,
    Length,
    Abs,
    Floor,
    Ceiling,
    Round,
    Concat,
    ArrayContains,
    ArrayLength,
}

impl Function {
    /// The function, and how many arguments it takes at least and at most.
    pub(super) fn by_name(name: &str) -> Option<(Self, std::ops::RangeInclusive<usize>)> {
        Some(match name {
            "STARTSWITH" => (Self::StartsWith, 2..=3),
            "ENDSWITH" => (Self::EndsWith, 2..=3),
            "CONTAINS" => (Self::Contains, 2..=3),
            "STRINGEQUALS" | "STRING_EQUALS" => (Self::StringEquals, 2..=3),
            "IS_DEFINED" => (Self::IsDefined, 1..=1),
            "IS_NULL" => (Self::IsNull, 1..=1),
            "IS_BOOL" => (Self::IsBool, 1..=1),
            "IS_NUMBER" => (Self::IsNumber, 1..=1),
            "IS_INTEGER" => (Self::IsInteger, 1..=1),
            "IS_STRING" => (Self::IsString, 1..=1),
            "IS_ARRAY" => (Self::IsArray, 1..=1),
            "IS_OBJECT" => (Self::IsObject, 1..=1),
            "IS_PRIMITIVE" => (Self::IsPrimitive, 1..=1),
            "LOWER" => (Self::Lower, 1..=1),
            "UPPER" => (Self::Upper, 1..=1),
            "LENGTH" => (Self::Length, 1..=1),
            "ABS" => (Self::Abs, 1..=1),
            "FLOOR" => (Self::Floor, 1..=1),
            "CEILING" => (Self::Ceiling, 1..=1),
            "ROUND" => (Self::Round, 1..=1),
            "CONCAT" => (Self::Concat, 2..=1000),
            "ARRAY_CONTAINS" => (Self::ArrayContains, 2..=2),
            "ARRAY_LENGTH" => (Self::ArrayLength, 1..=1),
            _ => return None,
        })
    }
}

impl Aggregate {
    pub(super) fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "COUNT" => Self::Count,
            "SUM" => Self::Sum,
            "MIN" => Self::Min,
            "MAX" => Self::Max,
            "AVG" => Self::Average,
            _ => return None,
        })
    }

    /// What the clients call it in query plans.
    pub(super) fn plan_name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Sum => "Sum",
            Self::Min => "Min",
            Self::Max => "Max",
            Self::Average => "Average",
        }
    }
}

impl Expression {
    /// The expressions that it is directly made of.
    pub(super) fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Document | Self::Constant(_) => Vec::new(),
            Self::Member(inner, _) | Self::Not(inner) | Self::Negative(inner) | Self::Aggregate(_, inner) => {
                vec![inner]
            }
            Self::And(parts) | Self::Or(parts) | Self::Call(_, parts) | Self::Array(parts) => parts.iter().collect(),
            Self::Compare(left, _, right) => vec![left, right],
            Self::In(inner, parts) => [inner.as_ref()].into_iter().chain(parts).collect(),
            Self::Between(inner, bounds) => vec![inner, &bounds.0, &bounds.1],
            Self::Arithmetic(first, rest) => [first.as_ref()].into_iter().chain(rest.iter().map(|(_, e)| e)).collect(),
            Self::Object(fields) => fields.iter().map(|(_, part)| part).collect(),
        }
    }

    /// Calls `visit` with this expression and all within it.
    pub(super) fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        self.parts().into_iter().for_each(|part| part.walk(visit));
    }

    /// The same with what `change` gives in the place of each part, from the outside in, that it gives something for.
    pub(super) fn replaced(&self, change: &mut impl FnMut(&Self) -> Option<Self>) -> Self {
        if let Some(changed) = change(self) {
            return changed;
        }
        let mut one = |part: &Self| Box::new(part.replaced(change));
        match self {
            Self::Document | Self::Constant(_) => self.clone(),
            Self::Member(inner, step) => Self::Member(one(inner), step.clone()),
            Self::Not(inner) => Self::Not(one(inner)),
            Self::Negative(inner) => Self::Negative(one(inner)),
            Self::Aggregate(aggregate, inner) => Self::Aggregate(*aggregate, one(inner)),
            Self::And(parts) => Self::And(parts.iter().map(|part| *one(part)).collect()),
            Self::Or(parts) => Self::Or(parts.iter().map(|part| *one(part)).collect()),
            Self::Call(function, parts) => Self::Call(*function, parts.iter().map(|part| *one(part)).collect()),
            Self::Array(parts) => Self::Array(parts.iter().map(|part| *one(part)).collect()),
            Self::Compare(left, comparison, right) => Self::Compare(one(left), *comparison, one(right)),
            Self::In(inner, parts) => Self::In(one(inner), parts.iter().map(|part| *one(part)).collect()),
            Self::Between(inner, bounds) => Self::Between(one(inner), Box::new((*one(&bounds.0), *one(&bounds.1)))),
            Self::Arithmetic(first, rest) => {
                Self::Arithmetic(one(first), rest.iter().map(|(operator, part)| (*operator, *one(part))).collect())
            }
            Self::Object(fields) => {
                Self::Object(fields.iter().map(|(name, part)| (name.clone(), *one(part))).collect())
            }
        }
    }

    /// Whether it is, or has within it, an aggregate.
    pub(super) fn has_aggregate(&self) -> bool {
        let mut found = false;
        self.walk(&mut |part| found |= matches!(part, Self::Aggregate(..)));
        found
    }

    /// The property of the document that it is, such as `id` for `c.id`.
    pub(super) fn as_property(&self) -> Option<&str> {
        match self {
            Self::Member(inner, Step::Property(name)) if **inner == Self::Document => Some(name),
            _ => None,
        }
    }
}

impl Select {
    /// All its expressions.
    pub(super) fn expressions(&self) -> Vec<&Expression> {
        match self {
            Self::All => Vec::new(),
            Self::Value(expression) => vec![expression],
            Self::Fields(fields) => fields.iter().map(|(_, expression)| expression).collect(),
        }
    }
}

impl Query {
    /// Whether it gives one result for many documents.
    pub(super) fn is_aggregate(&self) -> bool {
        self.group_by.is_some() || self.select.expressions().into_iter().any(Expression::has_aggregate)
    }
}
