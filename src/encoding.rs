//! Text files as editors and spreadsheets save them: UTF-8, or UTF-16 as `>` in Windows PowerShell and "Unicode Text" in
//! Excel write it, with and without a byte-order mark. Any other encoding says nothing of itself, so it is not guessed.

use std::borrow::Cow;
use std::io::{self, Read};

use encoding_rs::{Decoder, Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// So many bytes of a text show its encoding.
pub(crate) const START: usize = 16;
const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";

/// UTF-16 and the length of its mark, going by how a text starts; `None` is UTF-8, or nothing that is known.
///
/// Without a mark it is recognised by its null bytes: no text in UTF-8 has any, and what txgen reads starts with ASCII, of which
/// every second byte is one.
fn utf_16(start: &[u8]) -> Option<(&'static Encoding, usize)> {
    let start = start.get(..START).unwrap_or(start);
    let (pairs, rest) = start.as_chunks::<2>();
    let all =
        |is_ascii: fn([u8; 2]) -> bool| pairs.len() > 1 && rest.is_empty() && pairs.iter().all(|pair| is_ascii(*pair));
    match start {
        _ if is_utf_32(start) => None,
        [0xff, 0xfe, ..] => Some((UTF_16LE, 2)),
        [0xfe, 0xff, ..] => Some((UTF_16BE, 2)),
        _ if all(|[low, high]| low != 0 && high == 0) => Some((UTF_16LE, 0)),
        _ if all(|[high, low]| low != 0 && high == 0) => Some((UTF_16BE, 0)),
        _ => None,
    }
}

/// Whether a text starts as UTF-32 does: with its mark, which begins like that of UTF-16, or with characters of ASCII.
pub(crate) fn is_utf_32(start: &[u8]) -> bool {
    let start = start.get(..START).unwrap_or(start);
    let (units, _) = start.as_chunks::<4>();
    let all = |is_ascii: fn([u8; 4]) -> bool| units.len() > 1 && units.iter().all(|unit| is_ascii(*unit));
    matches!(start, [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..])
        || all(|[low, rest @ ..]| low != 0 && rest == [0; 3])
        || all(|[rest @ .., low]| low != 0 && rest == [0; 3])
}

/// A text that is in no encoding that says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotText {
    /// Neither UTF-8 nor UTF-16, from this line on.
    #[error("is not UTF-8 text (line {line}: {}); save it as UTF-8", stray(.byte))]
    Stray { line: usize, byte: u8 },
    /// UTF-32, which hardly any program reads.
    #[error("is UTF-32 text, which is not read; save it as UTF-8")]
    Utf32,
    /// UTF-16 with half a character in it.
    #[error("is UTF-16 text with half a character in it; save it as UTF-8")]
    Half,
}

/// What a byte that is not UTF-8 most likely stands for: `byte 0xE9, which is é in Windows-1252`.
pub(crate) fn stray(byte: &u8) -> String {
    let (text, _, _) = WINDOWS_1252.decode(std::slice::from_ref(byte));
    match text.chars().next().filter(|character| !character.is_control()) {
        Some(character) => format!("byte 0x{byte:02X}, which is {character} in Windows-1252"),
        None => format!("byte 0x{byte:02X}"),
    }
}

/// The text of a whole file, without its mark.
pub(crate) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, NotText> {
    if is_utf_32(bytes) {
        return Err(NotText::Utf32);
    }
    if let Some((encoding, mark)) = utf_16(bytes) {
        let text = encoding.decode_without_bom_handling_and_without_replacement(&bytes[mark..]);
        return text.ok_or(NotText::Half);
    }
    let rest = bytes.strip_prefix(UTF_8_MARK).unwrap_or(bytes);
    std::str::from_utf8(rest).map(Cow::Borrowed).map_err(|error| {
        let (good, bad) = rest.split_at(error.valid_up_to());
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        NotText::Stray { line, byte: bad.first().copied().unwrap_or_default() }
    })
}

/// A stream of text.
pub(crate) struct Text {
    /// UTF-8, without its mark.
    pub(crate) input: Box<dyn Read + Send>,
    /// What it was, if that was something else.
    pub(crate) decoded_from: Option<&'static str>,
}

/// A stream as UTF-8. What is neither that nor UTF-16 passes as it is.
pub(crate) fn utf_8(mut input: Box<dyn Read + Send>) -> io::Result<Text> {
    let mut start = Vec::with_capacity(START);
    input.by_ref().take(START as u64).read_to_end(&mut start)?;
    let utf_16 = utf_16(&start);
    let mark = utf_16.map_or(if start.starts_with(UTF_8_MARK) { UTF_8_MARK.len() } else { 0 }, |(_, mark)| mark);
    let input = io::Cursor::new(start.split_off(mark)).chain(input);
    Ok(match utf_16 {
        Some((encoding, _)) => {
            Text { input: Box::new(Decoded::new(encoding, input)), decoded_from: Some(encoding.name()) }
        }
        None => Text { input: Box::new(input), decoded_from: None },
    })
}

/// A stream of another encoding, read as UTF-8. Half characters become U+FFFD.
struct Decoded<R> {
    input: R,
    decoder: Decoder,
    raw: Vec<u8>,
    at_end: bool,
    /// Decoded text that did not fit into what the reader offered.
    text: Vec<u8>,
    given: usize,
}

impl<R: Read> Decoded<R> {
    const CHUNK: usize = 64 << 10;

    fn new(encoding: &'static Encoding, input: R) -> Self {
        let decoder = encoding.new_decoder_without_bom_handling();
        Self { input, decoder, raw: vec![0; Self::CHUNK], at_end: false, text: Vec::new(), given: 0 }
    }

    /// Decodes the next chunk; leaves the text empty at the end alone.
    fn advance(&mut self) -> io::Result<()> {
        self.given = 0;
        self.text.clear();
        while self.text.is_empty() && !self.at_end {
            let read = self.input.read(&mut self.raw)?;
            self.at_end = read == 0;
            let most = self.decoder.max_utf8_buffer_length(read).unwrap_or(3 * Self::CHUNK);
            self.text.resize(most, 0);
            let (_, _, written, _) = self.decoder.decode_to_utf8(&self.raw[..read], &mut self.text, self.at_end);
            self.text.truncate(written);
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.text.len() {
            self.advance()?;
        }
        let rest = &self.text[self.given..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.given += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out one byte at a time, as a slow pipe may.
    struct Drip(io::Cursor<Vec<u8>>);

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let one = buffer.len().min(1);
            self.0.read(&mut buffer[..one])
        }
    }

    fn streamed(bytes: Vec<u8>) -> (Vec<u8>, Option<&'static str>) {
        let Text { mut input, decoded_from } = utf_8(Box::new(Drip(io::Cursor::new(bytes)))).unwrap();
        let mut text = Vec::new();
        input.read_to_end(&mut text).unwrap();
        (text, decoded_from)
    }

    const TEXT: &str = "transactionID,ä 木 🌲\r\nT1,x\r\n";

    #[test]
    fn utf_16_is_read_whatever_its_order_with_and_without_its_mark() {
        for (unit, name) in [(u16::to_le_bytes as fn(u16) -> [u8; 2], "UTF-16LE"), (u16::to_be_bytes, "UTF-16BE")] {
            for mark in ["", "\u{feff}"] {
                let bytes: Vec<u8> = mark.encode_utf16().chain(TEXT.encode_utf16()).flat_map(unit).collect();
                assert_eq!(decode(&bytes).as_deref(), Ok(TEXT), "{name}");
                assert_eq!(streamed(bytes), (TEXT.as_bytes().to_vec(), Some(name)));
            }
        }
    }

    #[test]
    fn utf_8_passes_without_its_mark() {
        assert_eq!(streamed(format!("\u{feff}{TEXT}").into_bytes()), (TEXT.as_bytes().to_vec(), None));
        assert_eq!(streamed(b"a\xe9".to_vec()), (b"a\xe9".to_vec(), None));
        assert_eq!(streamed(Vec::new()), (Vec::new(), None));
        assert_eq!(decode("\u{feff}{}".as_bytes()).as_deref(), Ok("{}"));
    }

    #[test]
    fn what_is_neither_is_reported_by_line_and_byte() {
        let message = decode(b"{\n\"caf\xe9\"}").unwrap_err().to_string();
        assert_eq!(message, "is not UTF-8 text (line 2: byte 0xE9, which is \u{e9} in Windows-1252); save it as UTF-8");
        assert_eq!(decode(b"\xff\xfea"), Err(NotText::Half));
    }

    #[test]
    fn utf_32_is_told_apart_from_utf_16() {
        for unit in [u32::to_le_bytes as fn(u32) -> [u8; 4], u32::to_be_bytes] {
            for mark in ["", "\u{feff}"] {
                let bytes: Vec<u8> = mark.chars().chain(TEXT.chars()).flat_map(|char| unit(char.into())).collect();
                assert_eq!(decode(&bytes), Err(NotText::Utf32));
            }
        }
        assert!(!is_utf_32(b"\xff\xfea\0b\0") && !is_utf_32(b"text") && !is_utf_32(b""));
    }

    #[test]
    fn binary_data_is_not_taken_for_utf_16() {
        for bytes in [&b"\0\0\0\0\0\0\0\0"[..], b"a\0", b"PK\x03\x04\x14\0\0\0", b"a\0b\0\0\0c\0"] {
            assert_eq!(utf_16(bytes), None, "{bytes:?}");
        }
    }
}
