//! Texts. Positions and lengths count characters.

use regex::RegexBuilder;
use serde_json::{Value, json};

use super::{ANY, Arguments, Builtin, function};

/// The longest text that REPLICATE gives, in characters, and that any function makes of shorter ones, in bytes.
const MAX_REPLICATED: usize = 10_000;
const MAX_LENGTH: usize = 4 * 1024 * 1024;
/// The largest program that a regular expression may become, in bytes.
const MAX_REGEX: usize = 256 * 1024;

pub(super) const FUNCTIONS: &[Builtin] = &[
    function("CONCAT", 2, ANY, |a| {
        let parts: Option<Vec<_>> = a.values().map(|part| part?.as_str()).collect();
        bounded(parts?.concat())
    }),
    function("STARTSWITH", 2, 3, |a| test(a, |text, part| text.starts_with(part))),
    function("ENDSWITH", 2, 3, |a| test(a, |text, part| text.ends_with(part))),
    function("CONTAINS", 2, 3, |a| test(a, |text, part| text.contains(part))),
    function("STRINGEQUALS", 2, 3, |a| test(a, |text, part| text == part)),
    function("CONTAINS_ALL_CS", 2, ANY, |a| contains(a, false, true)),
    function("CONTAINS_ALL_CI", 2, ANY, |a| contains(a, true, true)),
    function("CONTAINS_ANY_CS", 2, ANY, |a| contains(a, false, false)),
    function("CONTAINS_ANY_CI", 2, ANY, |a| contains(a, true, false)),
    function("INDEX_OF", 2, 3, |a| {
        let (text, start) = (a.text(0)?, a.or(2, 0, Arguments::integer)?);
        let start = usize::try_from(start).ok()?;
        let rest = from(text, start);
        let found = rest.find(a.text(1)?).map(|at| start + rest[..at].chars().count());
        Some(found.map_or_else(|| json!(-1), Value::from))
    }),
    function("LEFT", 2, 2, |a| Some(a.text(0)?.chars().take(length(a, 1)?).collect::<String>().into())),
    function("RIGHT", 2, 2, |a| {
        let text = a.text(0)?;
        let skip = text.chars().count().saturating_sub(length(a, 1)?);
        Some(from(text, skip).into())
    }),
    function("SUBSTRING", 3, 3, |a| {
        let rest = from(a.text(0)?, length(a, 1)?);
        Some(rest.chars().take(length(a, 2)?).collect::<String>().into())
    }),
    function("LENGTH", 1, 1, |a| Some(a.text(0)?.chars().count().into())),
    function("LOWER", 1, 1, |a| Some(a.text(0)?.to_lowercase().into())),
    function("UPPER", 1, 1, |a| Some(a.text(0)?.to_uppercase().into())),
    function("TRIM", 1, 2, |a| trimmed(a, true, true)),
    function("LTRIM", 1, 2, |a| trimmed(a, true, false)),
    function("RTRIM", 1, 2, |a| trimmed(a, false, true)),
    function("REVERSE", 1, 1, |a| Some(a.text(0)?.chars().rev().collect::<String>().into())),
    function("REPLACE", 3, 3, |a| {
        let (text, part, by) = (a.text(0)?, a.text(1)?, a.text(2)?);
        if part.is_empty() {
            return Some(text.into());
        }
        let longest = text.len() + text.matches(part).count().saturating_mul(by.len());
        (longest <= MAX_LENGTH).then(|| text.replace(part, by).into())
    }),
    function("REPLICATE", 2, 2, |a| {
        let (text, times) = (a.text(0)?, usize::try_from(a.integer(1)?).ok()?);
        (text.chars().count().saturating_mul(times) <= MAX_REPLICATED).then(|| text.repeat(times).into())
    }),
    function("REGEXMATCH", 2, 3, |a| {
        let (text, pattern, modifiers) = (a.text(0)?, a.text(1)?, a.text_or(2, "")?);
        let mut builder = RegexBuilder::new(pattern);
        builder.size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX);
        for modifier in modifiers.chars() {
            match modifier {
                'm' => builder.multi_line(true),
                's' => builder.dot_matches_new_line(true),
                'i' => builder.case_insensitive(true),
                'x' => builder.ignore_whitespace(true),
                _ => return None,
            };
        }
        Some(builder.build().ok()?.is_match(text).into())
    }),
    function("STRINGSPLIT", 2, 2, |a| {
        let (text, by) = (a.text(0)?, a.text(1)?);
        if by.is_empty() {
            return Some(json!([text]));
        }
        Some(text.split(by).map(Value::from).collect::<Vec<_>>().into())
    }),
    function("STRINGJOIN", 2, 2, |a| {
        let parts: Option<Vec<_>> = a.array(0)?.iter().map(Value::as_str).collect();
        bounded(parts?.join(a.text(1)?))
    }),
    function("STRINGTOARRAY", 1, 1, |a| parsed(a, Value::is_array)),
    function("STRINGTOBOOLEAN", 1, 1, |a| parsed(a, Value::is_boolean)),
    function("STRINGTONULL", 1, 1, |a| parsed(a, Value::is_null)),
    function("STRINGTONUMBER", 1, 1, |a| parsed(a, Value::is_number)),
    function("STRINGTOOBJECT", 1, 1, |a| parsed(a, Value::is_object)),
    function("TOSTRING", 1, 1, |a| match a.value(0)? {
        Value::String(text) => Some(text.clone().into()),
        other => Some(other.to_string().into()),
    }),
];

/// A test of one text against another; the third argument says whether upper and lower case are one.
fn test(arguments: &Arguments<'_, '_>, test: fn(&str, &str) -> bool) -> Option<Value> {
    let (text, part) = (arguments.text(0)?, arguments.text(1)?);
    let passed = if arguments.truth(2) == Some(true) {
        test(&text.to_lowercase(), &part.to_lowercase())
    } else {
        test(text, part)
    };
    Some(Value::Bool(passed))
}

fn contains(arguments: &Arguments<'_, '_>, ignore_case: bool, all: bool) -> Option<Value> {
    let fold = |text: &str| if ignore_case { text.to_lowercase() } else { text.to_owned() };
    let text = fold(arguments.text(0)?);
    let parts: Option<Vec<_>> = arguments.values().skip(1).map(|part| part?.as_str()).collect();
    let mut found = parts?.into_iter().map(|part| text.contains(&fold(part)));
    Some(Value::Bool(if all { found.all(|found| found) } else { found.any(|found| found) }))
}

/// What is behind so many characters.
fn from(text: &str, skip: usize) -> &str {
    text.char_indices().nth(skip).map_or("", |(at, _)| &text[at..])
}

/// A number of characters; less than none is none.
fn length(arguments: &Arguments<'_, '_>, index: usize) -> Option<usize> {
    usize::try_from(arguments.integer(index)?.max(0)).ok()
}

fn trimmed(arguments: &Arguments<'_, '_>, start: bool, end: bool) -> Option<Value> {
    let mut text = arguments.text(0)?;
    let set = arguments.text_or(1, "")?;
    let goes = |c: char| if set.is_empty() { c.is_whitespace() } else { set.contains(c) };
    text = if start { text.trim_start_matches(goes) } else { text };
    text = if end { text.trim_end_matches(goes) } else { text };
    Some(text.into())
}

fn parsed(arguments: &Arguments<'_, '_>, is: fn(&Value) -> bool) -> Option<Value> {
    serde_json::from_str(arguments.text(0)?.trim()).ok().filter(is)
}

fn bounded(text: String) -> Option<Value> {
    (text.len() <= MAX_LENGTH).then(|| text.into())
}
