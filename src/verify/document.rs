//! One stored document, reduced to what reconciling needs.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::identity::RunId;

/// What Cosmos DB adds to each document (<https://learn.microsoft.com/azure/cosmos-db/account-databases-containers-items>).
const SYSTEM: [&str; 6] = ["_rid", "_self", "_etag", "_attachments", "_ts", "_lsn"];

/// A document by its row, and what it holds as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its row in the run.
    pub row: u64,
    /// Of all its properties but `id`, which is the row, and `ttl`, which is told apart. Equal documents have equal
    /// digests, whatever the order of their properties and the notation of their numbers; unequal ones, but for one in
    /// 2^64, do not.
    pub digest: u64,
    /// Its `ttl`, in seconds.
    pub ttl: Option<i64>,
}

impl Stored {
    /// Reads a document of this run; `None` for one of another run or program.
    #[must_use]
    pub fn of(document: &Map<String, Value>, run: RunId) -> Option<Self> {
        let id: Uuid = document.get("id")?.as_str()?.parse().ok()?;
        let (of, row) = RunId::split(id)?;
        (of == run).then(|| Self { row, digest: digest(document), ttl: document.get("ttl").and_then(Value::as_i64) })
    }

    /// Reads a JSON text; see [`Self::of`].
    #[must_use]
    pub fn of_json(text: &[u8], run: RunId) -> Option<Self> {
        Self::of(&serde_json::from_slice(text).ok()?, run)
    }
}

fn digest(document: &Map<String, Value>) -> u64 {
    let mut properties: Vec<(&String, &Value)> = document
        .iter()
        .filter(|(name, _)| *name != "id" && *name != "ttl" && !SYSTEM.contains(&name.as_str()))
        .collect();
    properties.sort_unstable_by_key(|(name, _)| *name);
    // Its keys are fixed: the same in both readings of one process, which is all that is asked of it.
    let mut hasher = DefaultHasher::new();
    for (name, value) in properties {
        name.hash(&mut hasher);
        hash_value(value, &mut hasher);
    }
    hasher.finish()
}

fn hash_value(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(value) => (1_u8, value).hash(hasher),
        // 5499.0 may come back as 5499; adding 0 makes -0 the same as 0.
        Value::Number(number) => (2_u8, (number.as_f64().unwrap_or(f64::NAN) + 0.0).to_bits()).hash(hasher),
        Value::String(text) => (3_u8, text).hash(hasher),
        Value::Array(values) => {
            (4_u8, values.len()).hash(hasher);
            values.iter().for_each(|value| hash_value(value, hasher));
        }
        Value::Object(object) => (5_u8, digest(object)).hash(hasher),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "0b5c1f6e-93d2-8a47";

    fn stored(json: &str) -> Option<Stored> {
        Stored::of_json(json.as_bytes(), RUN.parse().unwrap())
    }

    fn document(rest: &str) -> Stored {
        stored(&format!(r#"{{"id":"{RUN}-8000-000000000007",{rest}}}"#)).unwrap()
    }

    #[test]
    fn notation_and_order_and_what_the_service_adds_make_no_difference() {
        let sent = document(r#""transactionAmount":5499.0,"accountID":"A","isProxyIP":false,"ttl":60"#);
        assert_eq!((sent.row, sent.ttl), (7, Some(60)));
        let back =
            document(r#""accountID":"A","isProxyIP":false,"transactionAmount":5499,"ttl":60,"_ts":1,"_etag":"x""#);
        assert_eq!(back, sent);
    }

    #[test]
    fn every_other_difference_shows() {
        let sent = document(r#""a":"1","b":2,"c":false"#).digest;
        for other in [
            r#""a":"1","b":2,"c":true"#,
            r#""a":"1","b":2.5,"c":false"#,
            r#""a":1,"b":2,"c":false"#,
            r#""a":"1","b":2"#,
            r#""a":"1","b":2,"c":false,"d":null"#,
            r#""a":"1","b":2,"c":0"#,
        ] {
            assert_ne!(document(other).digest, sent, "{other}");
        }
    }

    #[test]
    fn what_is_not_of_the_run_is_passed_over() {
        assert_eq!(stored(r#"{"id":"0b5c1f6e-93d2-8a48-8000-000000000007"}"#), None);
        assert_eq!(stored(r#"{"id":"x"}"#), None);
        assert_eq!(stored("no json"), None);
    }
}
