//! Characters that editors, chats and web pages leave in a text and that cannot be seen: found, and named by code point and
//! place. What stands for a plain character in print (a curly quotation mark, a long dash) is shown with that one.

use std::fmt;

/// A character that is hardly ever typed on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StrayCharacter {
    character: char,
    /// Characters before it.
    before: usize,
}

impl StrayCharacter {
    /// The first character of the text that cannot be seen: of no width, a control character, or a space of another kind.
    pub(crate) fn invisible(text: &str) -> Option<Self> {
        Self::first(text, is_invisible)
    }

    /// The same, or the first that print uses in the place of a plain quotation mark or hyphen.
    pub(crate) fn any(text: &str) -> Option<Self> {
        Self::first(text, |character| is_invisible(character) || plain(character).is_some())
    }

    fn first(text: &str, is_odd: impl Fn(char) -> bool) -> Option<Self> {
        // All but control characters are beyond ASCII, and so are few texts.
        if text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
            return None;
        }
        let (before, character) = text.chars().enumerate().find(|(_, character)| is_odd(*character))?;
        Some(Self { character, before })
    }

    /// Its code point and what it is called: `U+200B (zero-width space)`.
    pub(crate) fn name(self) -> String {
        let code = u32::from(self.character);
        match called(self.character) {
            Some(called) => format!("U+{code:04X} ({called})"),
            None => format!("U+{code:04X}"),
        }
    }

    /// What to do about it.
    pub(crate) fn remedy(self) -> String {
        match plain(self.character) {
            Some(plain) => format!("write {plain} in its place"),
            None => "delete it".to_owned(),
        }
    }
}

/// `holds U+200B (zero-width space) as character 5, which cannot be seen; delete it`.
impl fmt::Display for StrayCharacter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unseen = if plain(self.character).is_some() { "" } else { ", which cannot be seen" };
        write!(f, "holds {} as character {}{unseen}; {}", self.name(), self.before + 1, self.remedy())
    }
}

/// The text without what cannot be seen at its ends and within it.
pub(crate) fn visible(text: &str) -> String {
    text.chars().filter(|character| !is_invisible(*character)).collect::<String>().trim().to_owned()
}

fn is_invisible(character: char) -> bool {
    character.is_control()
        || (character.is_whitespace() && character != ' ')
        || matches!(character, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// The plain character that is meant.
fn plain(character: char) -> Option<&'static str> {
    Some(match character {
        '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{2033}' => "\"",
        '\u{2018}'..='\u{201b}' | '\u{2032}' | '\u{b4}' => "'",
        '\u{2010}'..='\u{2015}' | '\u{2212}' => "-",
        '\u{2026}' => "...",
        _ => return None,
    })
}

fn called(character: char) -> Option<&'static str> {
    Some(match character {
        '\t' => "tab",
        '\n' => "line feed",
        '\r' => "carriage return",
        '\0' => "null character",
        '\u{a0}' => "non-breaking space",
        '\u{ad}' => "soft hyphen",
        '\u{200b}' => "zero-width space",
        '\u{200c}' => "zero-width non-joiner",
        '\u{200d}' => "zero-width joiner",
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "direction mark",
        '\u{2060}' => "word joiner",
        '\u{202f}' => "narrow non-breaking space",
        '\u{feff}' => "byte-order mark",
        '\u{201c}'..='\u{201f}' => "curly quotation mark",
        '\u{2018}'..='\u{201b}' => "curly apostrophe",
        '\u{ab}' | '\u{bb}' => "angle quotation mark",
        '\u{2010}' | '\u{2011}' => "hyphen of print",
        '\u{2012}' | '\u{2013}' => "en dash",
        '\u{2014}' | '\u{2015}' => "em dash",
        '\u{2212}' => "minus sign of print",
        '\u{2026}' => "ellipsis",
        character if character.is_control() => "control character",
        character if character.is_whitespace() => "space of another kind",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_named_by_code_point_and_place() {
        for (text, message) in [
            ("abcd\u{200b}", "holds U+200B (zero-width space) as character 5, which cannot be seen; delete it"),
            ("\u{a0}x", "holds U+00A0 (non-breaking space) as character 1, which cannot be seen; delete it"),
            ("Wood\tgrove", "holds U+0009 (tab) as character 5, which cannot be seen; delete it"),
            ("\u{2064}", "holds U+2064 as character 1, which cannot be seen; delete it"),
        ] {
            assert_eq!(StrayCharacter::invisible(text).unwrap().to_string(), message);
        }
        for fine in ["", "Woodgrove", "Holzhain ä 木", "a b", "\u{201c}"] {
            assert_eq!(StrayCharacter::invisible(fine), None, "{fine}");
        }
    }

    #[test]
    fn what_print_uses_is_named_with_the_plain_character() {
        let message = StrayCharacter::any("é \u{201c}x").unwrap().to_string();
        assert_eq!(message, "holds U+201C (curly quotation mark) as character 3; write \" in its place");
        assert_eq!(StrayCharacter::any("\u{2013}rate").unwrap().name(), "U+2013 (en dash)");
    }

    #[test]
    fn the_visible_text_is_what_people_see() {
        assert_eq!(visible(" \u{feff}trans\u{200b}actionID\u{a0}"), "transactionID");
    }
}
