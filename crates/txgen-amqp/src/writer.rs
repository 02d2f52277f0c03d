//! Writing AMQP's types into a buffer.
//!
//! Lists and maps get their size and count patched in when they are complete, so nothing is measured or built twice.

use bytes::{BufMut as _, BytesMut};

/// Appends encoded values to a buffer, and counts them for the list or map that they are in.
pub struct Writer<'o> {
    out: &'o mut BytesMut,
    count: u32,
}

impl<'o> Writer<'o> {
    /// Appends to `out`.
    pub fn new(out: &'o mut BytesMut) -> Self {
        Self { out, count: 0 }
    }

    fn put(&mut self, constructor: u8, bytes: &[u8]) {
        self.count += 1;
        self.out.put_u8(constructor);
        self.out.put_slice(bytes);
    }

    /// Lengths that are written are of buffers below a frame's size; the cap keeps a miscount from wrapping.
    fn length(bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// Begins a value of so many bytes, which follow.
    fn begin_variable(&mut self, constructor: u8, length: usize) {
        self.count += 1;
        match u8::try_from(length) {
            Ok(length) => self.out.put_slice(&[constructor, length]),
            Err(_) => {
                self.out.put_u8(constructor | 0x10);
                self.out.put_u32(Self::length(length));
            }
        }
    }

    fn put_variable(&mut self, constructor: u8, bytes: &[u8]) {
        self.begin_variable(constructor, bytes.len());
        self.out.put_slice(bytes);
    }

    /// A value, or null where there is none.
    pub fn optional<V>(&mut self, value: Option<V>, write: impl FnOnce(&mut Self, V)) {
        match value {
            Some(value) => write(self, value),
            None => self.null(),
        }
    }

    pub fn null(&mut self) {
        self.put(0x40, &[]);
    }

    pub fn bool(&mut self, value: bool) {
        self.put(if value { 0x41 } else { 0x42 }, &[]);
    }

    pub fn ubyte(&mut self, value: u8) {
        self.put(0x50, &[value]);
    }

    pub fn ushort(&mut self, value: u16) {
        self.put(0x60, &value.to_be_bytes());
    }

    pub fn uint(&mut self, value: u32) {
        match u8::try_from(value) {
            Ok(0) => self.put(0x43, &[]),
            Ok(small) => self.put(0x52, &[small]),
            Err(_) => self.put(0x70, &value.to_be_bytes()),
        }
    }

    pub fn ulong(&mut self, value: u64) {
        match u8::try_from(value) {
            Ok(0) => self.put(0x44, &[]),
            Ok(small) => self.put(0x53, &[small]),
            Err(_) => self.put(0x80, &value.to_be_bytes()),
        }
    }

    pub fn int(&mut self, value: i32) {
        self.put(0x71, &value.to_be_bytes());
    }

    pub fn long(&mut self, value: i64) {
        self.put(0x81, &value.to_be_bytes());
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub fn timestamp(&mut self, milliseconds: i64) {
        self.put(0x83, &milliseconds.to_be_bytes());
    }

    pub fn string(&mut self, text: &str) {
        self.put_variable(0xa1, text.as_bytes());
    }

    pub fn symbol(&mut self, text: &str) {
        self.put_variable(0xa3, text.as_bytes());
    }

    pub fn binary(&mut self, bytes: &[u8]) {
        self.put_variable(0xa0, bytes);
    }

    /// A binary value of so many bytes, which follow.
    pub fn binary_of(&mut self, length: usize) {
        self.begin_variable(0xa0, length);
    }

    /// One value that is encoded already.
    pub fn raw(&mut self, value: &[u8]) {
        self.raw_values(value, 1);
    }

    /// So many values that are encoded already.
    pub fn raw_values(&mut self, values: &[u8], count: u32) {
        self.count += count;
        self.out.put_slice(values);
    }

    /// Nulls up to so many elements in the list that is being written.
    pub fn pad_to(&mut self, count: u32) {
        while self.count < count {
            self.null();
        }
    }

    fn compound(&mut self, constructor: u8, elements: impl FnOnce(&mut Self)) {
        self.out.put_u8(constructor);
        let start = self.out.len();
        self.out.put_u64(0);
        let outside = std::mem::replace(&mut self.count, 0);
        elements(self);
        let size = Self::length(self.out.len() - (start + 4));
        self.out[start..start + 4].copy_from_slice(&size.to_be_bytes());
        self.out[start + 4..start + 8].copy_from_slice(&self.count.to_be_bytes());
        self.count = outside + 1;
    }

    /// A map; `pairs` writes keys and values in turn.
    pub fn map(&mut self, pairs: impl FnOnce(&mut Self)) {
        self.compound(0xd1, pairs);
    }

    /// An array of symbols.
    pub fn symbols(&mut self, symbols: &[&str]) {
        self.array(0xb3, symbols);
    }

    /// An array of strings.
    pub fn strings<S: AsRef<str>>(&mut self, strings: &[S]) {
        self.array(0xb1, strings);
    }

    fn array<S: AsRef<str>>(&mut self, constructor: u8, texts: &[S]) {
        self.compound(0xf0, |w| {
            w.out.put_u8(constructor);
            for text in texts {
                w.out.put_u32(Self::length(text.as_ref().len()));
                w.out.put_slice(text.as_ref().as_bytes());
                w.count += 1;
            }
        });
    }

    /// The constructor of a described value: the one value that follows belongs to it.
    pub fn descriptor(&mut self, code: u64) {
        self.out.put_u8(0x00);
        self.ulong(code);
        self.count -= 1;
    }

    /// The constructor of a value that a symbol describes: the one value that follows belongs to it.
    pub fn descriptor_symbol(&mut self, name: &str) {
        self.out.put_u8(0x00);
        self.symbol(name);
        self.count -= 1;
    }

    /// A described list, which performatives, outcomes and errors are.
    pub fn described_list(&mut self, code: u64, fields: impl FnOnce(&mut Self)) {
        self.descriptor(code);
        self.compound(0xd0, fields);
    }

    /// A described map, which annotations and application properties are.
    pub fn described_map(&mut self, code: u64, pairs: impl FnOnce(&mut Self)) {
        self.descriptor(code);
        self.map(pairs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_amqp::Value;

    fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut out = BytesMut::new();
        write(&mut Writer::new(&mut out));
        out.to_vec()
    }

    #[test]
    fn the_amqp_library_reads_what_is_written() {
        let bytes = written(|w| {
            w.map(|w| {
                w.symbol("count");
                w.int(-3);
                w.symbol("long");
                w.string(&"x".repeat(300));
                w.symbol("ids");
                w.strings(&["0", "1"]);
            });
        });
        let Value::Map(map) = serde_amqp::from_slice(&bytes).unwrap() else { panic!("a map") };
        assert_eq!(map.get(&Value::Symbol("count".into())), Some(&Value::Int(-3)));
        assert_eq!(map.get(&Value::Symbol("long".into())), Some(&Value::String("x".repeat(300))));
        let ids: serde_amqp::primitives::Array<Value> = vec!["0".to_owned().into(), "1".to_owned().into()].into();
        assert_eq!(map.get(&Value::Symbol("ids".into())), Some(&Value::Array(ids)));
    }

    #[test]
    fn a_described_list_counts_its_nulls_and_is_one_element_itself() {
        let bytes = written(|w| {
            w.described_list(0x10, |w| {
                w.described_list(0x1d, |w| w.pad_to(3));
                w.pad_to(2);
            });
        });
        assert_eq!(&bytes[..4], &[0x00, 0x53, 0x10, 0xd0]);
        assert_eq!(&bytes[8..12], &[0, 0, 0, 2]);
        assert_eq!(&bytes[20..24], &[0, 0, 0, 3]);
    }
}
