//! The README's table of promises names the tests that show them; what it names is there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

const HEADING: &str = "## What is promised, and what is not";

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path.as_ref()).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// The rows of the table, each as its promise and what shows it.
fn promises() -> Vec<(String, String)> {
    let readme = read(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let (_, section) = readme.split_once(HEADING).unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    rows.take_while(|line| line.starts_with('|'))
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').splitn(2, " | ").map(str::trim).collect();
            (cells[0].to_owned(), cells[1].to_owned())
        })
        .collect()
}

/// What stands in backticks.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn is_name_of_test(code: &str) -> bool {
    code.contains('_') && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// What is wrong with what one promise names.
fn complaints(root: &Path, shown_by: &str) -> Vec<String> {
    let (names, others): (Vec<&str>, Vec<&str>) = code(shown_by).into_iter().partition(|code| is_name_of_test(code));
    let paths: Vec<PathBuf> =
        others.iter().filter(|code| code.contains('/') && !code.contains(' ')).map(|code| root.join(code)).collect();
    let missing = paths.iter().filter(|path| !path.exists()).map(|path| format!("there is no {}", path.display()));
    let mut complaints: Vec<String> = missing.collect();
    let files: Vec<String> = paths.iter().filter(|path| path.is_file()).map(read).collect();
    for name in names {
        let is_test = |file: &String| {
            file.split_once(&format!("fn {name}()")).is_some_and(|(before, _)| {
                let attributes = before.rsplit("\n\n").next().unwrap_or_default();
                attributes.contains("#[test]") || attributes.contains("#[tokio::test")
            })
        };
        if !files.iter().any(is_test) {
            complaints.push(format!("none of the files named beside it has a test {name}"));
        }
    }
    complaints
}

#[test]
fn each_promise_names_files_and_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let promises = promises();
    assert!(promises.len() >= 12, "{promises:?}");
    let mut wrong = Vec::new();
    for (place, (promise, shown_by)) in promises.iter().enumerate() {
        let refers_back = place > 0 && shown_by.starts_with("the same") || shown_by.starts_with("each case");
        if code(shown_by).is_empty() && !refers_back {
            wrong.push(format!("{promise} Nothing shows it."));
        }
        wrong.extend(complaints(root, shown_by).into_iter().map(|complaint| format!("{promise} {complaint}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_file_or_a_test_that_is_not_there_is_noticed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(complaints(root, "`tests/promises.rs` (`a_file_or_a_test_that_is_not_there_is_noticed`)").len(), 0);
    assert_eq!(complaints(root, "`tests/promises.rs` (`no_such_test`), `tests/nothing.rs`").len(), 2);
    // A helper is no test.
    assert_eq!(complaints(root, "`tests/promises.rs` (`is_name_of_test`)").len(), 1);
}
