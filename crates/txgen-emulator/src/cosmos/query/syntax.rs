//! What a query means: its clauses and expressions.

use std::sync::Arc;

use serde_json::Value;

use super::functions::Builtin;

/// A whole query, or a subquery.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Query {
    pub(super) select: Select,
    pub(super) distinct: bool,
    pub(super) top: Option<u64>,
    /// What FROM and JOIN range over, in their order. Empty without FROM.
    pub(super) sources: Vec<Source>,
    pub(super) filter: Option<Expression>,
    pub(super) group_by: Vec<Expression>,
    pub(super) order_by: Vec<(Expression, Direction)>,
    pub(super) offset: Option<u64>,
    pub(super) limit: Option<u64>,
}

/// One thing that a query ranges over.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    pub(super) variable: Variable,
    pub(super) over: Over,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Over {
    /// The documents of the container: `FROM c`.
    Documents,
    /// One value: `FROM c.children`, or each result of a subquery.
    Value(Expression),
    /// The elements of an array: `t IN c.tags`.
    Elements(Expression),
}

/// What a query calls something that it ranges over.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    /// Unique within the query; 0 is the document.
    pub(super) slot: usize,
    pub(super) name: Arc<str>,
}

/// Two are one and the same when they stand for the same thing, whatever they are called.
impl PartialEq for Variable {
    fn eq(&self, other: &Self) -> bool {
        self.slot == other.slot
    }
}

/// The slot of the document.
pub(super) const DOCUMENT: usize = 0;

/// What a query gives for each row, or for all of them together.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Select {
    /// `*`
    All(Variable),
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

/// An expression over one row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    /// The document, or what a JOIN ranges over.
    Variable(Variable),
    /// A value that stands in the query or came as a parameter; `None` is undefined.
    Constant(Option<Value>),
    /// A property, or an element.
    Member(Box<Self>, Step),
    /// The same, by an expression.
    Index(Box<(Self, Self)>),
    Not(Box<Self>),
    Negative(Box<Self>),
    /// `~e`
    Complement(Box<Self>),
    /// Chains are flat, so that no query, however long, recurses deeply.
    And(Vec<Self>),
    Or(Vec<Self>),
    /// The first that is defined.
    Coalesce(Vec<Self>),
    /// `if ? then : else`
    Conditional(Box<(Self, Self, Self)>),
    Compare(Box<Self>, Comparison, Box<Self>),
    In(Box<Self>, Vec<Self>),
    Between(Box<Self>, Box<(Self, Self)>),
    /// Text, pattern, and the character that makes the next one of the pattern stand for itself.
    Like(Box<(Self, Self)>, Option<char>),
    /// A number or text, then operations on it from left to right.
    Arithmetic(Box<Self>, Vec<(Operator, Self)>),
    Call(&'static Builtin, Vec<Self>),
    Aggregate(Aggregate, Box<Self>),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
    Subquery(Subquery, Box<Query>),
}

/// What becomes of the results of a subquery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subquery {
    /// `(SELECT …)`: its one result.
    Scalar,
    /// `EXISTS(SELECT …)`
    Exists,
    /// `ARRAY(SELECT …)`
    Array,
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
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
    ShiftRightZero,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Count,
    Sum,
    Min,
    Max,
    Average,
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
    /// The expressions that it is directly made of. Those of a subquery are its own.
    fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Variable(_) | Self::Constant(_) | Self::Subquery(..) => Vec::new(),
            Self::Member(inner, _)
            | Self::Not(inner)
            | Self::Negative(inner)
            | Self::Complement(inner)
            | Self::Aggregate(_, inner) => vec![inner],
            Self::And(parts) | Self::Or(parts) | Self::Coalesce(parts) | Self::Call(_, parts) | Self::Array(parts) => {
                parts.iter().collect()
            }
            Self::Index(pair) | Self::Like(pair, _) => vec![&pair.0, &pair.1],
            Self::Conditional(three) => vec![&three.0, &three.1, &three.2],
            Self::Compare(left, _, right) => vec![left, right],
            Self::In(inner, parts) => [inner.as_ref()].into_iter().chain(parts).collect(),
            Self::Between(inner, bounds) => vec![inner, &bounds.0, &bounds.1],
            Self::Arithmetic(first, rest) => [first.as_ref()].into_iter().chain(rest.iter().map(|(_, e)| e)).collect(),
            Self::Object(fields) => fields.iter().map(|(_, part)| part).collect(),
        }
    }

    /// Calls `visit` with this expression and all within it that belong to the same query.
    pub(super) fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        self.parts().into_iter().for_each(|part| part.walk(visit));
    }

    /// The expressions that look at the same rows: its own parts, and those of subqueries.
    pub(super) fn parts_and_subqueries(&self) -> Vec<&Self> {
        match self {
            Self::Subquery(_, query) => query.expressions(),
            other => other.parts(),
        }
    }

    fn parts_mut(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Variable(_) | Self::Constant(_) => Vec::new(),
            Self::Subquery(_, query) => query.expressions_mut(),
            Self::Member(inner, _)
            | Self::Not(inner)
            | Self::Negative(inner)
            | Self::Complement(inner)
            | Self::Aggregate(_, inner) => vec![inner],
            Self::And(parts) | Self::Or(parts) | Self::Coalesce(parts) | Self::Call(_, parts) | Self::Array(parts) => {
                parts.iter_mut().collect()
            }
            Self::Index(pair) | Self::Like(pair, _) => {
                let (first, second) = pair.as_mut();
                vec![first, second]
            }
            Self::Conditional(three) => {
                let (condition, then, otherwise) = three.as_mut();
                vec![condition, then, otherwise]
            }
            Self::Compare(left, _, right) => vec![left, right],
            Self::In(inner, parts) => [inner.as_mut()].into_iter().chain(parts).collect(),
            Self::Between(inner, bounds) => {
                let (low, high) = bounds.as_mut();
                vec![inner, low, high]
            }
            Self::Arithmetic(first, rest) => {
                [first.as_mut()].into_iter().chain(rest.iter_mut().map(|(_, part)| part)).collect()
            }
            Self::Object(fields) => fields.iter_mut().map(|(_, part)| part).collect(),
        }
    }

    /// Puts what `change` gives in the place of each part, from the outside in, that it gives something for.
    pub(super) fn replace(&mut self, change: &mut impl FnMut(&Self) -> Option<Self>) {
        match change(self) {
            Some(changed) => *self = changed,
            None => self.parts_mut().into_iter().for_each(|part| part.replace(change)),
        }
    }

    /// Whether it is, or has within it, an aggregate over the rows of its own query.
    pub(super) fn has_aggregate(&self) -> bool {
        let mut found = false;
        self.walk(&mut |part| found |= matches!(part, Self::Aggregate(..)));
        found
    }

    /// Whether it is the document itself.
    pub(super) fn is_document(&self) -> bool {
        matches!(self, Self::Variable(Variable { slot: DOCUMENT, .. }))
    }

    /// The property of the document that it is, such as `id` for `c.id`.
    pub(super) fn as_property(&self) -> Option<&str> {
        match self {
            Self::Member(inner, Step::Property(name)) if inner.is_document() => Some(name),
            _ => None,
        }
    }

    /// The path in the document that it is, such as `/a/b` for `c.a.b`.
    pub(super) fn as_path(&self) -> Option<Vec<&str>> {
        match self {
            Self::Variable(Variable { slot: DOCUMENT, .. }) => Some(Vec::new()),
            Self::Member(inner, Step::Property(name)) => {
                let mut path = inner.as_path()?;
                path.push(name);
                Some(path)
            }
            _ => None,
        }
    }
}

impl Select {
    /// All its expressions.
    pub(super) fn expressions(&self) -> Vec<&Expression> {
        match self {
            Self::All(_) => Vec::new(),
            Self::Value(expression) => vec![expression],
            Self::Fields(fields) => fields.iter().map(|(_, expression)| expression).collect(),
        }
    }

    pub(super) fn expressions_mut(&mut self) -> Vec<&mut Expression> {
        match self {
            Self::All(_) => Vec::new(),
            Self::Value(expression) => vec![expression],
            Self::Fields(fields) => fields.iter_mut().map(|(_, expression)| expression).collect(),
        }
    }
}

impl Over {
    fn expression(&self) -> Option<&Expression> {
        match self {
            Self::Documents => None,
            Self::Value(expression) | Self::Elements(expression) => Some(expression),
        }
    }

    fn expression_mut(&mut self) -> Option<&mut Expression> {
        match self {
            Self::Documents => None,
            Self::Value(expression) | Self::Elements(expression) => Some(expression),
        }
    }
}

impl Query {
    /// Whether it gives one result for many rows.
    pub(super) fn is_aggregate(&self) -> bool {
        !self.group_by.is_empty() || self.select.expressions().into_iter().any(Expression::has_aggregate)
    }

    /// Whether each document gives one row at most, which is the document itself.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.sources.as_slice(), [Source { over: Over::Documents, .. }])
    }

    /// What it calls the documents.
    pub(super) fn root(&self) -> &str {
        let Some(first) = self.sources.first() else { return "c" };
        let mut name = None;
        if let Some(expression) = first.over.expression() {
            expression.walk(&mut |part| match part {
                Expression::Variable(variable) if part.is_document() => name = name.or(Some(variable.name.as_ref())),
                _ => {}
            });
        }
        name.unwrap_or(&first.variable.name)
    }

    /// The conditions that a row has to meet, all of them.
    pub(super) fn conditions(&self) -> &[Expression] {
        match &self.filter {
            None => &[],
            Some(Expression::And(parts)) => parts,
            Some(single) => std::slice::from_ref(single),
        }
    }

    /// All its expressions.
    pub(super) fn expressions(&self) -> Vec<&Expression> {
        let mut all = self.select.expressions();
        all.extend(self.sources.iter().filter_map(|source| source.over.expression()));
        all.extend(self.filter.as_ref());
        all.extend(&self.group_by);
        all.extend(self.order_by.iter().map(|(expression, _)| expression));
        all
    }

    pub(super) fn expressions_mut(&mut self) -> Vec<&mut Expression> {
        let mut all = self.select.expressions_mut();
        all.extend(self.sources.iter_mut().filter_map(|source| source.over.expression_mut()));
        all.extend(self.filter.as_mut());
        all.extend(&mut self.group_by);
        all.extend(self.order_by.iter_mut().map(|(expression, _)| expression));
        all
    }
}
