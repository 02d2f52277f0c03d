//! Why one attempt did not store an event.

use std::fmt;

use super::condition::{self, Class, Retry};
use crate::service::{Failure, FailureKind};

/// Texts of services and operating systems are cut here: an error is one line, not a page.
const LONGEST: usize = 400;

/// Why one attempt, at sending or at connecting, did not succeed, and whether another one can.
#[derive(Clone, Debug)]
pub(super) struct Setback {
    /// What a failure by this is counted as.
    pub(super) kind: FailureKind,
    /// The service's own code, such as `amqp:not-found` or `401`.
    pub(super) status: Option<String>,
    /// One line for a human, without secrets.
    pub(super) message: String,
    /// Whether sending again can help.
    pub(super) retry: Retry,
    /// Whether the event may have been stored all the same.
    pub(super) ambiguous: bool,
    /// Whether the request left the machine: if not, trying again is no resend.
    pub(super) left: bool,
}

impl Setback {
    /// The service answered with an error condition.
    pub(super) fn answered(condition: &str, description: Option<&str>) -> Self {
        let class = condition::of_condition(condition);
        Self::of_class(class, condition.to_owned(), description.unwrap_or("the service gave no reason"))
    }

    /// `$cbs` or `$management` answered with this status code.
    pub(super) fn status(code: u16, description: Option<&str>) -> Self {
        Self::of_class(condition::of_status(code), code.to_string(), description.unwrap_or("no description"))
    }

    fn of_class(class: Class, status: String, message: &str) -> Self {
        let Class { kind, retry, ambiguous } = class;
        Self { kind, status: Some(status), message: one_line(message), retry, ambiguous, left: true }
    }

    /// No answer came: the connection was lost, or the time is out.
    pub(super) fn unanswered(kind: FailureKind, message: impl fmt::Display) -> Self {
        Self {
            kind,
            status: None,
            message: one_line(&message.to_string()),
            retry: Retry::Resend,
            ambiguous: true,
            left: true,
        }
    }

    /// The request did not leave; it can go another way.
    pub(super) fn not_sent(kind: FailureKind, message: impl fmt::Display) -> Self {
        Self { ambiguous: false, left: false, ..Self::unanswered(kind, message) }
    }

    /// The request did not leave, and never will.
    pub(super) fn impossible(kind: FailureKind, message: impl fmt::Display) -> Self {
        Self { retry: Retry::Never, ..Self::not_sent(kind, message) }
    }

    /// The failure of the whole transaction that ends with this setback.
    pub(super) fn into_failure(self, ambiguous: bool) -> Failure {
        Failure { kind: self.kind, status: self.status, message: self.message, ambiguous: ambiguous || self.ambiguous }
    }
}

impl fmt::Display for Setback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.status {
            Some(status) => write!(f, "{} ({status})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// White space of all kinds becomes single blanks, and what is too long is cut.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|&end| line.is_char_boundary(end)).unwrap_or(0);
            line.truncate(end);
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_several_lines_becomes_one() {
        assert_eq!(one_line(" No such\r\n hub.\tTrackingId:1\n"), "No such hub. TrackingId:1");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let cut = one_line(&"é".repeat(1_000));
        assert!(cut.len() <= LONGEST + '…'.len_utf8() && cut.ends_with("é…"));
    }

    #[test]
    fn what_never_left_is_not_ambiguous() {
        assert!(!Setback::not_sent(FailureKind::Connection, "no link").into_failure(false).ambiguous);
        assert!(Setback::unanswered(FailureKind::Connection, "lost").into_failure(false).ambiguous);
    }

    #[test]
    fn an_earlier_ambiguous_attempt_makes_a_clear_refusal_ambiguous() {
        assert!(Setback::answered("amqp:not-found", None).into_failure(true).ambiguous);
    }
}
