//! Documents as bytes: what a request's body must be to become one, and how it is written out again.
//!
//! A body is read once, from end to end, to see that it is JSON and to pick out the few properties that the service
//! itself needs. No tree is built of it: what is stored, and later handed out, are the bytes that came, with the system
//! properties (`_rid`, `_self`, `_etag`, `_ts`, `_attachments`) written behind them. Bodies in the binary encoding, which
//! Azure's client for Rust sends by default, become text first; answers are always text.

use std::borrow::Cow;
use std::fmt;

use azure_data_cosmos_driver::binary_json;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::definition::Paths;
use super::key_definition::{KeyDefinition, KeyValues};
use super::partition_key::{self, PartitionKey};
use super::query;

/// The properties that the service writes, and ignores when they are sent.
const SYSTEM_PROPERTIES: [&str; 6] = ["_rid", "_self", "_etag", "_ts", "_attachments", "_lsn"];

/// A body that may become a document.
#[derive(Debug, PartialEq)]
pub(super) struct NewDocument {
    pub(super) id: String,
    pub(super) partition_key: KeyValues,
    /// Its own time to live: seconds, or -1 for ever.
    pub(super) ttl: Option<i32>,
    /// How many top-level properties it has.
    pub(super) properties: u32,
    /// What no other document under its partition key may have, for each of the container's unique keys.
    pub(super) unique: Vec<String>,
    /// A JSON object without system properties.
    pub(super) body: Box<[u8]>,
}

impl NewDocument {
    /// Reads a body for a container with this partition key and these unique keys.
    ///
    /// # Errors
    /// What the service would say of a body that it does not take.
    pub(super) fn read(body: &[u8], key: &KeyDefinition, unique: &[Paths]) -> Result<Self, Invalid> {
        if binary_json::is_binary(body) {
            let text = binary_json::transcode_to_text(body).map_err(|_| Invalid::NotJson)?;
            return Self::read(&text, key, unique);
        }
        let text = std::str::from_utf8(body).map_err(|_| Invalid::NotJson)?.trim_ascii();
        let only = match key.paths() {
            [only] if unique.is_empty() => Some(only),
            _ => None,
        };
        let wanted = Wanted { key: only.and_then(|path| path.first()).map_or("", String::as_str) };
        let mut reader = serde_json::Deserializer::from_str(text);
        let found = (&mut reader).deserialize_map(wanted).map_err(|_| Invalid::NotJson)?;
        reader.end().map_err(|_| Invalid::NotJson)?;
        let body = if found.has_system_properties { without_system_properties(text)? } else { text.as_bytes().into() };
        let (partition_key, unique) = match only {
            Some(path) => (KeyValues::One(key_at(path, found.key)?), Vec::new()),
            None => keys_of(text, key, unique)?,
        };
        Ok(Self {
            id: check_id(found.id)?,
            partition_key,
            ttl: found.ttl.map(check_ttl).transpose()?,
            properties: found.properties,
            unique,
            body,
        })
    }
}

/// The values of a key of several paths, and of the unique keys.
fn keys_of(text: &str, key: &KeyDefinition, unique: &[Paths]) -> Result<(KeyValues, Vec<String>), Invalid> {
    let whole: Value = serde_json::from_str(text).map_err(|_| Invalid::NotJson)?;
    let at = |path: &[String]| path.iter().try_fold(&whole, |value, step| value.get(step));
    let values = key.paths().iter().map(|path| key_value(at(path).cloned())).collect::<Result<Vec<_>, _>>()?;
    let unique = unique.iter().map(|paths| {
        let values: Vec<_> = paths.iter().map(|path| query::canonical(at(path))).collect();
        values.join("\n")
    });
    let unique = unique.enumerate().map(|(index, values)| format!("{index}\n{values}")).collect();
    Ok((if let [only] = values.as_slice() { KeyValues::One(only.clone()) } else { KeyValues::Many(values) }, unique))
}

/// Why a body cannot become a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Invalid {
    #[error("The input content is invalid because it is not a JSON object.")]
    NotJson,
    #[error("The input content is invalid because the required properties - 'id; ' - are missing")]
    NoId,
    #[error(
        "The input content is invalid because the id is not a text of 1 to 1023 bytes without the characters / \\ # ?"
    )]
    Id,
    #[error("The partition key of a document must be a text of at most 2048 bytes, or another simple value.")]
    PartitionKey,
    #[error(
        "The input ttl '{0}' is invalid. Ensure to provide a nonzero positive integer less than or equal to \
         '2147483647', or '-1' i.e. never expire."
    )]
    Ttl(String),
}

/// Picks out `id`, `ttl` and the first step to the partition key, and ignores the rest.
struct Wanted<'a> {
    key: &'a str,
}

#[derive(Default)]
struct Found<'de> {
    id: Option<&'de RawValue>,
    key: Option<&'de RawValue>,
    ttl: Option<&'de RawValue>,
    properties: u32,
    has_system_properties: bool,
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found<'de>, A::Error> {
        let mut found = Found::default();
        while let Some(name) = map.next_key::<Name<'de>>()? {
            found.properties += 1;
            let name = name.0.as_ref();
            let (is_id, is_key, is_ttl) = (name == "id", name == self.key, name == "ttl");
            if is_id || is_key || is_ttl {
                let value: &RawValue = map.next_value()?;
                found.id = if is_id { Some(value) } else { found.id };
                found.key = if is_key { Some(value) } else { found.key };
                found.ttl = if is_ttl { Some(value) } else { found.ttl };
            } else {
                map.next_value::<IgnoredAny>()?;
                found.has_system_properties |= SYSTEM_PROPERTIES.contains(&name);
            }
        }
        Ok(found)
    }
}

/// A property's name, borrowed where it has no escapes in it.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

fn check_id(raw: Option<&RawValue>) -> Result<String, Invalid> {
    let id: String = serde_json::from_str(raw.ok_or(Invalid::NoId)?.get()).map_err(|_| Invalid::Id)?;
    let fits = (1..=1023).contains(&id.len()) && !id.contains(['/', '\\', '#', '?']);
    if fits { Ok(id) } else { Err(Invalid::Id) }
}

fn check_ttl(raw: &RawValue) -> Result<i32, Invalid> {
    match serde_json::from_str::<i32>(raw.get()) {
        Ok(ttl) if ttl == -1 || ttl > 0 => Ok(ttl),
        _ => Err(Invalid::Ttl(raw.get().chars().take(40).collect())),
    }
}

/// The value at the end of the path, whose first step leads to `raw`.
fn key_at(path: &[String], raw: Option<&RawValue>) -> Result<PartitionKey, Invalid> {
    let Some(raw) = raw else { return Ok(PartitionKey::Undefined) };
    let mut value: Value = serde_json::from_str(raw.get()).map_err(|_| Invalid::PartitionKey)?;
    for step in path.iter().skip(1) {
        match value.get_mut(step) {
            Some(next) => value = next.take(),
            None => return Ok(PartitionKey::Undefined),
        }
    }
    key_value(Some(value))
}

/// What a value is as a partition key. Objects and arrays are none, and the document has no key then.
fn key_value(value: Option<Value>) -> Result<PartitionKey, Invalid> {
    match value.and_then(PartitionKey::from_value) {
        Some(PartitionKey::String(text)) if text.len() > partition_key::MAX_LENGTH => Err(Invalid::PartitionKey),
        Some(key) => Ok(key),
        None => Ok(PartitionKey::Undefined),
    }
}

/// The object with its other properties, in their order: what a client sends that has read the document before.
fn without_system_properties(text: &str) -> Result<Box<[u8]>, Invalid> {
    let object: Object<'_> = serde_json::from_str(text).map_err(|_| Invalid::NotJson)?;
    let mut body = vec![b'{'];
    for (name, value) in object.0.iter().filter(|(name, _)| !SYSTEM_PROPERTIES.contains(&name.as_ref())) {
        if body.len() > 1 {
            body.push(b',');
        }
        serde_json::to_writer(&mut body, name).map_err(|_| Invalid::NotJson)?;
        body.push(b':');
        body.extend_from_slice(value.get().as_bytes());
    }
    body.push(b'}');
    Ok(body.into())
}

/// An object's properties in the order in which they came.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<Name<'de>, &RawValue>()? {
                    pairs.push((name.0, value));
                }
                Ok(Object(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// The system properties of one stored document.
pub(super) struct SystemProperties<'a> {
    pub(super) rid: &'a str,
    /// The `_self` of its container, such as `dbs/AQAAAA==/colls/AQAAAIAAAAE=/`.
    pub(super) container_link: &'a str,
    /// With its quotation marks.
    pub(super) etag: &'a str,
    /// Unix seconds.
    pub(super) timestamp: u32,
    /// The number of the change that wrote it, for the change feed.
    pub(super) lsn: Option<u64>,
}

impl SystemProperties<'_> {
    /// Writes a stored document out: its own bytes, then these properties.
    pub(super) fn write_after(&self, body: &[u8], out: &mut Vec<u8>) {
        use std::io::Write as _;
        let Self { rid, container_link, etag, timestamp, lsn } = self;
        let etag = etag.trim_matches('"');
        out.extend_from_slice(body.strip_suffix(b"}").unwrap_or(body));
        // Writing to memory does not fail.
        let _ = write!(
            out,
            ",\"_rid\":\"{rid}\",\"_self\":\"{container_link}docs/{rid}/\",\"_etag\":\"\\\"{etag}\\\"\",\
             \"_attachments\":\"attachments/\",\"_ts\":{timestamp}"
        );
        if let Some(lsn) = lsn {
            let _ = write!(out, ",\"_lsn\":{lsn}");
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<NewDocument, Invalid> {
        read_for(body, "country")
    }

    fn read_for(body: &str, path: &str) -> Result<NewDocument, Invalid> {
        let steps = path.split('/').map(str::to_owned).collect();
        NewDocument::read(body.as_bytes(), &KeyDefinition::new(vec![steps], false, 2).unwrap(), &[])
    }

    fn one(key: PartitionKey) -> KeyValues {
        KeyValues::One(key)
    }

    #[test]
    fn the_bytes_are_kept_as_they_came() {
        let body = r#"{ "id" : "a",  "country":"us","amount":1.50, "ttl":60,"nested":{"id":7} }"#;
        let document = read(&format!("\n{body} ")).unwrap();
        assert_eq!(document.body.as_ref(), body.as_bytes());
        assert_eq!(document.id, "a");
        assert_eq!(document.partition_key, one(PartitionKey::String("us".into())));
        assert_eq!(document.ttl, Some(60));
        assert_eq!(document.properties, 5);
    }

    #[test]
    fn a_body_in_the_binary_encoding_becomes_text() {
        let text = r#"{"country":"us","id":"a","n":1.5}"#;
        let key = KeyDefinition::new(vec![vec!["country".to_owned()]], false, 2).unwrap();
        let document =
            NewDocument::read(&binary_json::transcode_to_binary(text.as_bytes()).unwrap(), &key, &[]).unwrap();
        assert_eq!(document.body.as_ref(), text.as_bytes());
        assert_eq!(NewDocument::read(&[0x80], &key, &[]), Err(Invalid::NotJson));
        assert_eq!(NewDocument::read(&[0x80, 0x80], &key, &[]), Err(Invalid::NotJson));
    }

    #[test]
    fn escapes_in_ids_and_names_are_understood() {
        let document = read(r#"{"\u0069d":"a\u00e9","countr\u0079":"\"us\""}"#).unwrap();
        assert_eq!(document.id, "aé");
        assert_eq!(document.partition_key, one(PartitionKey::String("\"us\"".into())));
    }

    #[test]
    fn a_partition_key_may_lie_deeper() {
        let key = |body: &str| read_for(body, "a/b").unwrap().partition_key;
        assert_eq!(key(r#"{"id":"1","a":{"b":5}}"#), one(PartitionKey::Number(5.0)));
        assert_eq!(key(r#"{"id":"1","a":{"c":5}}"#), one(PartitionKey::Undefined));
        assert_eq!(key(r#"{"id":"1"}"#), one(PartitionKey::Undefined));
    }

    #[test]
    fn the_id_may_be_the_partition_key() {
        let document = read_for(r#"{"id":"x"}"#, "id").unwrap();
        assert_eq!(document.partition_key, one(PartitionKey::String("x".into())));
    }

    #[test]
    fn system_properties_that_come_along_are_dropped() {
        let document = read(r#"{"id":"a","_etag":"\"x\"","n":1,"_ts":5,"_mine":true}"#).unwrap();
        assert_eq!(document.body.as_ref(), br#"{"id":"a","n":1,"_mine":true}"#);
    }

    #[test]
    fn what_the_service_refuses_is_refused() {
        assert_eq!(read("{\"id\":\"a\""), Err(Invalid::NotJson));
        assert_eq!(read("[]"), Err(Invalid::NotJson));
        assert_eq!(read("{\"id\":\"a\"} {}"), Err(Invalid::NotJson));
        let key = KeyDefinition::new(vec![vec!["country".to_owned()]], false, 2).unwrap();
        assert_eq!(NewDocument::read(b"{\"id\":\"\xff\"}", &key, &[]), Err(Invalid::NotJson));
        assert_eq!(read(r#"{"country":"us"}"#), Err(Invalid::NoId));
        for id in ["5", "null", r#""""#, r#""a/b""#] {
            assert_eq!(read(&format!("{{\"id\":{id}}}")), Err(Invalid::Id), "{id}");
        }
        for ttl in ["0", "-2", "1.5", "\"60\"", "null", "3000000000"] {
            assert_eq!(read(&format!("{{\"id\":\"a\",\"ttl\":{ttl}}}")), Err(Invalid::Ttl(ttl.into())));
        }
        let long = "x".repeat(2049);
        assert_eq!(read(&format!("{{\"id\":\"a\",\"country\":\"{long}\"}}")), Err(Invalid::PartitionKey));
    }

    #[test]
    fn a_document_whose_key_is_no_simple_value_has_none() {
        for key in ["{}", "[1]", "{\"a\":1}"] {
            let document = read(&format!("{{\"id\":\"a\",\"country\":{key}}}")).unwrap();
            assert_eq!(document.partition_key, one(PartitionKey::Undefined), "{key}");
        }
    }

    #[test]
    fn a_hierarchical_key_has_a_value_for_each_path() {
        let steps = |name: &str| vec![name.to_owned()];
        let key = KeyDefinition::new(vec![steps("a"), steps("b")], true, 2).unwrap();
        let document = NewDocument::read(br#"{"id":"1","a":"x","c":1}"#, &key, &[vec![steps("c")]]).unwrap();
        let values = [PartitionKey::String("x".into()), PartitionKey::Undefined];
        assert_eq!(document.partition_key.as_slice(), values);
        assert_eq!(document.unique, ["0\n1"]);
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        let body = format!("{{\"id\":\"a\",\"x\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let _ = read(&body);
        let body = format!("{{\"id\":\"a\",\"country\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(&body), Err(Invalid::PartitionKey));
    }

    #[test]
    fn a_stored_document_is_written_with_its_system_properties() {
        let system =
            SystemProperties { rid: "r", container_link: "dbs/d/colls/c/", etag: "\"e\"", timestamp: 9, lsn: Some(4) };
        let mut out = Vec::new();
        system.write_after(br#"{"id":"a" }"#, &mut out);
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["_etag"], "\"e\"");
        assert_eq!(value["_self"], "dbs/d/colls/c/docs/r/");
        assert_eq!((&value["_ts"], &value["_lsn"]), (&Value::from(9), &Value::from(4)));
        assert_eq!(value["id"], "a");
    }
}
