//! Reading AMQP's types (section 1.6) from unchecked bytes.
//!
//! A compound value is taken as the slice that its size names and is looked into only when it is iterated over,
//! so that reading needs no recursion and no allocation whatever the bytes say.

use crate::Malformed;

/// One value, borrowing from the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// `boolean`.
    Bool(bool),
    /// `ubyte`, `ushort`, `uint` and `ulong`: the widths differ on the wire and mean the same.
    Unsigned(u64),
    /// `byte`, `short`, `int` and `long`.
    Signed(i64),
    /// `timestamp`: milliseconds since 1970-01-01 UTC.
    Timestamp(i64),
    /// `binary`.
    Binary(&'a [u8]),
    /// `string`.
    String(&'a str),
    /// `symbol`.
    Symbol(&'a str),
    /// `list`.
    List(Items<'a>),
    /// `map`: keys and values in turn.
    Map(Items<'a>),
    /// `array`.
    Array(Array<'a>),
    /// A described value.
    Described(Descriptor<'a>, Raw<'a>),
    /// `float` and `double`.
    Float(f64),
    /// `char`.
    Char(char),
    /// `uuid`.
    Uuid([u8; 16]),
    /// Decimals, and whatever the standard may come to have: to be passed on as they came.
    Opaque,
}

/// The descriptor of a described value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptor<'a> {
    /// A number, the usual form.
    Code(u64),
    /// A symbol.
    Name(&'a str),
}

/// One whole encoded value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(pub &'a [u8]);

impl<'a> Raw<'a> {
    /// The value that these bytes encode.
    pub fn value(self) -> Result<Value<'a>, Malformed> {
        Reader::new(self.0).value()
    }
}

impl<'a> Value<'a> {
    /// The text of a string or a symbol.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::String(text) | Self::Symbol(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number of any width and signedness.
    pub fn integer(self) -> Option<i64> {
        match self {
            Self::Signed(number) => Some(number),
            Self::Unsigned(number) => i64::try_from(number).ok(),
            _ => None,
        }
    }
}

/// The elements of a list or a map, decoded as they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Items<'a> {
    reader: Reader<'a>,
    left: u32,
}

impl<'a> Items<'a> {
    /// The next element as its bytes; `None` at the end.
    pub fn next_raw(&mut self) -> Result<Option<Raw<'a>>, Malformed> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.reader.raw().map(Some)
    }

    /// The next element; `None` at the end.
    #[allow(
        clippy::should_implement_trait,
        reason = "after an error nothing may be asked for, which iterators do not say"
    )]
    pub fn next(&mut self) -> Result<Option<Value<'a>>, Malformed> {
        self.next_raw()?.map(Raw::value).transpose()
    }

    /// The next key and value of a map; `None` at the end.
    pub fn next_pair(&mut self) -> Result<Option<(Raw<'a>, Raw<'a>)>, Malformed> {
        let Some(key) = self.next_raw()? else { return Ok(None) };
        let value = self.next_raw()?.ok_or(Malformed("a map has a key without a value"))?;
        Ok(Some((key, value)))
    }

    /// The value under a string or symbol key of a map; `None` when it is not there.
    pub fn get(mut self, name: &str) -> Result<Option<Value<'a>>, Malformed> {
        while let Some((key, value)) = self.next_pair()? {
            if key.value()?.text() == Some(name) {
                return value.value().map(Some);
            }
        }
        Ok(None)
    }
}

/// The elements of an array, which share one constructor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array<'a> {
    constructor: u8,
    reader: Reader<'a>,
    left: u32,
}

impl<'a> Array<'a> {
    /// The next element; `None` at the end.
    ///
    /// # Errors
    /// When it is cut off, or of a type that arrays do not have here: a described one, or one without any bytes, of which
    /// a few bytes could claim billions.
    pub fn next_element(&mut self) -> Result<Option<Value<'a>>, Malformed> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.constructor >> 4 == 0x4 {
            return Err(Malformed("an array's elements have no bytes"));
        }
        self.left -= 1;
        self.reader.value_of(self.constructor).map(Some)
    }

    /// The next symbol; `None` at the end or when these are not symbols.
    pub fn next_symbol(&mut self) -> Result<Option<&'a str>, Malformed> {
        if self.left == 0 || !matches!(self.constructor, 0xa3 | 0xb3) {
            return Ok(None);
        }
        self.left -= 1;
        Ok(self.reader.value_of(self.constructor)?.text())
    }
}

/// Takes values off the front of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Malformed("a value is cut off"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(Malformed("a value is cut off"))?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.take_array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.take_array().map(u32::from_be_bytes)
    }

    /// Takes one value as its bytes.
    pub fn raw(&mut self) -> Result<Raw<'a>, Malformed> {
        let start = self.bytes;
        self.skip()?;
        Ok(Raw(&start[..start.len() - self.bytes.len()]))
    }

    /// Described values may nest, `00 d 00 d 00 d …`: a loop, not a recursion.
    fn skip(&mut self) -> Result<(), Malformed> {
        loop {
            match self.byte()? {
                0x00 => {
                    self.descriptor()?;
                }
                constructor => return self.skip_value_of(constructor),
            }
        }
    }

    /// The high half of a constructor gives the width of what follows (section 1.2).
    fn skip_value_of(&mut self, constructor: u8) -> Result<(), Malformed> {
        let width = match constructor >> 4 {
            0x4 => 0,
            0x5 => 1,
            0x6 => 2,
            0x7 => 4,
            0x8 => 8,
            0x9 => 16,
            0xa | 0xc | 0xe => usize::from(self.byte()?),
            0xb | 0xd | 0xf => self.u32()? as usize,
            _ => return Err(Malformed("unknown type constructor")),
        };
        self.take(width).map(|_| ())
    }

    fn descriptor(&mut self) -> Result<Descriptor<'a>, Malformed> {
        let constructor = self.byte()?;
        match self.value_of(constructor)? {
            Value::Unsigned(code) => Ok(Descriptor::Code(code)),
            Value::Symbol(name) => Ok(Descriptor::Name(name)),
            _ => Err(Malformed("a descriptor is neither a ulong nor a symbol")),
        }
    }

    /// Takes one value.
    pub fn value(&mut self) -> Result<Value<'a>, Malformed> {
        match self.byte()? {
            0x00 => Ok(Value::Described(self.descriptor()?, self.raw()?)),
            constructor => self.value_of(constructor),
        }
    }

    /// Takes what follows a constructor.
    fn value_of(&mut self, constructor: u8) -> Result<Value<'a>, Malformed> {
        Ok(match constructor {
            0x40 => Value::Null,
            0x41 => Value::Bool(true),
            0x42 => Value::Bool(false),
            0x43 | 0x44 => Value::Unsigned(0),
            0x45 => Value::List(Items { reader: Self::new(&[]), left: 0 }),
            0x50 | 0x52 | 0x53 => Value::Unsigned(self.byte()?.into()),
            0x51 | 0x54 | 0x55 => Value::Signed(i8::from_be_bytes(self.take_array()?).into()),
            0x56 => Value::Bool(match self.byte()? {
                0 => false,
                1 => true,
                _ => return Err(Malformed("a boolean is neither 0 nor 1")),
            }),
            0x60 => Value::Unsigned(u16::from_be_bytes(self.take_array()?).into()),
            0x61 => Value::Signed(i16::from_be_bytes(self.take_array()?).into()),
            0x70 => Value::Unsigned(self.u32()?.into()),
            0x71 => Value::Signed(i32::from_be_bytes(self.take_array()?).into()),
            0x72 => Value::Float(f32::from_be_bytes(self.take_array()?).into()),
            0x73 => Value::Char(char::from_u32(self.u32()?).ok_or(Malformed("a char is none of Unicode"))?),
            0x80 => Value::Unsigned(u64::from_be_bytes(self.take_array()?)),
            0x81 => Value::Signed(i64::from_be_bytes(self.take_array()?)),
            0x82 => Value::Float(f64::from_be_bytes(self.take_array()?)),
            0x98 => Value::Uuid(self.take_array()?),
            0x83 => Value::Timestamp(i64::from_be_bytes(self.take_array()?)),
            0xa0 | 0xb0 => Value::Binary(self.variable(constructor)?),
            0xa1 | 0xb1 => Value::String(text(self.variable(constructor)?)?),
            0xa3 | 0xb3 => Value::Symbol(text(self.variable(constructor)?)?),
            0xc0 | 0xd0 => Value::List(self.items(constructor)?),
            0xc1 | 0xd1 => Value::Map(self.items(constructor)?),
            0xe0 | 0xf0 => Value::Array(self.array(constructor)?),
            _ => {
                self.skip_value_of(constructor)?;
                Value::Opaque
            }
        })
    }

    /// What follows a size of one byte (constructors 0xa., 0xc., 0xe.) or four (0xb., 0xd., 0xf.).
    fn variable(&mut self, constructor: u8) -> Result<&'a [u8], Malformed> {
        let size = if constructor & 0x10 == 0 { usize::from(self.byte()?) } else { self.u32()? as usize };
        self.take(size)
    }

    fn counted(&mut self, constructor: u8) -> Result<(Self, u32), Malformed> {
        let mut body = Self::new(self.variable(constructor)?);
        let left = if constructor & 0x10 == 0 { u32::from(body.byte()?) } else { body.u32()? };
        Ok((body, left))
    }

    fn items(&mut self, constructor: u8) -> Result<Items<'a>, Malformed> {
        let (reader, left) = self.counted(constructor)?;
        // Each element takes a byte at least, so a claim beyond the bytes is a lie.
        if left as usize > reader.bytes.len() {
            return Err(Malformed("a list or map claims more elements than it has bytes"));
        }
        Ok(Items { reader, left })
    }

    fn array(&mut self, constructor: u8) -> Result<Array<'a>, Malformed> {
        let (mut reader, left) = self.counted(constructor)?;
        let constructor = if left == 0 { 0x40 } else { reader.byte()? };
        Ok(Array { constructor, reader, left })
    }
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed("a string or symbol is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
        Reader::new(bytes).value()
    }

    #[test]
    fn numbers_of_every_width_read_alike() {
        for bytes in [&[0x53, 7][..], &[0x52, 7], &[0x70, 0, 0, 0, 7], &[0x80, 0, 0, 0, 0, 0, 0, 0, 7]] {
            assert_eq!(read(bytes), Ok(Value::Unsigned(7)));
        }
        assert_eq!(read(&[0x55, 0xff]), Ok(Value::Signed(-1)));
    }

    #[test]
    fn a_list_yields_its_elements_and_then_nothing() {
        let Ok(Value::List(mut items)) = read(&[0xc0, 5, 2, 0x41, 0xa1, 1, b'x']) else { panic!("a list") };
        assert_eq!(items.next(), Ok(Some(Value::Bool(true))));
        assert_eq!(items.next(), Ok(Some(Value::String("x"))));
        assert_eq!(items.next(), Ok(None));
    }

    #[test]
    fn a_claim_of_more_elements_than_bytes_is_malformed() {
        assert!(read(&[0xd0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40]).is_err());
    }

    #[test]
    fn a_long_chain_of_descriptors_costs_no_stack() {
        let mut bytes = Vec::new();
        for _ in 0..1_000_000 {
            bytes.extend([0x00, 0x53, 0x01]);
        }
        bytes.push(0x40);
        assert!(read(&bytes).is_ok());
        bytes.pop();
        assert!(read(&bytes).is_err());
    }

    #[test]
    fn an_array_of_symbols_can_be_walked() {
        let Ok(Value::Array(mut array)) = read(&[0xe0, 6, 2, 0xa3, 1, b'a', 1, b'b']) else { panic!("an array") };
        assert_eq!(array.next_symbol(), Ok(Some("a")));
        assert_eq!(array.next_symbol(), Ok(Some("b")));
        assert_eq!(array.next_symbol(), Ok(None));
    }

    #[test]
    fn values_of_the_amqp_library_read_back() {
        use serde_amqp::primitives::{OrderedMap, Symbol};
        let mut map = OrderedMap::new();
        map.insert(Symbol::from("k"), serde_amqp::Value::from(-5_i64));
        let bytes = serde_amqp::to_vec(&map).unwrap();
        let Ok(Value::Map(items)) = read(&bytes) else { panic!("a map") };
        assert_eq!(items.get("k"), Ok(Some(Value::Signed(-5))));
        assert_eq!(items.get("other"), Ok(None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            while let Ok(value) = reader.value() {
                match value {
                    Value::List(mut items) | Value::Map(mut items) => while let Ok(Some(_)) = items.next() {},
                    Value::Array(mut array) => while let Ok(Some(_)) = array.next_symbol() {},
                    _ => {}
                }
            }
        }
    }
}
