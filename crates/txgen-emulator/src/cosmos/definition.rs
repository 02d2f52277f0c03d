//! Definitions of containers: what clients send, checked, with the service's defaults for what they leave out.
//!
//! What is kept is what the service would keep. Nonsense is refused by name.
//! <https://learn.microsoft.com/rest/api/cosmos-db/create-a-collection>

use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::key_definition::KeyDefinition;
use super::query::Computed;

/// Paths into documents, each in its steps.
pub(super) type Paths = Vec<Vec<String>>;

/// Computed properties and unique keys of a container, at most.
/// <https://learn.microsoft.com/azure/cosmos-db/concepts-limits>
const MAX_COMPUTED: usize = 20;
const MAX_UNIQUE_KEYS: usize = 10;

/// What a client says that a container is to be.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) id: String,
    pub(super) key: KeyDefinition,
    pub(super) default_ttl: Option<i32>,
    pub(super) computed: Vec<Computed>,
    pub(super) unique: Vec<Paths>,
    /// As it came, with the service's defaults for what it left out.
    pub(super) sent: Map<String, Value>,
}

impl Definition {
    pub(super) fn from_json(mut sent: Map<String, Value>) -> Result<Self, Failure> {
        let id = sent.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        check_name(&id)?;
        sent.retain(|name, value| !name.starts_with('_') && !value.is_null());
        let key = key(&mut sent)?;
        let default_ttl = sent.get("defaultTtl").map(ttl).transpose()?;
        let computed = computed(&sent)?;
        let unique = unique(&sent)?;
        check_indexing(sent.entry("indexingPolicy").or_insert_with(|| json!({})))?;
        check_conflicts(sent.entry("conflictResolutionPolicy").or_insert_with(|| json!({})))?;
        check_vectors(&sent)?;
        check_full_text(&sent)?;
        sent.entry("geospatialConfig").or_insert_with(|| json!({ "type": "Geography" }));
        Ok(Self { id, key, default_ttl, computed, unique, sent })
    }
}

fn invalid(what: impl std::fmt::Display) -> Failure {
    Failure::bad_request(format!("One of the specified inputs is invalid: {what}."))
}

fn ttl(value: &Value) -> Result<i32, Failure> {
    match value.as_i64().and_then(|ttl| i32::try_from(ttl).ok()) {
        Some(ttl) if ttl == -1 || ttl > 0 => Ok(ttl),
        _ => Err(Failure::bad_request(format!(
            "The value '{value}' specified for defaultTtl is invalid: it must be -1 or a positive integer."
        ))),
    }
}

/// The partition key: its paths, kind and version.
fn key(sent: &mut Map<String, Value>) -> Result<KeyDefinition, Failure> {
    let key = sent.get_mut("partitionKey").and_then(Value::as_object_mut);
    let key = key.ok_or_else(|| Failure::bad_request("A container needs a partitionKey."))?;
    let paths = key.get("paths").and_then(Value::as_array).map(|paths| paths.iter().map(path).collect());
    let paths: Paths = paths.transpose()?.unwrap_or_default();
    let is_hierarchical = match key.get("kind").map(Value::as_str) {
        None => paths.len() > 1,
        Some(Some("Hash")) => false,
        Some(Some("MultiHash")) => true,
        Some(_) => return Err(invalid(format_args!("the kind {} of the partition key", key["kind"]))),
    };
    key.insert("kind".to_owned(), json!(if is_hierarchical { "MultiHash" } else { "Hash" }));
    // The clients hash keys as the definition says: saying nothing would make them use version 1.
    let version = key.entry("version").or_insert(json!(2)).as_u64().and_then(|version| u8::try_from(version).ok());
    KeyDefinition::new(paths, is_hierarchical, version.unwrap_or(0)).ok_or_else(|| {
        invalid("a partition key has one path (kind Hash, version 1 or 2) or one to three (kind MultiHash, version 2)")
    })
}

/// The steps of a path such as `/a/b` or `/"a b"/c`.
fn path(value: &Value) -> Result<Vec<String>, Failure> {
    let text = value.as_str().unwrap_or_default();
    let mut steps = Vec::new();
    let mut rest = text;
    while let Some(step) = rest.strip_prefix('/') {
        let quoted = step.strip_prefix('"').and_then(|inner| inner.split_once('"'));
        let (name, after) = match quoted {
            Some(found) => found,
            None => step.split_at(step.find('/').unwrap_or(step.len())),
        };
        if name.is_empty() {
            break;
        }
        steps.push(name.to_owned());
        rest = after;
    }
    if steps.is_empty() || !rest.is_empty() {
        return Err(invalid(format_args!("the path {value} is not of the form /name/name")));
    }
    Ok(steps)
}

fn computed(sent: &Map<String, Value>) -> Result<Vec<Computed>, Failure> {
    let Some(list) = sent.get("computedProperties") else { return Ok(Vec::new()) };
    let list = list.as_array().ok_or_else(|| invalid("computedProperties must be an array"))?;
    if list.len() > MAX_COMPUTED {
        return Err(invalid(format_args!("there are more than {MAX_COMPUTED} computed properties")));
    }
    let read = |(index, property): (usize, &Value)| {
        let text = |name: &str| property[name].as_str().filter(|text| !text.is_empty());
        let (Some(name), Some(query)) = (text("name"), text("query")) else {
            return Err(invalid("each of computedProperties needs a name and a query"));
        };
        if ["id", "_rid", "_ts", "_self", "_etag"].contains(&name) || name.contains('/') {
            return Err(invalid(format_args!("a computed property cannot be called '{name}'")));
        }
        Computed::read(name, query, index).map_err(|problem| invalid(format_args!("'{name}': {problem}")))
    };
    list.iter().enumerate().map(read).collect()
}

fn unique(sent: &Map<String, Value>) -> Result<Vec<Paths>, Failure> {
    let Some(keys) = sent.get("uniqueKeyPolicy").map(|policy| &policy["uniqueKeys"]) else { return Ok(Vec::new()) };
    let keys = keys.as_array().map(Vec::as_slice).unwrap_or_default();
    if keys.len() > MAX_UNIQUE_KEYS {
        return Err(invalid(format_args!("there are more than {MAX_UNIQUE_KEYS} unique keys")));
    }
    let paths = |key: &Value| match key["paths"].as_array() {
        Some(paths) if !paths.is_empty() => paths.iter().map(path).collect(),
        _ => Err(invalid("a unique key needs paths")),
    };
    keys.iter().map(paths).collect()
}

/// Checks an indexing policy and fills in what the service does.
fn check_indexing(policy: &mut Value) -> Result<(), Failure> {
    let policy = policy.as_object_mut().ok_or_else(|| invalid("indexingPolicy must be an object"))?;
    let mode = policy.get("indexingMode").and_then(Value::as_str).unwrap_or("consistent").to_ascii_lowercase();
    if !["consistent", "lazy", "none"].contains(&mode.as_str()) {
        return Err(invalid(format_args!("the indexingMode '{mode}' is neither consistent nor none")));
    }
    let is_none = mode == "none";
    if is_none && policy.get("automatic") == Some(&json!(true)) {
        return Err(invalid("with the indexingMode none, automatic must be false"));
    }
    // Whatever was sent: an index that is not kept by itself is no longer to be had.
    policy.insert("automatic".to_owned(), json!(!is_none));
    policy.insert("indexingMode".to_owned(), json!(mode));
    for (list, is_included) in [("includedPaths", true), ("excludedPaths", false)] {
        let paths = policy.entry(list).or_insert_with(|| json!([]));
        let paths = paths.as_array_mut().ok_or_else(|| invalid(format_args!("{list} must be an array")))?;
        for path in paths.iter() {
            check_index_path(&path["path"], list)?;
            if is_included {
                check_indexes(&path["indexes"])?;
            }
        }
    }
    let excludes = |policy: &Map<String, Value>, wanted: &str| {
        let paths = policy["excludedPaths"].as_array();
        paths.is_some_and(|paths| paths.iter().any(|path| path["path"] == wanted))
    };
    let includes_nothing = policy["includedPaths"] == json!([]);
    if !is_none && includes_nothing && !excludes(policy, "/*") {
        policy.insert("includedPaths".to_owned(), json!([{ "path": "/*" }]));
    }
    let lacks_etag = !is_none && !excludes(policy, "/\"_etag\"/?") && !excludes(policy, "/*");
    if lacks_etag && let Some(paths) = policy.get_mut("excludedPaths").and_then(Value::as_array_mut) {
        paths.push(json!({ "path": "/\"_etag\"/?" }));
    }
    check_composites(policy.get("compositeIndexes"))?;
    check_special_indexes(policy)
}

fn check_index_path(path: &Value, list: &str) -> Result<(), Failure> {
    match path.as_str() {
        Some(text) if text.starts_with('/') && (text.ends_with("/?") || text.ends_with("/*")) => Ok(()),
        Some("/") => Ok(()),
        _ => Err(Failure::bad_request(format!(
            "The indexing path {path} of {list} could not be accepted: it must begin with / and end with /? or /*."
        ))),
    }
}

fn check_indexes(indexes: &Value) -> Result<(), Failure> {
    for index in indexes.as_array().into_iter().flatten() {
        if !["Range", "Hash", "Spatial"].iter().any(|kind| index["kind"] == *kind) {
            return Err(invalid(format_args!("the kind {} of an index", index["kind"])));
        }
        let types = ["String", "Number", "Point", "Polygon", "LineString", "MultiPolygon"];
        if !types.iter().any(|data| index["dataType"] == *data) {
            return Err(invalid(format_args!("the dataType {} of an index", index["dataType"])));
        }
    }
    Ok(())
}

fn check_composites(composites: Option<&Value>) -> Result<(), Failure> {
    let Some(composites) = composites else { return Ok(()) };
    let composites = composites.as_array().ok_or_else(|| invalid("compositeIndexes must be an array of arrays"))?;
    for composite in composites {
        let paths = composite.as_array().ok_or_else(|| invalid("compositeIndexes must be an array of arrays"))?;
        if paths.len() < 2 {
            return Err(invalid("a composite index needs two paths or more"));
        }
        for path in paths {
            if !path["path"].as_str().is_some_and(|text| text.starts_with('/')) {
                return Err(invalid(format_args!("the path {} of a composite index", path["path"])));
            }
            let order = path.get("order").and_then(Value::as_str).unwrap_or("ascending");
            if !["ascending", "descending"].contains(&order) {
                return Err(invalid(format_args!("the order '{order}' of a composite index")));
            }
        }
    }
    Ok(())
}

fn check_special_indexes(policy: &Map<String, Value>) -> Result<(), Failure> {
    let list = |name: &str| policy.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for index in list("vectorIndexes") {
        if !index["path"].as_str().is_some_and(|path| path.starts_with('/')) {
            return Err(invalid(format_args!("the path {} of a vector index", index["path"])));
        }
        if !["flat", "quantizedFlat", "diskANN"].iter().any(|kind| index["type"] == *kind) {
            return Err(Failure::bad_request(format!(
                "The Vector Indexing Policy has an invalid Index Type {}: it must be flat, quantizedFlat or diskANN.",
                index["type"]
            )));
        }
    }
    for index in list("fullTextIndexes") {
        if !index["path"].as_str().is_some_and(|path| path.starts_with('/')) {
            return Err(invalid(format_args!("the path {} of a full-text index", index["path"])));
        }
    }
    for index in list("spatialIndexes") {
        check_index_path(&index["path"], "spatialIndexes")?;
    }
    Ok(())
}

fn check_conflicts(policy: &mut Value) -> Result<(), Failure> {
    let policy = policy.as_object_mut().ok_or_else(|| invalid("conflictResolutionPolicy must be an object"))?;
    let mode = policy.get("mode").and_then(Value::as_str).unwrap_or("LastWriterWins");
    let mode = ["LastWriterWins", "Custom"].into_iter().find(|known| known.eq_ignore_ascii_case(mode));
    let mode = mode.ok_or_else(|| {
        invalid(format_args!(
            "the mode {} of conflictResolutionPolicy is neither LastWriterWins nor Custom",
            policy["mode"]
        ))
    })?;
    policy.insert("mode".to_owned(), json!(mode));
    let path = if mode == "LastWriterWins" { "/_ts" } else { "" };
    policy.entry("conflictResolutionPath").or_insert(json!(path));
    policy.entry("conflictResolutionProcedure").or_insert(json!(""));
    Ok(())
}

fn check_vectors(sent: &Map<String, Value>) -> Result<(), Failure> {
    let Some(policy) = sent.get("vectorEmbeddingPolicy") else { return Ok(()) };
    let embeddings = policy["vectorEmbeddings"].as_array().map(Vec::as_slice).unwrap_or_default();
    for embedding in embeddings {
        let refuse = |what: &str| {
            Failure::bad_request(format!("The Vector Embedding Policy has an invalid {what}: {}.", embedding[what]))
        };
        if !["float32", "float16", "uint8", "int8"].iter().any(|data| embedding["dataType"] == *data) {
            return Err(refuse("dataType"));
        }
        if !embedding["dimensions"].as_u64().is_some_and(|dimensions| (1..=4096).contains(&dimensions)) {
            return Err(refuse("dimensions"));
        }
        if !["euclidean", "cosine", "dotproduct"].iter().any(|distance| embedding["distanceFunction"] == *distance) {
            return Err(refuse("distanceFunction"));
        }
        if !embedding["path"].as_str().is_some_and(|path| path.starts_with('/') && path.len() > 1) {
            return Err(refuse("path"));
        }
    }
    let indexes = sent.get("indexingPolicy").and_then(|policy| policy["vectorIndexes"].as_array());
    for index in indexes.into_iter().flatten() {
        if !embeddings.iter().any(|embedding| embedding["path"] == index["path"]) {
            return Err(invalid(format_args!("the vector index {} has no vector embedding", index["path"])));
        }
    }
    Ok(())
}

fn check_full_text(sent: &Map<String, Value>) -> Result<(), Failure> {
    let Some(policy) = sent.get("fullTextPolicy") else { return Ok(()) };
    let check = |language: &Value| {
        let known = ["en-US", "de-DE", "es-ES", "fr-FR", "it-IT", "pt-BR", "pt-PT"];
        if known.iter().any(|name| language == name) {
            return Ok(());
        }
        Err(Failure::bad_request(format!(
            "The Full Text Policy contains an unsupported language {language}. Supported languages are: {}.",
            known.join(", ")
        )))
    };
    if let Some(language) = policy.get("defaultLanguage") {
        check(language)?;
    }
    for path in policy["fullTextPaths"].as_array().into_iter().flatten() {
        if !path["path"].as_str().is_some_and(|path| path.starts_with('/') && path.len() > 1) {
            return Err(Failure::bad_request(format!(
                "The Full Text Policy contains an invalid Path: {}",
                path["path"]
            )));
        }
        if let Some(language) = path.get("language") {
            check(language)?;
        }
    }
    Ok(())
}

/// What databases and containers can be called.
pub(super) fn check_name(name: &str) -> Result<(), Failure> {
    if !name.is_empty() && name.len() <= 255 && !name.contains(['/', '\\', '#', '?']) && !name.ends_with(' ') {
        return Ok(());
    }
    Err(Failure::bad_request(
        "The input name is invalid: it must have 1 to 255 characters, none of them / \\ # ?, and no space at its end.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: Value) -> Result<Definition, Failure> {
        let mut sent = json!({ "id": "c", "partitionKey": { "paths": ["/a"] } });
        if let (Value::Object(sent), Value::Object(more)) = (&mut sent, more) {
            sent.extend(more);
        }
        let Value::Object(sent) = sent else { panic!("{sent} is no object") };
        Definition::from_json(sent)
    }

    #[test]
    fn an_indexing_policy_is_filled_in_as_the_service_does() {
        let policy = |sent: Value| read(json!({ "indexingPolicy": sent })).unwrap().sent["indexingPolicy"].take();
        let full = json!({
            "indexingMode": "consistent", "automatic": true, "includedPaths": [{ "path": "/*" }],
            "excludedPaths": [{ "path": "/\"_etag\"/?" }],
        });
        assert_eq!(policy(json!({})), full);
        assert_eq!(policy(json!({ "indexingMode": "Consistent" })), full);
        let none = json!({ "indexingMode": "none", "automatic": false, "includedPaths": [], "excludedPaths": [] });
        assert_eq!(policy(json!({ "indexingMode": "none", "automatic": false })), none);
        let excluded = policy(json!({ "excludedPaths": [{ "path": "/*" }], "includedPaths": [{ "path": "/a/?" }] }));
        assert_eq!(excluded["excludedPaths"], json!([{ "path": "/*" }]));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (sent, named) in [
            (json!({ "indexingPolicy": { "indexingMode": "nonsense" } }), "nonsense"),
            (json!({ "indexingPolicy": { "includedPaths": [{ "path": "not a path" }] } }), "not a path"),
            (json!({ "indexingPolicy": { "compositeIndexes": [[{ "path": "/a" }]] } }), "composite"),
            (json!({ "conflictResolutionPolicy": { "mode": "Mine" } }), "Mine"),
            (
                json!({ "vectorEmbeddingPolicy": { "vectorEmbeddings": [
                { "path": "/v", "dataType": "nonsense", "dimensions": 3, "distanceFunction": "cosine" }] } }),
                "dataType",
            ),
            (json!({ "fullTextPolicy": { "defaultLanguage": "xx" } }), "xx"),
            (json!({ "partitionKey": { "paths": ["a"] } }), "\"a\""),
            (json!({ "partitionKey": { "paths": ["/a"], "kind": "Range" } }), "Range"),
            (json!({ "partitionKey": { "paths": ["/a", "/b"], "kind": "Hash" } }), "one path"),
            (json!({ "computedProperties": [{ "name": "x", "query": "SELECT * FROM c" }] }), "SELECT VALUE"),
            (json!({ "uniqueKeyPolicy": { "uniqueKeys": [{}] } }), "unique key"),
            (json!({ "defaultTtl": 0 }), "defaultTtl"),
        ] {
            let failure = read(sent.clone()).unwrap_err();
            assert!(failure.message.contains(named), "{sent}: {}", failure.message);
        }
    }

    #[test]
    fn paths_may_have_names_in_quotation_marks() {
        let path = |text: &str| path(&json!(text)).ok();
        assert_eq!(path("/\"a/b c\"/d"), Some(vec!["a/b c".to_owned(), "d".to_owned()]));
        assert_eq!(path("/a"), Some(vec!["a".to_owned()]));
        assert_eq!((path(""), path("/"), path("a"), path("/a/")), (None, None, None, None));
    }
}
