//! What a fuzzer takes through the settings: files, environment variables and connection strings.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use std::collections::HashMap;
use std::path::Path;

use super::file::AppSettings;
use super::flags::RunFlags;
use super::secrets::{Incomplete, Secrets};
use super::sources::Sources;
use txgen_azure::event_hubs::connection_string::ConnectionString;

/// What stands between the file and the environment: a line of its own.
const ENVIRONMENT: &str = "\n%%\n";
/// So many characters of a key in a row would be told apart from a word.
const TELLING: usize = 16;

/// A whole appsettings.json, and below a line `%%` environment variables, one `NAME=VALUE` a line. Whatever is wrong is
/// reported in lines of text without secrets.
pub fn settings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (file, environment) = text.split_once(ENVIRONMENT).unwrap_or((&text, ""));
    let variables: HashMap<&str, &str> = environment.lines().filter_map(|line| line.split_once('=')).collect();
    let Ok(file) = AppSettings::parse(Path::new("appsettings.json"), file.as_bytes()) else { return };
    let env = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let sources = Sources { file: &file, env: &env, secrets: &Secrets::default() };
    let message = match sources.load(&RunFlags::default(), None) {
        Ok(loaded) => format!("{loaded:?}"),
        Err(Incomplete::Wrong(error)) => error.to_string(),
        Err(Incomplete::Wants(wanted)) => format!("{wanted:?}"),
    };
    for value in variables.values() {
        assert_no_key(value, &text, &message);
    }
}

/// A file alone: its text is JSON with comments, and what `serde_json` reads is no broken JSON here.
pub fn json_with_comments(data: &[u8]) {
    let parsed = AppSettings::parse(Path::new("appsettings.json"), data);
    let Err(problems) = parsed else { return };
    let lines = data.iter().filter(|byte| **byte == b'\n').count() + 1;
    for problem in &problems {
        assert!(!problem.contains('\n') && !problem.is_empty(), "one line each: {problem:?}");
        let line = problem
            .split(" line ")
            .nth(1)
            .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        // A text in UTF-16 has line ends that are no bytes of their own.
        let is_text = std::str::from_utf8(data).is_ok() && !data.contains(&b'\r');
        if let Some(line) = line.and_then(|line| line.parse::<usize>().ok()).filter(|_| is_text) {
            assert!((1..=lines).contains(&line), "{problem} of {lines} lines");
        }
    }
    if serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(data).is_ok() {
        assert!(!problems.iter().any(|problem| problem.contains("broken JSON")), "{problems:?}");
    }
}

/// A connection string: neither the error of a wrong one nor how a right one is shown has its key.
pub fn connection_string(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match ConnectionString::parse(text) {
        Ok(parsed) => {
            assert!(!parsed.host.is_empty() && !parsed.hub.is_empty(), "{parsed}");
            assert_eq!(parsed.port.filter(|port| *port == 0), None, "{parsed}");
            for shown in [parsed.to_string(), format!("{parsed:?}"), parsed.address(), parsed.resource()] {
                assert_no_key(text, text, &shown);
            }
        }
        Err(error) => assert_no_key(text, text, &error.to_string()),
    }
}

/// The key or signature of a connection string, if it is one of a kind in the input and no word, is nowhere in what is
/// reported.
fn assert_no_key(value: &str, input: &str, message: &str) {
    let digits = |part: &str| part.bytes().filter(u8::is_ascii_digit).count();
    let is_key = |part: &&str| {
        part.len() >= TELLING
            // No part of a connection string and no word of a message has so many.
            && digits(part) >= 4
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
            && input.to_lowercase().matches(&part.to_lowercase()).count() == 1
    };
    let keys = value.split(';').filter_map(|part| {
        let (name, key) = part.split_once('=')?;
        let name = name.trim();
        let is_secret =
            name.eq_ignore_ascii_case("SharedAccessKey") || name.eq_ignore_ascii_case("SharedAccessSignature");
        is_secret.then_some(key.trim())
    });
    for key in keys.filter(is_key) {
        assert!(!message.contains(key), "a key is shown: {message}");
    }
}
