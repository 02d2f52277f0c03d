//! A query's text in tokens.

use super::Problem;

/// One token, and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// Byte offset in the text.
    pub(super) at: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind<'a> {
    /// A name or a keyword: which, the parser knows.
    Word(&'a str),
    /// `@name`, without the `@`.
    Parameter(&'a str),
    Number(f64),
    Text(String),
    /// `=`, `<>`, `(`, `.`…
    Symbol(&'static str),
}

/// Longer ones first: the first that fits is taken.
const SYMBOLS: [&str; 31] = [
    ">>>", "<<", ">>", "<=", ">=", "<>", "!=", "||", "??", "=", "<", ">", "(", ")", "[", "]", "{", "}", ",", ".", ":",
    "*", "+", "-", "/", "%", "?", "|", "&", "^", "~",
];

/// Takes a text apart. Comments (`-- …`, `/* … */`) are dropped.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Problem> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if first.is_whitespace() {
            at += first.len_utf8();
        } else if rest.starts_with("--") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            at += rest.find("*/").ok_or_else(|| Problem::syntax(at, "a comment without an end"))? + 2;
        } else {
            let (kind, length) = token(rest, at)?;
            tokens.push(Token { kind, at });
            at += length;
        }
    }
    Ok(tokens)
}

/// The token that a text starts with, and its length in bytes.
fn token(rest: &str, at: usize) -> Result<(Kind<'_>, usize), Problem> {
    let word_end = |text: &str| text.find(|c: char| !is_word(c)).unwrap_or(text.len());
    match rest.as_bytes().first() {
        Some(quote @ (b'"' | b'\'')) => {
            text(rest, char::from(*quote), at).map(|(text, length)| (Kind::Text(text), length))
        }
        Some(b'0'..=b'9') => number(rest, at),
        Some(b'.') if rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => number(rest, at),
        Some(b'@') => match word_end(&rest[1..]) {
            0 => Err(Problem::syntax(at, "an @ without a name")),
            length => Ok((Kind::Parameter(&rest[1..=length]), length + 1)),
        },
        _ => match word_end(rest) {
            0 => SYMBOLS
                .iter()
                .find(|symbol| rest.starts_with(**symbol))
                .map(|symbol| (Kind::Symbol(symbol), symbol.len()))
                .ok_or_else(|| Problem::syntax(at, "an unexpected character")),
            length => Ok((Kind::Word(&rest[..length]), length)),
        },
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn number(rest: &str, at: usize) -> Result<(Kind<'_>, usize), Problem> {
    let mut end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let exponent = rest[end..].strip_prefix(['e', 'E']).map(|power| power.strip_prefix(['+', '-']).unwrap_or(power));
    if let Some(power) = exponent.filter(|power| power.starts_with(|c: char| c.is_ascii_digit())) {
        let digits = power.find(|c: char| !c.is_ascii_digit()).unwrap_or(power.len());
        end = rest.len() - power.len() + digits;
    }
    let value = rest[..end].parse().ok().filter(|value: &f64| value.is_finite());
    Ok((Kind::Number(value.ok_or_else(|| Problem::syntax(at, "something that is not quite a number"))?), end))
}

/// A text in quotation marks, with the escapes of JSON; the quotation mark itself may be doubled as well.
fn text(rest: &str, quote: char, at: usize) -> Result<(String, usize), Problem> {
    let unfinished = || Problem::syntax(at, "a text without an end");
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((index, c)) = chars.next() {
        match c {
            '\\' => match chars.next().ok_or_else(unfinished)?.1 {
                'n' => text.push('\n'),
                'r' => text.push('\r'),
                't' => text.push('\t'),
                'b' => text.push('\u{8}'),
                'f' => text.push('\u{c}'),
                'u' => {
                    let digits = rest.get(index + 2..index + 6).ok_or_else(unfinished)?;
                    let code = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
                    text.push(code.ok_or_else(|| Problem::syntax(at + index, "an escape of no character"))?);
                    chars.nth(3);
                }
                escaped => text.push(escaped),
            },
            c if c == quote => match chars.peek() {
                Some((_, next)) if *next == quote => {
                    text.push(quote);
                    chars.next();
                }
                _ => return Ok((text, index + 1)),
            },
            c => text.push(c),
        }
    }
    Err(unfinished())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind<'_>> {
        tokens(text).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn a_text_falls_into_words_values_and_symbols() {
        use Kind::{Number, Parameter, Symbol, Text, Word};
        assert_eq!(
            kinds("c.x<=1.5e-3 AND c[\"é\"] <> @p -- end"),
            [
                Word("c"),
                Symbol("."),
                Word("x"),
                Symbol("<="),
                Number(0.0015),
                Word("AND"),
                Word("c"),
                Symbol("["),
                Text("é".into()),
                Symbol("]"),
                Symbol("<>"),
                Parameter("p"),
            ]
        );
        assert_eq!(kinds("/* a */ 'b'"), [Text("b".into())]);
    }

    #[test]
    fn texts_have_escapes() {
        assert_eq!(kinds(r#"'it''s' "\"\u00e9\\\n""#), [Kind::Text("it's".into()), Kind::Text("\"é\\\n".into())]);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in ["'a", "\"a\\", "/* a", "@", "1.2.3", "1e999", "#", "'\\ud800'", "'\\u00'", "é\u{0}"] {
            assert!(tokens(text).is_err(), "{text}");
        }
    }
}
