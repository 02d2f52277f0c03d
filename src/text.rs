//! Texts for people, in one line each: counts with their nouns, and foreign texts made harmless.

/// A count with its noun in the singular or the plural: `1 row`, `2 rows`.
#[must_use]
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_rewrite_a_terminal_or_turn_a_text_around_is_shown_and_not_done() {
        assert_eq!(single_line("a\u{1b}]0;x\u{7}\u{202e}b\u{9b}2J\r"), r"a\u{1b}]0;x\u{7}\u{202e}b\u{9b}2J\r");
        assert_eq!(single_line("Zürich 東京 🙂"), "Zürich 東京 🙂");
    }
}
