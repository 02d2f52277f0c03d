//! Partial updates: operations on a document as JSON.
//!
//! <https://learn.microsoft.com/azure/cosmos-db/partial-document-update>

use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::Failure;
use super::query;

/// Operations of one update at most.
const MAX_OPERATIONS: usize = 10;

/// What is to become of a document.
#[derive(Debug, Deserialize)]
pub(super) struct Patch {
    operations: Vec<Operation>,
    /// A filter, `FROM c WHERE …`, that the document has to pass.
    #[serde(default)]
    condition: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Operation {
    op: String,
    path: String,
    #[serde(default, deserialize_with = "present")]
    value: Option<Value>,
    #[serde(default)]
    from: Option<String>,
}

/// A value that is there, be it null.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Patch {
    /// Reads the body of an update: `{"operations": […], "condition": …}`, or the array of operations alone.
    pub(super) fn read(body: &[u8]) -> Result<Self, Failure> {
        let body: Value = serde_json::from_slice(body).map_err(|_| invalid("the body is not JSON"))?;
        Self::of(body)
    }

    pub(super) fn of(body: Value) -> Result<Self, Failure> {
        let body = if body.is_array() { json!({ "operations": body }) } else { body };
        let patch: Self = serde_json::from_value(body).map_err(invalid)?;
        match patch.operations.len() {
            0 => Err(invalid("there are no operations")),
            1..=MAX_OPERATIONS => Ok(patch),
            more => Err(invalid(format_args!("{more} operations are more than {MAX_OPERATIONS}"))),
        }
    }

    /// The body that a document becomes. `whole` is the document with its system properties, for the condition.
    pub(super) fn apply(&self, body: &[u8], whole: &[u8]) -> Result<Vec<u8>, Failure> {
        if let Some(condition) = &self.condition {
            let whole: Value = serde_json::from_slice(whole).unwrap_or_default();
            let query = json!({ "query": format!("SELECT VALUE 1 {condition}") }).to_string();
            if query::over_values(query.as_bytes(), &[whole])?.is_empty() {
                return Err(Failure::precondition());
            }
        }
        let mut document: Value = serde_json::from_slice(body).unwrap_or_default();
        for operation in &self.operations {
            operation.apply(&mut document)?;
        }
        Ok(document.to_string().into_bytes())
    }
}

fn invalid(what: impl std::fmt::Display) -> Failure {
    Failure::bad_request(format!("For the partial update, {what}."))
}

impl Operation {
    fn apply(&self, document: &mut Value) -> Result<(), Failure> {
        let value =
            || self.value.clone().ok_or_else(|| invalid(format_args!("'{}' of {} needs a value", self.op, self.path)));
        match self.op.to_ascii_lowercase().as_str() {
            "add" => self.put(document, &self.path, value()?, Mode::Add),
            "set" => self.put(document, &self.path, value()?, Mode::Set),
            "replace" => self.put(document, &self.path, value()?, Mode::Replace),
            "remove" => self.take(document, &self.path).map(|_| ()),
            "incr" | "increment" => self.increment(document, &value()?),
            "move" => {
                let from = self.from.as_deref().ok_or_else(|| invalid("'move' needs a 'from'"))?;
                if self.path == from || self.path.starts_with(&format!("{from}/")) {
                    return Err(invalid(format_args!("{from} cannot be moved into itself")));
                }
                let value = self.take(document, from)?;
                self.put(document, &self.path, value, Mode::Add)
            }
            other => Err(invalid(format_args!("'{other}' is no operation"))),
        }
    }

    /// What holds the last step of a path, and that step.
    fn parent<'d>(&self, document: &'d mut Value, path: &str) -> Result<(&'d mut Value, String), Failure> {
        let steps = path.strip_prefix('/').filter(|steps| !steps.is_empty());
        let steps = steps.ok_or_else(|| invalid(format_args!("the path '{path}' does not begin with /")))?;
        let mut steps: Vec<String> = steps.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        let last = steps.pop().unwrap_or_default();
        let parent = steps.iter().try_fold(document, |value, step| match value {
            Value::Object(fields) => fields.get_mut(step),
            Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
            _ => None,
        });
        Ok((parent.ok_or_else(|| missing(path))?, last))
    }

    fn put(&self, document: &mut Value, path: &str, value: Value, mode: Mode) -> Result<(), Failure> {
        let (parent, last) = self.parent(document, path)?;
        match parent {
            Value::Object(fields) => {
                if mode == Mode::Replace && !fields.contains_key(&last) {
                    return Err(missing(path));
                }
                fields.insert(last, value);
            }
            Value::Array(items) => {
                let index = if last == "-" { Some(items.len()) } else { last.parse().ok() };
                let index = index.filter(|index| *index <= items.len()).ok_or_else(|| missing(path))?;
                match mode {
                    Mode::Add => items.insert(index, value),
                    Mode::Set if index == items.len() => items.push(value),
                    Mode::Set | Mode::Replace => *items.get_mut(index).ok_or_else(|| missing(path))? = value,
                }
            }
            _ => return Err(missing(path)),
        }
        Ok(())
    }

    fn take(&self, document: &mut Value, path: &str) -> Result<Value, Failure> {
        let (parent, last) = self.parent(document, path)?;
        let taken = match parent {
            Value::Object(fields) => fields.remove(&last),
            Value::Array(items) => {
                let index = last.parse::<usize>().ok().filter(|index| *index < items.len());
                index.map(|index| items.remove(index))
            }
            _ => None,
        };
        taken.ok_or_else(|| missing(path))
    }

    fn increment(&self, document: &mut Value, by: &Value) -> Result<(), Failure> {
        let (parent, last) = self.parent(document, &self.path)?;
        let there = match parent {
            Value::Object(fields) => fields.entry(last).or_insert(json!(0)),
            Value::Array(items) => {
                last.parse::<usize>().ok().and_then(|index| items.get_mut(index)).ok_or_else(|| missing(&self.path))?
            }
            _ => return Err(missing(&self.path)),
        };
        let whole = there.as_i64().zip(by.as_i64()).and_then(|(there, by)| there.checked_add(by));
        let sum = match whole {
            Some(sum) => json!(sum),
            None => match there.as_f64().zip(by.as_f64()).map(|(there, by)| there + by) {
                Some(sum) if sum.is_finite() => json!(sum),
                _ => return Err(invalid(format_args!("{} or what it is to grow by is not a number", self.path))),
            },
        };
        *there = sum;
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Add,
    Set,
    Replace,
}

fn missing(path: &str) -> Failure {
    invalid(format_args!("the path {path} leads nowhere in the document"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(operations: Value) -> Result<Value, Failure> {
        let document = json!({ "id": "1", "n": 1, "a": [1, 2], "o": { "x": 1 } }).to_string();
        let patched = Patch::of(operations)?.apply(document.as_bytes(), document.as_bytes())?;
        Ok(serde_json::from_slice(&patched).unwrap())
    }

    #[test]
    fn operations_do_what_is_documented() {
        for (operation, path, expected) in [
            (json!({ "op": "add", "path": "/new", "value": 5 }), "/new", json!(5)),
            (json!({ "op": "add", "path": "/a/1", "value": 9 }), "/a", json!([1, 9, 2])),
            (json!({ "op": "add", "path": "/a/-", "value": 9 }), "/a", json!([1, 2, 9])),
            (json!({ "op": "set", "path": "/a/0", "value": 9 }), "/a", json!([9, 2])),
            (json!({ "op": "set", "path": "/o/y", "value": null }), "/o", json!({ "x": 1, "y": null })),
            (json!({ "op": "replace", "path": "/o/x", "value": "z" }), "/o/x", json!("z")),
            (json!({ "op": "remove", "path": "/a/0" }), "/a", json!([2])),
            (json!({ "op": "incr", "path": "/n", "value": 2 }), "/n", json!(3)),
            (json!({ "op": "incr", "path": "/o/x", "value": 0.5 }), "/o/x", json!(1.5)),
            (json!({ "op": "incr", "path": "/fresh", "value": 2 }), "/fresh", json!(2)),
            (json!({ "op": "move", "from": "/o/x", "path": "/moved" }), "/moved", json!(1)),
        ] {
            let document = patched(json!([operation.clone()])).unwrap();
            assert_eq!(document.pointer(path), Some(&expected), "{operation}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for operation in [
            json!({ "op": "replace", "path": "/none", "value": 1 }),
            json!({ "op": "remove", "path": "/none" }),
            json!({ "op": "add", "path": "/none/x", "value": 1 }),
            json!({ "op": "add", "path": "/a/7", "value": 1 }),
            json!({ "op": "incr", "path": "/id", "value": 1 }),
            json!({ "op": "move", "from": "/o", "path": "/o/x" }),
            json!({ "op": "dance", "path": "/n" }),
            json!({ "op": "set", "path": "n", "value": 1 }),
        ] {
            assert_eq!(patched(json!([operation.clone()])).unwrap_err().status.as_u16(), 400, "{operation}");
        }
        assert!(Patch::of(json!([])).is_err());
        assert!(Patch::of(Value::Array(vec![json!({ "op": "set", "path": "/x", "value": 1 }); 11])).is_err());
    }

    #[test]
    fn a_condition_has_to_hold() {
        let patch = |condition: &str| {
            patched(json!({ "operations": [{ "op": "set", "path": "/n", "value": 2 }], "condition": condition }))
        };
        assert!(patch("FROM c WHERE c.n = 1").is_ok());
        assert_eq!(patch("FROM c WHERE c.n = 2").unwrap_err().status.as_u16(), 412);
        assert_eq!(patch("FROM c WHERE").unwrap_err().status.as_u16(), 400);
    }
}
