//! Partition key definitions: the paths that make up a container's partition key, and where its values lie on the ring.
//!
//! The service writes an effective partition key as hexadecimal digits: 32 for a key of one path, 32 more for each
//! further path of a hierarchical one (kind `MultiHash`), and for version 1 the hash followed by the value itself. All
//! of them become an [`Epk`] of 128 bits here, in the same order. A key of one path and version 2 fills it; the parts of
//! a hierarchical key share it, with the highest 64 and 64, or 48, 40 and 40 bits of their hashes. Two values of a part
//! are then taken for one only if these bits are equal, which takes millions of values to happen.
//! <https://learn.microsoft.com/azure/cosmos-db/hierarchical-partition-keys>

use std::ops::Range;

use super::murmur;
use super::partition_key::{Epk, PartitionKey};

/// The most paths that a hierarchical partition key has.
pub const MAX_PATHS: usize = 3;
/// Hexadecimal digits of the hash of one path.
const DIGITS: usize = 32;

/// The values of one partition key, or the first ones of a hierarchical one.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyValues {
    /// The only one, kept without an allocation.
    One(PartitionKey),
    /// Several, or none.
    Many(Vec<PartitionKey>),
}

impl KeyValues {
    /// The values of the header `x-ms-documentdb-partitionkey`. `None` for what is none.
    #[must_use]
    pub fn from_header(text: &str) -> Option<Self> {
        match PartitionKey::from_header(text) {
            Some(only) => Some(Self::One(only)),
            None => PartitionKey::list_from_header(text).map(Self::Many),
        }
    }

    /// The values, in the order of the paths.
    #[must_use]
    pub fn as_slice(&self) -> &[PartitionKey] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(values) => values,
        }
    }
}

/// What a container's partition key is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDefinition {
    paths: Vec<Vec<String>>,
    is_hierarchical: bool,
    version: u8,
}

impl KeyDefinition {
    /// A definition with these paths, each in its steps. Version 1 is that of containers that older clients make; a
    /// hierarchical one has version 2. `None` when there are no paths, or more than the kind takes.
    #[must_use]
    pub fn new(paths: Vec<Vec<String>>, is_hierarchical: bool, version: u8) -> Option<Self> {
        let most = if is_hierarchical { MAX_PATHS } else { 1 };
        let fits = (1..=most).contains(&paths.len()) && (version == 2 || version == 1 && !is_hierarchical);
        fits.then_some(Self { paths, is_hierarchical, version })
    }

    /// The paths, each in its steps.
    #[must_use]
    pub fn paths(&self) -> &[Vec<String>] {
        &self.paths
    }

    /// Whether it is of the kind `MultiHash`.
    #[must_use]
    pub fn is_hierarchical(&self) -> bool {
        self.is_hierarchical
    }

    /// The version of its hash: 1 or 2.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.version
    }

    /// Where a key with these values, one for each path, lies.
    #[must_use]
    pub fn place(&self, values: &[PartitionKey]) -> Epk {
        match (values, self.paths.len()) {
            ([only], 1) if self.version == 2 => only.effective(),
            ([only], 1) => Epk::from_halves(first_version_hash(only), only.effective().halves().1),
            _ => Epk::from_number(self.packed(values)),
        }
    }

    /// Where the keys lie that begin with these values.
    #[must_use]
    pub fn span(&self, values: &[PartitionKey]) -> Range<Epk> {
        if values.len() >= self.paths.len() {
            let place = self.place(values);
            return place..place.next();
        }
        let start = self.packed(values);
        let used: u32 = self.widths().iter().take(values.len()).sum();
        let end = start.saturating_add(1_u128.checked_shl(128 - used).unwrap_or(0));
        if values.is_empty() { Epk::MIN..Epk::MAX } else { Epk::from_number(start)..Epk::from_number(end) }
    }

    /// The bounds of the keys that begin with these values, as the service writes them: to just before the second.
    #[must_use]
    pub fn bounds(&self, values: &[PartitionKey]) -> (String, String) {
        if self.paths.len() == 1 || values.is_empty() {
            let span = self.span(values);
            return (span.start.to_string(), span.end.to_string());
        }
        let start: String = values.iter().map(|value| value.effective().to_string()).collect();
        let end = format!("{start}FF");
        (start, end)
    }

    /// The keys from one effective partition key to just before another, as the service and its clients write them;
    /// `None` for what is none.
    #[must_use]
    pub fn parse(&self, start: &str, end: &str) -> Option<Range<Epk>> {
        Some(self.parse_bound(start, false)?..self.parse_bound(end, true)?)
    }

    fn parse_bound(&self, text: &str, is_end: bool) -> Option<Epk> {
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        if self.version == 1 && text.len() > 4 {
            let (hash, has_value) = read_first_version(text)?;
            return Some(Epk::from_halves(hash, if is_end && has_value { u64::MAX } else { 0 }));
        }
        let (first, rest) = text.split_at_checked(DIGITS.min(text.len()))?;
        let place = Epk::parse(first)?;
        if self.paths.len() == 1 || place == Epk::MAX {
            // What is longer than the hash lies behind it.
            return Some(if rest.bytes().any(|digit| digit != b'0') { place.next() } else { place });
        }
        let (mut packed, mut left, mut is_cut) = (0, 128, text.len() > DIGITS * self.paths.len());
        for (index, width) in self.widths().iter().enumerate() {
            let part = text.get(index * DIGITS..).unwrap_or_default();
            let part = &part[..part.len().min(DIGITS)];
            left -= width;
            let digits = Epk::parse_digits(part)?;
            packed |= digits >> (128 - width) << left;
            is_cut |= digits << width != 0;
        }
        // What lies before the end has to stay before it, also where only what is cut off tells them apart.
        let place = Epk::from_number(packed);
        Some(if is_end && is_cut { place.next() } else { place })
    }

    /// How many bits each part has.
    fn widths(&self) -> &'static [u32] {
        match self.paths.len() {
            1 => &[128],
            2 => &[64, 64],
            _ => &[48, 40, 40],
        }
    }

    fn packed(&self, values: &[PartitionKey]) -> u128 {
        let mut left = 128;
        let parts = self.widths().iter().zip(values).map(|(width, value)| {
            left -= width;
            value.effective().number() >> (128 - width) << left
        });
        parts.fold(0, |packed, part| packed | part)
    }
}

/// The hash of version 1: the first eight bytes of its effective partition key, which hold it and nothing else.
fn first_version_hash(value: &PartitionKey) -> u64 {
    let mut encoded = Vec::new();
    match value {
        PartitionKey::Undefined => encoded.push(0x00),
        PartitionKey::Null => encoded.push(0x01),
        PartitionKey::Bool(truth) => encoded.push(0x02 + u8::from(*truth)),
        PartitionKey::Number(number) => {
            encoded.push(0x05);
            encoded.extend_from_slice(&number.to_le_bytes());
        }
        PartitionKey::String(text) => {
            encoded.push(0x08);
            // 100 units of UTF-16 count.
            let mut units = 0;
            let counted = text.chars().take_while(|c| {
                units += c.len_utf16();
                units <= 100
            });
            encoded.extend_from_slice(counted.collect::<String>().as_bytes());
            encoded.push(0x00);
        }
    }
    let bits = f64::from(murmur::hash_32(&encoded)).to_bits() ^ 1 << 63;
    // A number: its highest byte, then seven bits in each, the last of them with the lowest bit cleared.
    let (mut bytes, mut rest) = (vec![0x05, bits.to_be_bytes()[0]], bits << 8);
    while rest != 0 {
        bytes.push(rest.to_be_bytes()[0] | 1);
        rest <<= 7;
    }
    if let [_, _, .., last] = bytes.as_mut_slice() {
        *last &= 0xfe;
    }
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(bytes) {
        *to = from;
    }
    u64::from_be_bytes(first)
}

/// The hash at the start of an effective partition key of version 1, and whether a value follows it.
fn read_first_version(text: &str) -> Option<(u64, bool)> {
    let byte = |index: usize| text.get(2 * index..2 * index + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let mut bytes = [0; 8];
    bytes[0] = byte(0)?;
    bytes[1] = byte(1)?;
    for index in 2..8 {
        let Some(next) = byte(index) else { return Some((u64::from_be_bytes(bytes), false)) };
        bytes[index] = next;
        if next & 1 == 0 {
            return Some((u64::from_be_bytes(bytes), text.len() > 2 * (index + 1)));
        }
    }
    Some((u64::from_be_bytes(bytes), text.len() > 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(paths: &[&str], is_hierarchical: bool, version: u8) -> KeyDefinition {
        let steps = |path: &&str| vec![(*path).to_owned()];
        KeyDefinition::new(paths.iter().map(steps).collect(), is_hierarchical, version).unwrap()
    }

    fn string(text: &str) -> PartitionKey {
        PartitionKey::String(text.to_owned())
    }

    #[test]
    fn a_hierarchical_key_lies_within_the_span_of_its_beginning() {
        for paths in [["a", "b"].as_slice(), &["a", "b", "c"]] {
            let definition = definition(paths, true, 2);
            let values = [string("x"), PartitionKey::Number(1.0), PartitionKey::Null];
            let values = &values[..paths.len()];
            let place = definition.place(values);
            for length in 0..=paths.len() {
                assert!(definition.span(&values[..length]).contains(&place), "{length} of {paths:?}");
                let (start, end) = definition.bounds(&values[..length]);
                assert!(definition.parse(&start, &end).unwrap().contains(&place), "{start} to {end}");
            }
            assert!(!definition.span(&[string("y")]).contains(&place));
            let (start, _) = definition.bounds(values);
            let successor = format!("{}F", &start[..start.len() - 1]);
            assert!(definition.parse(&start, &successor).unwrap().contains(&place));
        }
    }

    #[test]
    fn bounds_that_are_longer_than_a_hash_are_understood() {
        let definition = definition(&["a"], false, 2);
        let place = definition.place(&[string("x")]);
        let keys = definition.parse(&place.to_string(), &format!("{place}FF")).unwrap();
        assert_eq!(keys, place..place.next());
        assert_eq!(definition.parse("", "FF"), Some(Epk::MIN..Epk::MAX));
        assert_eq!(definition.parse("x", "FF"), None);
    }

    /// The vectors that Azure's SDKs share.
    #[test]
    fn keys_of_version_1_hash_to_where_the_sdks_look_for_them() {
        let definition = definition(&["a"], false, 1);
        for (value, expected) in [
            (string(""), "05C1CF33970FF80800"),
            (string("partitionKey"), "05C1E1B3D9CD2608716273756A756A706F4C667A00"),
            (PartitionKey::Null, "05C1ED45D7475601"),
            (PartitionKey::Bool(true), "05C1D7C5A903D803"),
            (PartitionKey::Number(5.0), "05C1D9C1C5517C05C014"),
        ] {
            let place = definition.place(std::slice::from_ref(&value));
            let keys = definition.parse(expected, &format!("{expected}FF")).unwrap();
            assert!(keys.contains(&place), "{value:?} is not at {expected}");
        }
    }

    #[test]
    fn definitions_have_the_paths_that_their_kind_takes() {
        let path = || vec!["a".to_owned()];
        assert!(KeyDefinition::new(vec![], false, 2).is_none());
        assert!(KeyDefinition::new(vec![path(), path()], false, 2).is_none());
        assert!(KeyDefinition::new(vec![path(); 4], true, 2).is_none());
        assert!(KeyDefinition::new(vec![path()], true, 1).is_none());
        assert!(KeyDefinition::new(vec![path()], true, 2).is_some());
    }
}
