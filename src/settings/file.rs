//! `appsettings.json`, read as .NET's configuration reads it.
//!
//! Comments, trailing commas and a byte-order mark pass; keys match whatever their case; numbers and booleans may be
//! strings; a key that is there twice is an error. `Values` of a local.settings.json, as Azure Functions has it, is read
//! as if its keys were one level higher:
//! <https://learn.microsoft.com/dotnet/core/extensions/configuration-providers#json-configuration-provider>.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::Ranged as _;
use jsonc_parser::errors::ParseErrorKind;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::key::Key;
use crate::characters::{StrayCharacter, visible};
use crate::encoding::decode;

/// Which file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsFile {
    /// This one, which has to be there.
    Required(PathBuf),
    /// This one, if it is there.
    Optional(PathBuf),
}

impl SettingsFile {
    /// The file that `--settings` names, which has to be there, else `./appsettings.json` if that is.
    #[must_use]
    pub fn of_flag(path: Option<PathBuf>) -> Self {
        path.map_or_else(|| Self::Optional(PathBuf::from("./appsettings.json")), Self::Required)
    }

    fn path(&self) -> &Path {
        match self {
            Self::Required(path) | Self::Optional(path) => path,
        }
    }
}

/// A place in the file, written `./appsettings.json line 7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}", self.path.display(), self.line)
    }
}

/// What the file says. It holds secrets, so it has no `Debug`.
pub(super) struct AppSettings {
    pub(super) path: PathBuf,
    pub(super) found: bool,
    pub(super) warnings: Vec<String>,
    values: HashMap<Key, (String, usize)>,
}

impl AppSettings {
    /// Reads the file; an optional one that is not there says nothing.
    ///
    /// # Errors
    /// All that is wrong with the file, one line each.
    pub(super) fn read(file: &SettingsFile) -> Result<Self, Vec<String>> {
        let path = file.path();
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(path, &bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound && matches!(file, SettingsFile::Optional(_)) => {
                Ok(Self { path: path.to_owned(), found: false, warnings: Vec::new(), values: HashMap::new() })
            }
            Err(error) => {
                let path = path.display();
                Err(vec![format!("{path}: cannot be read: {error}; name a file that is there with --settings")])
            }
        }
    }

    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Vec<String>> {
        let name = path.display();
        let text = decode(bytes).map_err(|problem| vec![format!("{name}: {problem}")])?;
        // Only the kind of the error is shown: the text around it may be secret.
        let parsed = parse_to_ast(&text, &CollectOptions::default(), &strictness()).map_err(|error| {
            let (line, column) = (error.line_display(), error.column_display());
            let kind = what_is_broken(error.kind());
            vec![match cause(&text) {
                Some(cause) => format!("{name} {cause}"),
                None => format!("{name} line {line}, column {column}: broken JSON: {kind}"),
            }]
        })?;
        let object = match parsed.value {
            Some(Value::Object(object)) => object,
            Some(Value::Array(array)) if is_app_service(&array.elements) => {
                return Err(vec![format!(
                    "{name}: is a list of names and values, as App Service exports its settings; write \
                     {{\"NAME\": \"value\", …}}, one key for each"
                )]);
            }
            _ => return Err(vec![format!("{name}: must hold one JSON object, as in {{\"SECONDS_TO_RUN\": \"600\"}}")]),
        };
        let mut settings = Self { path: path.to_owned(), found: true, warnings: Vec::new(), values: HashMap::new() };
        let mut problems = Vec::new();
        let mut lines = Lines::new(&text);
        let functions = object.properties.iter().any(|property| functions_values(property).is_some());
        for property in &object.properties {
            let line = lines.of(property.range().start);
            let taken = match functions_values(property) {
                Some(values) => settings.take_values(&values.properties, &mut lines),
                None if functions && property.name.as_str().eq_ignore_ascii_case(ENCRYPTED) => {
                    encrypted(property).map_err(|problem| (line, problem))
                }
                None => settings.take(property, line, true).map_err(|problem| (line, problem)),
            };
            if let Err((line, problem)) = taken {
                problems.push(format!("{name} line {line}: {problem}"));
            }
        }
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    /// The keys one level down in the file of Azure Functions, among which there are others' as a matter of course.
    fn take_values(&mut self, properties: &[ObjectProp<'_>], lines: &mut Lines<'_>) -> Result<(), (usize, String)> {
        for property in properties {
            let line = lines.of(property.range().start);
            self.take(property, line, false).map_err(|problem| (line, problem))?;
        }
        Ok(())
    }

    fn take(&mut self, property: &ObjectProp<'_>, line: usize, is_own: bool) -> Result<(), String> {
        let name = property.name.as_str();
        // A remark, in a file that other programs read, too.
        if name.starts_with("//") {
            return Ok(());
        }
        let Some(key) = Key::of_name(name) else {
            if let Some(warning) = unknown(name, &property.value, is_own) {
                self.warnings.push(format!("{} line {line}: {warning}", self.path.display()));
            }
            return Ok(());
        };
        if let Some((_, first)) = self.values.get(&key) {
            return Err(format!("{key} is there twice, first in line {first}; remove one of them"));
        }
        let text = match &property.value {
            Value::StringLit(literal) => literal.value.trim().to_owned(),
            Value::NumberLit(literal) => literal.value.to_owned(),
            Value::BooleanLit(literal) => literal.value.to_string(),
            Value::NullKeyword(_) => String::new(),
            Value::Object(_) | Value::Array(_) => {
                return Err(format!("{key} must be a string, a number, true, false or null"));
            }
        };
        self.values.insert(key, (text, line));
        Ok(())
    }

    /// The text of a key, and where it stands; `None` if the key is absent or empty.
    pub(super) fn get(&self, key: Key) -> Option<(&str, Place)> {
        let (text, line) = self.values.get(&key)?;
        (!text.is_empty()).then(|| (text.as_str(), Place { path: self.path.clone(), line: *line }))
    }
}

/// The keys of a local.settings.json: <https://learn.microsoft.com/azure/azure-functions/functions-develop-local>.
const VALUES: &str = "Values";
const ENCRYPTED: &str = "IsEncrypted";

/// The object of `Values`.
fn functions_values<'a, 'b>(property: &'b ObjectProp<'a>) -> Option<&'b Object<'a>> {
    match &property.value {
        Value::Object(object) if property.name.as_str().eq_ignore_ascii_case(VALUES) => Some(object),
        _ => None,
    }
}

/// `[{"name": "SECONDS_TO_RUN", "value": "600", "slotSetting": false}]`.
fn is_app_service(elements: &[Value<'_>]) -> bool {
    let is_key = |property: &ObjectProp<'_>| {
        property.name.as_str().eq_ignore_ascii_case("name")
            && matches!(&property.value, Value::StringLit(name) if Key::of_name(name.value.trim()).is_some())
    };
    elements.iter().any(|element| matches!(element, Value::Object(object) if object.properties.iter().any(is_key)))
}

fn encrypted(property: &ObjectProp<'_>) -> Result<(), String> {
    match &property.value {
        Value::BooleanLit(literal) if literal.value => Err(format!(
            "{ENCRYPTED} is true: the values can be read on the machine that encrypted them alone; decrypt them with \
             `func settings decrypt`"
        )),
        _ => Ok(()),
    }
}

/// What is said of a key that txgen does not know: all that may be meant, or that it is ignored.
fn unknown(name: &str, value: &Value<'_>, is_own: bool) -> Option<String> {
    let nested = match value {
        Value::Object(object) => object.properties.iter().find_map(|property| Key::of_name(property.name.as_str())),
        _ => None,
    };
    let shown = name.escape_debug();
    if let Some(key) = nested {
        return Some(format!("{key} is one level down, under `{shown}`, where it is ignored; move it up"));
    }
    match (Key::nearest(&visible(name)), StrayCharacter::any(name)) {
        (Some(key), Some(odd)) => Some(format!("unknown key `{shown}`, which {odd}; did you mean {key}?")),
        (Some(key), None) => Some(format!("unknown key `{shown}`; did you mean {key}?")),
        (None, _) if is_own => Some(format!("unknown key `{shown}`; it is ignored")),
        (None, _) => None,
    }
}

/// Why a text that is no JSON is none, where it shows.
fn cause(text: &str) -> Option<String> {
    let is_assignment = |line: &str| {
        let name = line.trim_start().trim_start_matches("export ").split('=').next().unwrap_or_default();
        line.contains('=') && Key::of_name(name.trim()).is_some()
    };
    if let Some(line) = text.lines().position(is_assignment) {
        return Some(format!(
            "line {}: is a list of variables, NAME=value, and no JSON; set them in the environment, or write \
             {{\"NAME\": \"value\"}}",
            line + 1
        ));
    }
    if text.trim_start().starts_with('<') {
        return Some("looks like XML or a web page, and is no JSON; write {\"NAME\": \"value\"}".to_owned());
    }
    let is_yaml = |line: &str| line.split_once(':').is_some_and(|(name, _)| Key::of_name(name.trim()).is_some());
    // Within braces it is JSON without its quotation marks.
    if let Some(line) = text.lines().position(is_yaml).filter(|_| !text.trim_start().starts_with('{')) {
        return Some(format!("line {}: is YAML, NAME: value, and no JSON; write {{\"NAME\": \"value\"}}", line + 1));
    }
    // Outside of strings JSON has no character that is odd; within them it may have any.
    let mut in_string = false;
    for (number, line) in (1..).zip(text.lines()) {
        let mut escaped = false;
        for (place, character) in line.char_indices() {
            match character {
                _ if escaped => escaped = false,
                '\\' if in_string => escaped = true,
                '"' => in_string = !in_string,
                '\t' => {}
                _ if in_string => {}
                _ => {
                    if let Some(odd) = StrayCharacter::any(&line[place..place + character.len_utf8()]) {
                        let column = line[..place].chars().count() + 1;
                        let remedy = odd.remedy();
                        return Some(format!("line {number}, column {column}: broken JSON: {}; {remedy}", odd.name()));
                    }
                }
            }
        }
    }
    None
}

/// What `System.Text.Json` lets pass with comments skipped and trailing commas allowed, and nothing else.
fn strictness() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// Line numbers of growing byte offsets, counted in one pass.
struct Lines<'a> {
    text: &'a str,
    offset: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, offset: 0, line: 1 }
    }

    fn of(&mut self, offset: usize) -> usize {
        let passed = self.text.as_bytes().get(self.offset..offset).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.offset = offset.max(self.offset);
        self.line
    }
}

/// A kind of syntax error, in words that go on behind a colon.
fn what_is_broken(kind: &ParseErrorKind) -> String {
    let sign = match kind {
        ParseErrorKind::UnterminatedObject => "}",
        ParseErrorKind::UnterminatedArray => "]",
        ParseErrorKind::UnterminatedCommentBlock => "*/",
        _ => return decapitalized(kind),
    };
    format!("the file ends before the {sign} that belongs to this; is its end missing?")
}

fn decapitalized(message: impl fmt::Display) -> String {
    let message = message.to_string();
    let mut chars = message.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
