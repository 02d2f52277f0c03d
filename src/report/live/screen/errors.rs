//! What went wrong lately, in the room that there is: what a service says stands at the end of its line, so lines that are
//! too long go on below.

use std::collections::BTreeMap;
use std::ops::Range;

use ratatui::text::Span;

/// Before what goes on from the line above.
const INDENT: &str = "  ";

/// The latest of these lines, which are in the order of time and each of some group, as rows of this width. The last line
/// of each group comes first, whole where there is room: a group of which many come must not hide the others. What room is
/// left goes to those before them.
pub(super) fn latest<G: PartialEq>(lines: &[(G, String)], width: usize, rows: usize) -> Vec<String> {
    let is_last = |at: &usize| {
        let group = lines.get(*at).map(|(group, _)| group);
        lines.iter().skip(at + 1).all(|(later, _)| Some(later) != group)
    };
    let (lasts, others): (Vec<usize>, Vec<usize>) = (0..lines.len()).rev().partition(is_last);
    let (mut shown, mut left) = (BTreeMap::new(), rows);
    for (place, at) in lasts.iter().chain(&others).enumerate() {
        // Each of the other last ones needs a row.
        let waiting = lasts.len().saturating_sub(place + 1);
        let room = left.saturating_sub(waiting).max(1).min(left);
        let Some((_, line)) = lines.get(*at).filter(|_| room > 0) else { break };
        let pieces = held_to(line, width, room);
        left -= pieces.len();
        shown.insert(*at, pieces);
    }
    shown.into_values().flatten().collect()
}

/// A line in at most so many rows, the last of which shows whether there would be more.
fn held_to(line: &str, width: usize, rows: usize) -> Vec<String> {
    let breaks = breaks(line, width);
    let is_cut = breaks.len() > rows;
    let row = |(place, at): (usize, &Range<usize>)| {
        let indent = if place > 0 { INDENT } else { "" };
        if is_cut && place + 1 == rows {
            let rest = fitting(&line[at.start..], width.saturating_sub(indent.len() + 1)).0;
            format!("{indent}{}…", rest.trim_end())
        } else {
            format!("{indent}{}", &line[at.clone()])
        }
    };
    breaks.iter().take(rows).enumerate().map(row).collect()
}

/// How many rows of this width a line takes.
pub(super) fn rows_of(line: &str, width: usize) -> usize {
    breaks(line, width).len()
}

/// What of a line goes into each row of this width, broken between words where there are any.
fn breaks(line: &str, width: usize) -> Vec<Range<usize>> {
    let (mut rows, mut start) = (Vec::new(), 0);
    while start < line.len() {
        let indent = if rows.is_empty() { 0 } else { INDENT.len() };
        // Room for a letter at least, or it would never end.
        let (head, tail) = fitting(&line[start..], width.saturating_sub(indent).max(1));
        let length = match head.rfind(' ').filter(|_| !tail.is_empty() && !tail.starts_with(' ')) {
            // A word that is longer than half a row is broken rather than leaving that empty.
            Some(blank) if blank * 2 > head.len() => blank,
            _ => head.len(),
        };
        rows.push(start..start + length);
        start += length;
        start += line[start..].len() - line[start..].trim_start_matches(' ').len();
    }
    rows
}

/// As much of a text as is no wider than this, and the rest.
fn fitting(text: &str, width: usize) -> (&str, &str) {
    let mut used = 0;
    let end = text.char_indices().find(|(start, character)| {
        used += Span::raw(&text[*start..*start + character.len_utf8()]).width();
        used > width
    });
    // The first letter in any case: one that is wider than the row is better cut than never shown.
    let first = text.chars().next().map_or(0, char::len_utf8);
    text.split_at(end.map_or(text.len(), |(at, _)| at.max(first)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrapped(line: &str, width: usize) -> Vec<String> {
        held_to(line, width, usize::MAX)
    }

    #[test]
    fn a_line_is_broken_between_words_and_goes_on_indented() {
        assert_eq!(wrapped("one two three four", 9), ["one two", "  three", "  four"]);
        assert_eq!(wrapped("one two", 7), ["one two"]);
        assert_eq!(wrapped("https://a-very-long-name", 10), ["https://a-", "  very-lon", "  g-name"]);
        assert_eq!(wrapped("日本語", 4), ["日本", "  語"]);
        assert_eq!(wrapped("", 9), [""; 0]);
    }

    #[test]
    fn the_last_line_is_whole_and_those_before_it_get_the_room_above() {
        let lines = ["first", "second line", "third is longer"].map(|line| ((), line.to_owned()));
        assert_eq!(latest(&lines, 11, 1), ["third is l…"]);
        assert_eq!(latest(&lines, 11, 2), ["third is", "  longer"]);
        assert_eq!(latest(&lines, 11, 3), ["second line", "third is", "  longer"]);
        assert_eq!(latest(&lines, 8, 3), ["second…", "third is", "  longer"]);
        assert_eq!(latest(&lines, 12, 1), ["third is lo…"]);
        assert_eq!(latest(&lines, 11, 9), ["first", "second line", "third is", "  longer"]);
        assert_eq!(latest(&lines, 11, 0), [""; 0]);
        assert_eq!(latest::<()>(&[], 11, 3), [""; 0]);
    }

    #[test]
    fn who_fails_often_does_not_hide_who_fails_seldom() {
        let lines = [("a", "one of a"), ("b", "first of b"), ("b", "second of b"), ("b", "third of b")];
        let lines = lines.map(|(group, line)| (group, line.to_owned()));
        assert_eq!(latest(&lines, 8, 2), ["one of a", "third o…"]);
        assert_eq!(latest(&lines, 8, 3), ["one of a", "third of", "  b"]);
        assert_eq!(latest(&lines, 8, 4), ["one of a", "second…", "third of", "  b"]);
        assert_eq!(latest(&lines, 8, 1), ["third o…"]);
    }

    proptest! {
        #[test]
        fn no_row_is_too_wide_and_no_word_is_lost(line in "[a-zé日 ]{0,80}", width in 6usize..40) {
            let rows = wrapped(&line, width);
            prop_assert!(rows.iter().all(|row| Span::raw(row).width() <= width), "{rows:?}");
            let joined: String = rows.concat().split_whitespace().collect();
            prop_assert_eq!(joined, line.split_whitespace().collect::<String>());
        }
    }
}
