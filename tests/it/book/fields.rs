//! The reference of what txgen writes as JSON, drawn from the schemas in `docs/schemas/`.

use serde_json::Value;

use super::markdown::{cell, table};
use super::root;
use crate::support::read_json;

const GENERATED: &str = "<!-- Generated from docs/schemas/: TXGEN_REFRESH_DOCS=1 cargo test --test it book -->\n\n";

/// Every document but the summary, in the order in which people meet them.
const DOCUMENTS: [&str; 17] = [
    "run-start",
    "run-batch",
    "dry-run",
    "dry-run-transaction",
    "check",
    "verify",
    "land-start",
    "land-commit",
    "land-gap",
    "land-lag",
    "land-retry",
    "land-end",
    "comparison",
    "dead-letters",
    "data-check",
    "emulator-ready",
    "emulator-summary",
];

/// The page of the summary.
pub(super) fn summary_page() -> String {
    let mut page = format!(
        "{GENERATED}# The summary\n\n\
        `[]` stands for each element of an array, `*` for each key of an object, and in `services.*` for `event_hubs` and \
        `cosmos_db`. A [threshold](../how-to/fail-on-figures.md) names a figure by its path without `services.`.\n\n"
    );
    page += &document("summary");
    page.trim_end().to_owned() + "\n"
}

/// The page of everything else.
pub(super) fn documents_page() -> String {
    let mut page = format!(
        "{GENERATED}# JSON documents\n\n\
        Every JSON document that txgen writes has a strict schema (JSON Schema, draft 2020-12), and tests hold real output of \
        the binary against it. The summary of a run has [a page of its own](summary.md). `[]` stands for each element of an \
        array, `*` for each key of an object.\n\n"
    );
    for name in DOCUMENTS {
        page += &format!("## {name}\n\n");
        page += &document(name);
    }
    page.trim_end().to_owned() + "\n"
}

#[test]
fn every_schema_is_in_the_reference() {
    let mut schemas: Vec<String> = std::fs::read_dir(root().join("docs/schemas"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".schema.json", ""))
        .collect();
    let mut described: Vec<String> = DOCUMENTS.map(str::to_owned).into_iter().chain(["summary".to_owned()]).collect();
    schemas.sort_unstable();
    described.sort_unstable();
    assert_eq!(schemas, described);
}

/// What the document is, where its schema is, its fields, and what they share.
fn document(name: &str) -> String {
    let schema = read_json(&root().join(format!("docs/schemas/{name}.schema.json")));
    let title = schema["title"].as_str().unwrap();
    let mut text = format!("{title}. Schema: [`{name}.schema.json`](../schemas/{name}.schema.json).\n\n");
    let mut rows = Vec::new();
    walk(&schema, "", &mut rows);
    text += &drawn(merged(rows));
    for (definition, schema) in schema["$defs"].as_object().into_iter().flatten() {
        let about = schema["description"].as_str().unwrap_or_default();
        let mut rows = Vec::new();
        walk(schema, "", &mut rows);
        text += &format!("**{definition}**: {}\n\n", if about.is_empty() { kind(schema) } else { about.to_owned() });
        text += &drawn(rows);
    }
    text
}

/// A path, the type of what is there, and what it means.
#[derive(Clone, PartialEq, Eq)]
struct Field {
    path: String,
    kind: String,
    meaning: String,
}

fn drawn(fields: Vec<Field>) -> String {
    let rows: Vec<_> = fields
        .into_iter()
        .map(|field| [format!("`{}`", field.path), cell(&field.kind), cell(&field.meaning)])
        .collect();
    table(["field", "type", "meaning"], &rows)
}

fn walk(schema: &Value, path: &str, fields: &mut Vec<Field>) {
    let schema = not_null(schema);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let meaning = field["description"].as_str().unwrap_or_default().to_owned();
        fields.push(Field { path: path.clone(), kind: kind(field), meaning });
        walk(field, &path, fields);
    }
    if schema["items"].is_object() {
        walk(&schema["items"], &format!("{path}[]"), fields);
    }
    if schema["additionalProperties"].is_object() {
        walk(&schema["additionalProperties"], &format!("{path}.*"), fields);
    }
}

/// The alternative of a schema that is not `null`.
fn not_null(schema: &Value) -> &Value {
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    let mut real = alternatives.filter(|alternative| alternative["type"] != "null");
    match (real.next(), real.next()) {
        (Some(only), None) => only,
        _ => schema,
    }
}

fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.trim_start_matches("#/$defs/").to_owned();
    }
    if let Some(constant) = schema.get("const") {
        return format!("`{constant}`");
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    }
    if let Some(alternatives) = schema["anyOf"].as_array() {
        return alternatives.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => match kind(&schema["items"]) {
            items if items == "object" => "array of objects".to_owned(),
            items => format!("array of {items}"),
        },
        Value::String(name) => schema["format"].as_str().unwrap_or(name).to_owned(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    }
}

/// What both services have is said once.
fn merged(fields: Vec<Field>) -> Vec<Field> {
    let shared = |field: &Field, one: &str, other: &str| {
        let path = field.path.replace(one, other);
        path != field.path && fields.contains(&Field { path, ..field.clone() })
    };
    let (hubs, cosmos) = ("services.event_hubs", "services.cosmos_db");
    let mut merged: Vec<Field> = fields
        .iter()
        .filter(|field| !shared(field, cosmos, hubs))
        .map(|field| match shared(field, hubs, cosmos) {
            true => Field { path: field.path.replace(hubs, "services.*"), ..field.clone() },
            false => field.clone(),
        })
        .collect();
    merged.sort_by(|one, other| one.path.cmp(&other.path));
    merged
}
