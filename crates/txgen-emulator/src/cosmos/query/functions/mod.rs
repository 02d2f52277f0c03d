//! The functions of the query language, by group, each with its name, how many arguments it takes, and what it does.
//!
//! <https://learn.microsoft.com/azure/cosmos-db/nosql/query/system-functions>

mod arrays;
mod dates;
mod math;
mod text;
mod types;

use serde_json::Value;

use super::evaluate::Found;

/// One function.
#[derive(Debug)]
pub(super) struct Builtin {
    pub(super) name: &'static str,
    least: usize,
    most: usize,
    run: fn(&Arguments<'_, '_>) -> Option<Value>,
}

impl PartialEq for Builtin {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Any number of arguments.
const ANY: usize = 1000;

const fn function(
    name: &'static str,
    least: usize,
    most: usize,
    run: fn(&Arguments<'_, '_>) -> Option<Value>,
) -> Builtin {
    Builtin { name, least, most, run }
}

impl Builtin {
    /// The function with this name, in capital letters.
    pub(super) fn by_name(name: &str) -> Option<&'static Self> {
        let groups = [types::FUNCTIONS, math::FUNCTIONS, text::FUNCTIONS, arrays::FUNCTIONS, dates::FUNCTIONS];
        let name = match name {
            "STRING_EQUALS" => "STRINGEQUALS",
            name => name,
        };
        groups.into_iter().flatten().find(|function| function.name == name)
    }

    pub(super) fn takes(&self, count: usize) -> bool {
        (self.least..=self.most).contains(&count)
    }

    /// How many arguments it takes, for messages.
    pub(super) fn arity(&self) -> String {
        match (self.least, self.most) {
            (least, most) if least == most => least.to_string(),
            (least, ANY) => format!("{least} or more"),
            (least, most) => format!("{least} to {most}"),
        }
    }

    pub(super) fn call(&self, arguments: &[Found<'_>]) -> Option<Value> {
        (self.run)(&Arguments(arguments))
    }
}

/// What a function is called with. What is missing is undefined.
pub(super) struct Arguments<'v, 'a>(&'v [Found<'a>]);

impl Arguments<'_, '_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn value(&self, index: usize) -> Option<&Value> {
        self.0.get(index)?.as_deref()
    }

    fn values(&self) -> impl Iterator<Item = Option<&Value>> {
        self.0.iter().map(|value| value.as_deref())
    }

    fn text(&self, index: usize) -> Option<&str> {
        self.value(index)?.as_str()
    }

    fn number(&self, index: usize) -> Option<f64> {
        self.value(index)?.as_f64()
    }

    /// A whole number.
    fn integer(&self, index: usize) -> Option<i64> {
        let value = self.value(index)?;
        let float = value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9.2e18);
        // Exact by the line above.
        #[allow(clippy::cast_possible_truncation)]
        value.as_i64().or(float.map(|number| number as i64))
    }

    fn array(&self, index: usize) -> Option<&Vec<Value>> {
        self.value(index)?.as_array()
    }

    fn truth(&self, index: usize) -> Option<bool> {
        self.value(index)?.as_bool()
    }

    /// A text that may be left out, but not be anything else.
    fn text_or<'s>(&'s self, index: usize, default: &'s str) -> Option<&'s str> {
        if index < self.len() { self.text(index) } else { Some(default) }
    }

    /// An argument that may be left out, but not be of another kind than this.
    fn or<T>(&self, index: usize, default: T, get: impl FnOnce(&Self, usize) -> Option<T>) -> Option<T> {
        if index < self.len() { get(self, index) } else { Some(default) }
    }
}

#[cfg(test)]
mod tests;
