//! The modules of txgen use one another in one direction only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Graph = BTreeMap<String, BTreeSet<String>>;

/// The top-level modules in layers: a module uses those of the layers below its own, never one above or beside it.
const LAYERS: [&[&str]; 14] = [
    &["cli", "fuzzing"],
    &["observers"],
    &["report", "verify", "land"],
    &["run"],
    &["threshold"],
    &["stats"],
    &["description", "source"],
    &["service", "data"],
    &["settings"],
    &["transaction"],
    &["identity"],
    &["shard"],
    &["text"],
    &["likeness", "private_file", "trust", "encoding", "characters"],
];

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The code of a file without comments and without its tests, which may look at everything.
fn code(path: &Path) -> String {
    let name = path.file_stem().unwrap().to_str().unwrap();
    if ["tests", "simulation", "sample", "fuzzing"].contains(&name) {
        return String::new();
    }
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect()
}

/// The modules that follow `prefix` in this code: `a` in `PREFIXa::b`, `a` and `b` in `PREFIX{a, b::c}`.
fn modules_after(code: &str, prefix: &str) -> Vec<String> {
    let is_path = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    let starts = code.match_indices(prefix).filter(|(at, _)| is_path(*at));
    let used = starts.flat_map(|(at, _)| {
        let rest = &code[at + prefix.len()..];
        let group = rest.strip_prefix('{').and_then(|rest| rest.split("};").next());
        group
            .unwrap_or(rest.split([';', '(', ' ', '\n']).next().unwrap())
            .split(',')
            .map(first_name)
            .collect::<Vec<_>>()
    });
    used.filter(|name| name.starts_with(|first: char| first.is_ascii_lowercase())).collect()
}

fn first_name(path: &str) -> String {
    path.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// Who uses whom among the modules of a folder. `prefix` is how other files name a module in it.
fn graph(folder: &str, prefix: &str) -> Graph {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut graph = Graph::new();
    for path in files_below(&root) {
        let place = path.strip_prefix(&root).unwrap().with_extension("");
        let parts: Vec<&str> = place.iter().map(|part| part.to_str().unwrap()).collect();
        let module = parts[0].to_owned();
        if ["mod", "lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let code = code(&path);
        let depth = parts.len() - usize::from(parts.last() == Some(&"mod"));
        let mut used = modules_after(&code, prefix);
        used.extend(modules_after(&code, &"super::".repeat(depth)));
        graph.entry(module.clone()).or_default().extend(used.into_iter().filter(|used| *used != module));
    }
    let known: BTreeSet<String> = graph.keys().cloned().collect();
    graph.values_mut().for_each(|used| used.retain(|name| known.contains(name)));
    graph
}

/// Takes away modules that use none of those left, until no more can be: what is left lies on a circle or uses one.
fn circles(mut graph: Graph) -> Graph {
    while let Some(free) = graph.iter().find(|(_, used)| used.is_empty()).map(|(name, _)| name.clone()) {
        graph.remove(&free);
        graph.values_mut().for_each(|used| {
            used.remove(&free);
        });
    }
    graph
}

#[test]
fn no_module_uses_one_of_a_layer_above_or_beside_it() {
    let graph = graph("src", "crate::");
    let layer = |name: &str| {
        let found = LAYERS.iter().position(|layer| layer.contains(&name));
        found.unwrap_or_else(|| panic!("the module {name} belongs to no layer yet: put it into LAYERS"))
    };
    let upwards: Vec<String> = graph
        .iter()
        .flat_map(|(name, used)| used.iter().map(move |used| (name, used)))
        .filter(|(name, used)| layer(used) <= layer(name))
        .map(|(name, used)| format!("{name} uses {used}"))
        .collect();
    assert!(upwards.is_empty(), "{upwards:#?}");
}

#[test]
fn the_commands_use_one_another_without_circles() {
    let circles = circles(graph("src/cli", "crate::cli::"));
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn uses_are_found_however_they_are_written() {
    let code = "use crate::a::{b, c};\nuse crate::{d, e::f};\nlet x = crate::g::h(crate::I);\nuse mycrate::j;";
    assert_eq!(modules_after(code, "crate::"), ["a", "d", "e", "g"]);
}
