//! Patterns of LIKE: `%` is any text, `_` any character, `[abc]`, `[a-f]`, `[^x]` one of some.
//! <https://learn.microsoft.com/azure/cosmos-db/nosql/query/keywords#like>

/// One part of a pattern.
enum Part {
    AnyText,
    AnyCharacter,
    One(char),
    /// Ranges of characters, and whether the character must be in none of them.
    Set(Vec<(char, char)>, bool),
}

impl Part {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::AnyText | Self::AnyCharacter => true,
            Self::One(wanted) => *wanted == c,
            Self::Set(ranges, negated) => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
        }
    }
}

/// Whether a text is like a pattern. Takes time proportional to the product of their lengths at most.
pub(super) fn matches(text: &str, pattern: &str, escape: Option<char>) -> bool {
    let (parts, text) = (parts(pattern, escape), text.chars().collect::<Vec<_>>());
    let (mut at, mut part) = (0, 0);
    // Where to go on when a `%` has to take one character more.
    let mut retry: Option<(usize, usize)> = None;
    while at < text.len() {
        match parts.get(part) {
            Some(Part::AnyText) => {
                retry = Some((part + 1, at));
                part += 1;
            }
            Some(one) if one.takes(text[at]) => {
                at += 1;
                part += 1;
            }
            _ => match &mut retry {
                Some((after, from)) => {
                    *from += 1;
                    (part, at) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    parts[part..].iter().all(|rest| matches!(rest, Part::AnyText))
}

fn parts(pattern: &str, escape: Option<char>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        parts.push(match c {
            c if Some(c) == escape => Part::One(rest.next().unwrap_or(c)),
            '%' => Part::AnyText,
            '_' => Part::AnyCharacter,
            '[' => match set(rest.as_str()) {
                Some((part, length)) => {
                    rest = rest.as_str()[length..].chars();
                    part
                }
                None => Part::One('['),
            },
            c => Part::One(c),
        });
    }
    parts
}

/// What stands between brackets, and its length in bytes with the closing one.
fn set(text: &str) -> Option<(Part, usize)> {
    let end = text.find(']').filter(|end| *end > 0)?;
    let (negated, inner) = match text[..end].strip_prefix('^') {
        Some(inner) => (true, inner),
        None => (false, &text[..end]),
    };
    let inner: Vec<char> = inner.chars().collect();
    let (mut ranges, mut at) = (Vec::new(), 0);
    while let Some(&low) = inner.get(at) {
        match (inner.get(at + 1), inner.get(at + 2)) {
            (Some('-'), Some(&high)) => {
                ranges.push((low, high));
                at += 3;
            }
            _ => {
                ranges.push((low, low));
                at += 1;
            }
        }
    }
    Some((Part::Set(ranges, negated), end + 1))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_documented() {
        for (text, pattern, expected) in [
            ("fruit salad", "%fruit%", true),
            ("fruit", "fruit%", true),
            ("my fruit", "fruit%", false),
            ("fruit", "%fruit", true),
            ("abc", "a_c", true),
            ("ac", "a_c", false),
            ("abc", "abc", true),
            ("abc", "ABC", false),
            ("shape", "sh[aeiou]pe", true),
            ("shope", "sh[a-c]pe", false),
            ("shxpe", "sh[^a-c]pe", true),
            ("20% off", "%20!%%", true),
            ("2000", "%20!%%", false),
            ("", "%", true),
            ("", "_", false),
            ("a[b", "a[b", true),
            ("aXbXc", "a%b%c", true),
            ("aXbX", "a%b%c", false),
        ] {
            assert_eq!(matches(text, pattern, Some('!')), expected, "{text} LIKE {pattern}");
        }
    }

    #[test]
    fn many_wildcards_take_no_exponential_time() {
        assert!(!matches(&"a".repeat(5_000), &format!("{}b", "a%".repeat(500)), None));
    }
}
