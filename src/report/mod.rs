//! Figures in, text out: how a run's start, batches and totals are written.
//!
//! Pure: each format is one file that turns figures into a string; whoever calls them prints. Text carries colours as
//! ANSI escapes, which the printing edge strips where they are not wanted.

pub mod blocks;
pub mod check;
pub mod compare;
pub mod dry_run;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod html;
pub mod json;
pub mod metrics;
pub(crate) mod number;
pub mod opening;
pub mod placement;
mod remedy;
pub(crate) mod style;
pub mod table;
pub mod totals;

use crate::run::recorder::Event;
use crate::service::{Failure, ServiceName};
pub use number::counted;
pub use remedy::remedies;
pub use style::STYLES;

/// One line about something that went wrong in a run; `None` for events that are no trouble.
#[must_use]
pub fn trouble(event: &Event) -> Option<String> {
    let (line, last_told) = match event {
        Event::Batch(_) => return None,
        Event::Failed { service, row, failure, last_told } => (failed(*service, *row, failure), *last_told),
        Event::Rejected { line, reason, last_told } => (format!("Data: line {line} rejected: {reason}"), *last_told),
        Event::DataFailed(reason) => (format!("Data: {reason}"), false),
    };
    let line = single_line(&line);
    Some(if last_told { format!("{line} (more like this are counted, not shown)") } else { line })
}

/// One line about a transaction that failed.
pub(crate) fn failed(service: ServiceName, row: u64, failure: &Failure) -> String {
    single_line(&format!("{service}: transaction {row} failed: {}", explained(failure)))
}

/// A failure, and whether its transaction may have been stored all the same.
pub(crate) fn explained(failure: &Failure) -> String {
    let told = failure.to_string();
    // Services speak in sentences, which end here.
    if failure.ambiguous { format!("{}; it may have been stored", told.trim_end_matches('.')) } else { told }
}

/// Control characters of foreign texts, which could rewrite a terminal, as visible escapes; everything on one line.
#[must_use]
pub fn single_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || rearranges(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Whether it breaks lines or changes the direction of writing, so that a text would look like another one.
/// Source: <https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>.
fn rearranges(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `(faster)` after the figure of the service that was.
fn faster_mark(service: ServiceName, faster: Option<ServiceName>) -> String {
    if faster == Some(service) {
        let good = style::GOOD;
        format!(" {good}(faster){good:#}")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::FailureKind;

    #[test]
    fn a_failure_is_one_line_with_service_row_kind_and_status() {
        let failure = Failure::new(FailureKind::TooLarge, "larger than\n1 MiB\u{1b}[2J").with_status(413).ambiguous();
        let event = Event::Failed { service: ServiceName::CosmosDb, row: 7, failure, last_told: true };
        assert_eq!(
            trouble(&event).unwrap(),
            "Cosmos DB: transaction 7 failed: too_large (413): larger than\\n1 MiB\\u{1b}[2J; it may have been stored \
             (more like this are counted, not shown)"
        );
    }

    #[test]
    fn what_could_rewrite_a_terminal_or_turn_a_text_around_is_shown_and_not_done() {
        assert_eq!(single_line("a\u{1b}]0;x\u{7}\u{202e}b\u{9b}2J\r"), r"a\u{1b}]0;x\u{7}\u{202e}b\u{9b}2J\r");
        assert_eq!(single_line("Zürich 東京 🙂"), "Zürich 東京 🙂");
    }

    #[test]
    fn a_rejected_row_is_named_by_its_line() {
        let event = Event::Rejected { line: 12, reason: "3 fields, not 28".into(), last_told: false };
        assert_eq!(trouble(&event).unwrap(), "Data: line 12 rejected: 3 fields, not 28");
    }
}
