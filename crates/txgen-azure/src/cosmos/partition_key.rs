//! Partition keys: the value that a document and a request carry, and its place on the ring of hashes.
//!
//! The hash is that of definitions of version 2, which every current SDK makes; [`super::key_definition`] has the others.
//! The encoding that is hashed is the one of azure_data_cosmos (`effective_partition_key.rs`): a type byte, then the value.

use std::fmt;

use serde_json::Value;

use super::murmur;

/// The longest partition key value that the service takes, in bytes of UTF-8.
/// <https://learn.microsoft.com/azure/cosmos-db/concepts-limits#per-logical-partition>
pub const MAX_LENGTH: usize = 2048;

/// The value of a partition key.
#[derive(Clone, Debug, PartialEq)]
pub enum PartitionKey {
    /// The document has no such property; `[{}]` on the wire.
    Undefined,
    Null,
    Bool(bool),
    Number(f64),
    String(String),
}

impl PartitionKey {
    /// The value of the header `x-ms-documentdb-partitionkey`: a JSON array of one value. `None` for anything else.
    pub fn from_header(text: &str) -> Option<Self> {
        // By far the commonest form, without a detour through a tree.
        if let Some(inner) = text.strip_prefix("[\"").and_then(|rest| rest.strip_suffix("\"]"))
            && !inner.bytes().any(|b| b == b'"' || b == b'\\' || b < b' ')
        {
            return Some(Self::String(inner.to_owned()));
        }
        let [value] = <[Self; 1]>::try_from(Self::list_from_header(text)?).ok()?;
        Some(value)
    }

    /// The values of that header for a hierarchical key: a JSON array of them. `None` for anything else.
    pub fn list_from_header(text: &str) -> Option<Vec<Self>> {
        let values: Vec<Value> = serde_json::from_str(text).ok()?;
        values.into_iter().map(Self::from_value).collect()
    }

    /// The value of a document's property; `None` for arrays and objects, which a document may hold but a key may not be.
    pub fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::Null),
            Value::Bool(value) => Some(Self::Bool(value)),
            Value::Number(number) => number.as_f64().map(Self::Number),
            Value::String(text) => Some(Self::String(text)),
            Value::Object(map) if map.is_empty() => Some(Self::Undefined),
            Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The key's place on the ring of hashes.
    pub fn effective(&self) -> Epk {
        let mut encoded = Vec::with_capacity(32);
        match self {
            Self::Undefined => encoded.push(0x00),
            Self::Null => encoded.push(0x01),
            Self::Bool(false) => encoded.push(0x02),
            Self::Bool(true) => encoded.push(0x03),
            Self::Number(value) => {
                encoded.push(0x05);
                encoded.extend_from_slice(&value.to_le_bytes());
            }
            Self::String(text) => {
                encoded.push(0x08);
                encoded.extend_from_slice(text.as_bytes());
                encoded.push(0xff);
            }
        }
        let (low, high) = murmur::hash_128(&encoded);
        Epk(high & (u64::MAX >> 2), low)
    }
}

/// An effective partition key: a place on the ring of hashes, written as up to 32 hexadecimal digits.
///
/// The two halves of a 126-bit number, most significant first; kept apart because a `u128` would be aligned to 16 bytes
/// and every stored document holds several of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epk(u64, u64);

impl Epk {
    /// The start of the ring, written as the empty text.
    pub const MIN: Self = Self(0, 0);
    /// After the end of the ring, written `FF`.
    pub const MAX: Self = Self(0xff << 56, 0);
    /// Hashes have their two highest bits cleared: where the hashes end.
    pub const END_OF_HASHES: u128 = 1 << 126;

    /// The place with this number, counted from [`Self::MIN`].
    pub fn from_number(number: u128) -> Self {
        // Both casts keep 64 bits on purpose: the halves.
        #[allow(clippy::cast_possible_truncation)]
        Self((number >> 64) as u64, number as u64)
    }

    /// Its number, counted from [`Self::MIN`].
    pub fn number(self) -> u128 {
        u128::from(self.0) << 64 | u128::from(self.1)
    }

    /// From its two halves, the more significant first.
    pub(super) fn from_halves(high: u64, low: u64) -> Self {
        Self(high, low)
    }

    pub(super) fn halves(self) -> (u64, u64) {
        (self.0, self.1)
    }

    /// The place after this one.
    pub fn next(self) -> Self {
        Self::from_number(self.number().saturating_add(1))
    }

    /// Reads what [`fmt::Display`] writes, with or without its trailing zeros; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_digits(text).map(Self::from_number)
    }

    /// Up to 32 hexadecimal digits, the first of which are the most significant of 32.
    pub(super) fn parse_digits(text: &str) -> Option<u128> {
        if text.len() > 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        if text.is_empty() {
            return Some(0);
        }
        let shift = 4 * (32 - u32::try_from(text.len()).ok()?);
        Some(u128::from_str_radix(text, 16).ok()? << shift)
    }
}

impl fmt::Display for Epk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MIN => Ok(()),
            Self::MAX => f.write_str("FF"),
            Self(high, low) => write!(f, "{high:016X}{low:016X}"),
        }
    }
}

impl fmt::Debug for Epk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epk({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effective(key: PartitionKey) -> String {
        key.effective().to_string()
    }

    fn string(text: &str) -> PartitionKey {
        PartitionKey::String(text.to_owned())
    }

    /// The vectors that Azure's SDKs share.
    #[test]
    fn keys_hash_to_where_the_sdks_look_for_them() {
        assert_eq!(effective(string("")), "32E9366E637A71B4E710384B2F4970A0");
        assert_eq!(effective(string("partitionKey")), "013AEFCF77FA271571CF665A58C933F1");
        assert_eq!(effective(string(&"a".repeat(1024))), "332BDF5512AE49615F32C7D98C2DB86C");
        assert_eq!(effective(PartitionKey::Null), "378867E4430E67857ACE5C908374FE16");
        assert_eq!(effective(PartitionKey::Bool(true)), "0E711127C5B5A8E4726AC6DD306A3E59");
        assert_eq!(effective(PartitionKey::Bool(false)), "2FE1BE91E90A3439635E0E9E37361EF2");
        assert_eq!(effective(PartitionKey::Number(5.0)), "19C08621B135968252FB34B4CF66F811");
        assert_eq!(effective(PartitionKey::Number(-128.0)), "01DAEDABF913540367FE219B2AD06148");
    }

    #[test]
    fn the_header_holds_an_array_of_one_value() {
        assert_eq!(PartitionKey::from_header(r#"["us"]"#), Some(string("us")));
        assert_eq!(PartitionKey::from_header(r#"[ "u\"s" ]"#), Some(string("u\"s")));
        assert_eq!(PartitionKey::from_header("[null]"), Some(PartitionKey::Null));
        assert_eq!(PartitionKey::from_header("[{}]"), Some(PartitionKey::Undefined));
        assert_eq!(PartitionKey::from_header("[1]"), Some(PartitionKey::Number(1.0)));
        for not_one in ["", "us", "[]", r#"["a","b"]"#, r#"["a"],["b"]"#, r#"[{"a":1}]"#, "[[]]"] {
            assert_eq!(PartitionKey::from_header(not_one), None, "{not_one}");
        }
    }

    #[test]
    fn places_survive_being_written_and_read() {
        for epk in [Epk::MIN, Epk::MAX, string("us").effective()] {
            assert_eq!(Epk::parse(&epk.to_string()), Some(epk));
        }
        assert_eq!(Epk::parse("1F"), Epk::parse("1F000000000000000000000000000000"));
        assert_eq!(Epk::parse("no"), None);
        assert!(string("us").effective() < Epk::MAX);
    }
}
