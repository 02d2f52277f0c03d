//! What a run must not do: thresholds on the figures of its summary, for CI.
//!
//! A threshold is written as the condition under which the run has failed, such as `failed>0` or
//! `cosmos_db.response_time_ms.p99>50`. Pure: a text in, a check of its names before the run, and a verdict on a summary
//! after it.

mod figure;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

use std::fmt;
use std::str::FromStr;

use crate::service::ServiceName;
use crate::stats::{Summary, Verdict};
use crate::transaction::{shortened, shortened_to};
pub use figure::Figure;

/// A condition on a figure under which a run has failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    figure: Figure,
    comparison: Comparison,
    limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// So much of a name that no figure has is shown and compared with theirs: all of theirs are shorter, in characters.
const LONGEST_NAME: usize = 80;
/// As they are written; a longer one comes before the one that it begins with.
const COMPARISONS: [(&str, Comparison); 7] = [
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
    ("=", Comparison::Equal),
];

impl Comparison {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Less => value < limit,
            Self::LessOrEqual => value <= limit,
            Self::Greater => value > limit,
            Self::GreaterOrEqual => value >= limit,
            Self::Equal => value == limit,
            Self::NotEqual => value != limit,
        }
    }
}

/// A text that is no threshold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidThreshold {
    /// No comparison in it, or nothing on one side.
    #[error(
        "must be a figure of the summary, one of < <= > >= == != and a number, such as `failed>0` or \
         `cosmos_db.response_time_ms.p99>50`"
    )]
    Form,
    /// A name that no figure has.
    #[error("there is no figure `{name}`; the nearest one is `{nearest}`")]
    NoSuchFigure {
        /// The name.
        name: String,
        /// The most similar one that there is.
        nearest: String,
    },
    /// What the figure is compared with is no number.
    #[error("`{0}` is not a number; the figure's name gives its unit")]
    Number(String),
}

impl InvalidThreshold {
    fn no_such_figure(name: &str) -> Self {
        let name = shortened_to(LONGEST_NAME, name);
        let nearest = Figure::nearest(&name);
        Self::NoSuchFigure { name, nearest }
    }
}

impl FromStr for Threshold {
    type Err = InvalidThreshold;

    fn from_str(text: &str) -> Result<Self, InvalidThreshold> {
        let place = text.find(['<', '>', '=', '!']).ok_or(InvalidThreshold::Form)?;
        let (name, rest) = (text[..place].trim(), &text[place..]);
        let (sign, comparison) =
            COMPARISONS.into_iter().find(|(sign, _)| rest.starts_with(sign)).ok_or(InvalidThreshold::Form)?;
        let number = rest[sign.len()..].trim();
        if name.is_empty() || number.is_empty() {
            return Err(InvalidThreshold::Form);
        }
        let figure = Figure::named(name).ok_or_else(|| InvalidThreshold::no_such_figure(name))?;
        let limit = number.parse().ok().filter(|limit: &f64| limit.is_finite());
        let limit = limit.ok_or_else(|| InvalidThreshold::Number(shortened(number)))?;
        Ok(Self { figure, comparison, limit })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign =
            COMPARISONS.iter().find(|(_, comparison)| *comparison == self.comparison).map_or("", |(sign, _)| sign);
        write!(f, "{}{sign}{}", self.figure, self.limit)
    }
}

impl Threshold {
    /// The service whose figure is meant, where one is named.
    #[must_use]
    pub fn service(&self) -> Option<ServiceName> {
        self.figure.service()
    }

    /// Looks at a summary: one verdict, or one for each service where the figure names none.
    #[must_use]
    pub fn judge(&self, summary: &Summary) -> Vec<Verdict> {
        let values = self.figure.values(summary).into_iter();
        let verdict = |(figure, value): (Figure, Option<f64>)| Verdict {
            threshold: self.to_string(),
            figure: figure.to_string(),
            value,
            crossed: value.is_none_or(|value| self.comparison.holds(value, self.limit)),
        };
        values.map(verdict).collect()
    }

    /// Whether the threshold speaks of this count of this service.
    fn speaks_of(&self, service: ServiceName, count: &str) -> bool {
        self.figure.is_count(service, count)
    }
}

/// What becomes of these thresholds.
#[must_use]
pub fn verdicts(thresholds: &[Threshold], summary: &Summary) -> Vec<Verdict> {
    thresholds.iter().flat_map(|threshold| threshold.judge(summary)).collect()
}

/// Whether a run was good: no threshold is crossed, and nothing failed or was left unsent, unless a threshold of the
/// user's says how much of that is too much.
#[must_use]
pub fn passed(thresholds: &[Threshold], summary: &Summary) -> bool {
    let is_left_to_user = |service, count| thresholds.iter().any(|threshold| threshold.speaks_of(service, count));
    let crossed = thresholds.iter().flat_map(|threshold| threshold.judge(summary)).any(|verdict| verdict.crossed);
    let is_good = summary.services.iter().all(|(name, service)| {
        let counts = service.counts;
        // A file's figures may be anything.
        let settled = counts.succeeded.saturating_add(counts.failed).saturating_add(counts.not_sent);
        let unexplained = counts.requested.saturating_sub(settled);
        unexplained == 0
            && (counts.failed == 0 || is_left_to_user(*name, "failed"))
            && (counts.not_sent == 0 || is_left_to_user(*name, "not_sent"))
    });
    is_good && !crossed
}

#[cfg(test)]
mod tests;
