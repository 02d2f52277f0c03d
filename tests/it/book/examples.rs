//! The commands that the documentation shows: each is parsed by the definition that the binary parses by.

use clap::error::ErrorKind;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::{definition, name, pages, root};

#[test]
fn every_command_that_is_shown_can_be_typed() {
    let mut wrong = Vec::new();
    let mut tried = 0;
    for page in pages() {
        for command in shown(&std::fs::read_to_string(&page).unwrap()) {
            tried += 1;
            let words = shell_words::split(&command).unwrap();
            if let Err(error) = definition().try_get_matches_from(without_redirections(&words))
                && !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
            {
                let reason = error.to_string();
                wrong.push(format!("{}: {command}: {}", name(&page), reason.lines().next().unwrap_or_default()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 50, "only {tried} commands were found: the pages are read wrongly");
}

#[test]
fn every_block_of_rust_is_a_doc_test() {
    let tested = std::fs::read_to_string(root().join("crates/txgen-emulator/src/lib.rs")).unwrap();
    for page in pages().iter().filter(|page| std::fs::read_to_string(page).unwrap().contains("```rust")) {
        let file = page.file_name().unwrap().to_str().unwrap();
        assert!(tested.contains(file), "{}: not included where cargo test finds it", name(page));
    }
}

/// The calls of txgen in a page's blocks of shell, and after the prompts of its transcripts.
fn shown(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut language = None;
    for event in Parser::new_ext(page, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(name))) => language = Some(name),
            Event::End(TagEnd::CodeBlock) => language = None,
            Event::Text(text) => match language.as_deref() {
                Some("sh") => commands.extend(calls(&text)),
                Some("text" | "console") => {
                    let typed: String =
                        text.lines().filter_map(|line| line.strip_prefix("$ ")).flat_map(|line| [line, "\n"]).collect();
                    commands.extend(calls(&typed));
                }
                _ => {}
            },
            _ => {}
        }
    }
    commands
}

/// Each call of txgen in a script, with the script's own variables filled in.
fn calls(script: &str) -> Vec<String> {
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut calls = Vec::new();
    for line in script.replace("\\\n", " ").lines() {
        let line = line.split(" # ").next().unwrap_or_default();
        if let Some((name, value)) = line.split_once('=')
            && name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
        {
            variables.push((format!("${name}"), value.trim().to_owned()));
        }
        let line = variables.iter().fold(line.to_owned(), |line, (name, value)| line.replace(name.as_str(), value));
        for part in line.split(" | ").flat_map(|part| part.split(" && ")).flat_map(|part| part.split("; ")) {
            let part = part.trim().replace("cargo run --release -- ", "txgen ").replace("cargo run -- ", "txgen ");
            let call = part.strip_prefix("source <(").and_then(|part| part.strip_suffix(')')).unwrap_or(&part);
            if call.starts_with("txgen ") {
                calls.push(call.to_owned());
            }
        }
    }
    calls
}

/// What a shell would pass on.
fn without_redirections(words: &[String]) -> &[String] {
    let end = words.iter().position(|word| matches!(word.as_str(), ">" | ">>" | "2>" | "&"));
    &words[..end.unwrap_or(words.len())]
}

#[test]
fn the_calls_of_a_script_are_found() {
    let script =
        "RUN=7\ntxgen run --run-id $RUN \\\n  --quiet > out   # a remark\nls | wc -l\nA=1 && txgen man -o . && man x\n";
    let words: Vec<Vec<String>> = calls(script).iter().map(|call| shell_words::split(call).unwrap()).collect();
    assert_eq!(without_redirections(&words[0]), ["txgen", "run", "--run-id", "7", "--quiet"]);
    assert_eq!(words[1], ["txgen", "man", "-o", "."]);
    assert_eq!(words.len(), 2);
}
