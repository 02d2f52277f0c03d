//! Where a consumer wants to start, from the filter of its link's source.

use txgen_amqp::Malformed;
use txgen_amqp::value::{Items, Value};

use super::store::Position;

/// Reads the start position from a source's filters; without one that is known, the start of the partition.
///
/// # Errors
/// What is wrong with the filter, for the person who wrote it.
pub(super) fn position(filters: Option<Items<'_>>) -> Result<Position, String> {
    match filters.map_or(Ok(None), selector) {
        Ok(Some(text)) => parse(text).ok_or_else(|| {
            format!(
                "The filter `{}` is not supported; start a receiver with one of amqp.annotation.x-opt-offset, \
                 x-opt-sequence-number or x-opt-enqueued-time, `>` or `>=`, and a value.",
                text.chars().take(200).collect::<String>()
            )
        }),
        Ok(None) => Ok(Position::Start),
        Err(malformed) => Err(format!("The filter is not well-formed: {malformed}.")),
    }
}

/// The selector's text: a described string under `apache.org:selector-filter:string`, or `selector` from Proton.
fn selector(mut filters: Items<'_>) -> Result<Option<&str>, Malformed> {
    while let Some((key, filter)) = filters.next_pair()? {
        if matches!(key.value()?.text(), Some("apache.org:selector-filter:string" | "selector")) {
            let text = match filter.value()? {
                Value::Described(_, text) => text.value()?,
                text => text,
            };
            return text.text().map(Some).ok_or(Malformed("the selector is not a string"));
        }
    }
    Ok(None)
}

fn parse(text: &str) -> Option<Position> {
    let (name, rest) = text.split_once('>')?;
    let (inclusive, value) = match rest.strip_prefix('=') {
        Some(value) => (true, value),
        None => (false, rest),
    };
    let value = value.trim().trim_matches(['\'', '"']);
    let number = || value.parse::<i64>().ok();
    match name.trim().strip_prefix("amqp.annotation.")? {
        "x-opt-offset" if value == "@latest" => Some(Position::End),
        "x-opt-offset" => Some(Position::Offset(number()?, inclusive)),
        "x-opt-sequence-number" if value == "@latest" => Some(Position::End),
        "x-opt-sequence-number" => Some(Position::SequenceNumber(number()?, inclusive)),
        // The older name is still sent by older clients.
        "x-opt-enqueued-time" | "x-opt-enqueuedtimeutc" => Some(Position::EnqueuedTime(number()?, inclusive)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selectors_of_the_clients_are_understood() {
        for (text, position) in [
            ("amqp.annotation.x-opt-offset > '-1'", Position::Offset(-1, false)),
            ("amqp.annotation.x-opt-offset >= '4096'", Position::Offset(4096, true)),
            ("amqp.annotation.x-opt-offset > '@latest'", Position::End),
            ("amqp.annotation.x-opt-sequence-number > '5'", Position::SequenceNumber(5, false)),
            ("amqp.annotation.x-opt-sequence-number >= 5", Position::SequenceNumber(5, true)),
            ("amqp.annotation.x-opt-enqueued-time > '1700000000000'", Position::EnqueuedTime(1_700_000_000_000, false)),
            ("amqp.annotation.x-opt-enqueuedtimeutc>=1", Position::EnqueuedTime(1, true)),
        ] {
            assert_eq!(parse(text), Some(position), "{text}");
        }
    }

    #[test]
    fn other_selectors_are_refused() {
        for text in ["", "colour = 'red'", "amqp.annotation.x-opt-offset > 'x'", "amqp.annotation.other > '1'"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
