//! Links within the repository: each leads to a file, and to a heading of it where it names one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::{name, pages, root};

#[test]
fn every_link_leads_somewhere() {
    let mut anchors = BTreeMap::new();
    let mut broken = Vec::new();
    for page in pages() {
        for link in links(&page) {
            if let Err(problem) = follow(&page, &link, &mut anchors) {
                broken.push(format!("{}: {link}: {problem}", name(&page)));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_page_of_the_book_is_in_its_contents() {
    let docs = root().join("docs");
    let contents = docs.join("SUMMARY.md");
    let listed: BTreeSet<PathBuf> = links(&contents).iter().map(|link| docs.join(link)).collect();
    let written = pages().into_iter().filter(|page| page.starts_with(&docs) && *page != contents);
    let missing: Vec<String> = written.filter(|page| !listed.contains(page)).map(|page| name(&page)).collect();
    assert!(missing.is_empty(), "not in docs/SUMMARY.md: {missing:?}");
}

#[test]
fn every_block_of_code_says_its_language() {
    let mut silent = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) if !language.is_empty() => {}
                Event::Start(Tag::CodeBlock(_)) => silent.push(name(&page)),
                _ => {}
            }
        }
    }
    assert!(silent.is_empty(), "blocks of code without a language, or made by indenting: {silent:?}");
}

/// Where the page's links and pictures lead.
fn links(page: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(page).unwrap();
    Parser::new_ext(&text, Options::ENABLE_TABLES)
        .filter_map(|event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(dest_url.into_string()),
            _ => None,
        })
        .collect()
}

fn follow(page: &Path, link: &str, anchors: &mut BTreeMap<PathBuf, BTreeSet<String>>) -> Result<(), String> {
    if link.contains("://") {
        return Ok(());
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let target = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    let Ok(target) = target.canonicalize() else { return Err("there is no such file".to_owned()) };
    let docs = root().join("docs").canonicalize().unwrap();
    if page.starts_with(root().join("docs")) && !target.starts_with(docs) {
        return Err("leads out of the book, where only the repository has it: name the path instead".to_owned());
    }
    let Some(anchor) = anchor else { return Ok(()) };
    let known = anchors.entry(target.clone()).or_insert_with(|| headings(&target));
    if known.contains(anchor) { Ok(()) } else { Err("there is no such heading".to_owned()) }
}

/// The anchors of a page's headings, as mdBook and GitHub make them.
fn headings(page: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => anchors.extend(heading.take().map(|heading| anchor(&heading))),
            _ => {}
        }
    }
    anchors
}

fn anchor(heading: &str) -> String {
    let letters = heading.trim().to_lowercase();
    let kept = letters.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}
