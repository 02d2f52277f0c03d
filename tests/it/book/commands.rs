//! The reference of commands, drawn from the definition that clap parses by.

use clap::builder::StyledStr;
use clap::{Arg, Command};

use super::markdown::{cell, table};

/// The page.
pub(super) fn page(root: &Command) -> String {
    let mut page =
        "<!-- Generated from the definition of the flags: TXGEN_REFRESH_DOCS=1 cargo test --test it book -->\n\n\
        # Commands\n\n\
        Each command and all of its flags. `txgen COMMAND --help` prints the same; `-h` prints the common ones.\n\n"
            .to_owned();
    describe(root, &mut page);
    page.trim_end().to_owned() + "\n"
}

fn describe(command: &Command, page: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    *page += &format!("## {name}\n\n");
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        *page += &format!("{about}.\n\n");
    }
    let usage = command.clone().render_usage().to_string();
    *page += &format!("```text\n{usage}\n```\n\n");
    let below: Vec<&Command> = command.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    *page += &table(["command", "does"], &below.iter().map(|command| summary(command)).collect::<Vec<_>>());
    let is_root = command.get_name() == name;
    let arguments: Vec<&Arg> =
        command.get_arguments().filter(|arg| is_described(arg) && (is_root || !arg.is_global_set())).collect();
    let mut headings: Vec<Option<&str>> = Vec::new();
    for argument in &arguments {
        if !headings.contains(&argument.get_help_heading()) {
            headings.push(argument.get_help_heading());
        }
    }
    for heading in headings {
        if let Some(heading) = heading {
            *page += &format!("**{heading}**\n\n");
        }
        let rows: Vec<_> =
            arguments.iter().filter(|arg| arg.get_help_heading() == heading).map(|arg| row(arg)).collect();
        *page += &table(["argument", "meaning", "default"], &rows);
    }
    if is_root && !arguments.is_empty() {
        *page += "The flags of the log can stand after every command.\n\n";
    }
    if let Some(after) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        notes(after, page);
    }
    for command in below {
        describe(command, page);
    }
}

/// `--help` and `--version` need no words, and what is hidden is not for people to type.
fn is_described(argument: &Arg) -> bool {
    !matches!(argument.get_id().as_str(), "help" | "version") && !argument.is_hide_set()
}

fn summary(command: &Command) -> [String; 2] {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let anchor = name.replace(' ', "-");
    let about = command.get_about().map(StyledStr::to_string).unwrap_or_default();
    [format!("[`{name}`](#{anchor})"), cell(&about)]
}

fn row(argument: &Arg) -> [String; 3] {
    let help = argument.get_long_help().or_else(|| argument.get_help()).map(StyledStr::to_string).unwrap_or_default();
    let (mut help, said) = without_default(&help.replacen("\n\n", ". ", 1));
    let values: Vec<_> = argument.get_possible_values().into_iter().filter(|value| !value.is_hide_set()).collect();
    let is_switch = !argument.get_action().takes_values();
    if !is_switch && !values.is_empty() {
        let values = values.iter().map(|value| match value.get_help() {
            Some(help) => format!("`{}` ({help})", value.get_name()),
            None => format!("`{}`", value.get_name()),
        });
        help = format!("{help}: {}", values.collect::<Vec<_>>().join(", "));
    }
    let defaults = argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy()));
    let default =
        if is_switch { String::new() } else { said.unwrap_or_else(|| defaults.collect::<Vec<_>>().join(" ")) };
    [invocation(argument), cell(&help), cell(&default)]
}

/// The default that a help says itself, because it comes out of the layers of the settings.
fn without_default(help: &str) -> (String, Option<String>) {
    let said = help.split_once("[default: ").and_then(|(before, rest)| {
        let (default, after) = rest.split_once(']')?;
        Some((format!("{}{after}", before.trim_end()), default.to_owned()))
    });
    said.map_or_else(|| (help.to_owned(), None), |(help, default)| (help, Some(default)))
}

/// `-o, --output <FILE>` as one types it.
fn invocation(argument: &Arg) -> String {
    let value = value(argument);
    let mut names: Vec<String> = argument.get_short().map(|short| format!("-{short}")).into_iter().collect();
    names.extend(argument.get_long().map(|long| format!("--{long}")));
    match names.pop() {
        None => format!("`{}`", value.replace('|', "\\|")),
        Some(last) => {
            names.push(last + &value);
            names.iter().map(|name| format!("`{}`", name.replace('|', "\\|"))).collect::<Vec<_>>().join(", ")
        }
    }
}

fn value(argument: &Arg) -> String {
    if !argument.get_action().takes_values() {
        return String::new();
    }
    let names = argument.get_value_names().unwrap_or_default().iter().map(|name| name.as_str());
    let mut value = names.collect::<Vec<_>>().join(" ");
    if argument.get_num_args().is_some_and(|number| number.max_values() > 1) {
        value += " …";
    }
    let is_optional = argument.get_num_args().is_some_and(|number| number.min_values() == 0);
    match (argument.is_positional(), is_optional, argument.is_require_equals_set()) {
        (true, _, _) => value,
        (false, true, true) => format!("[={value}]"),
        (false, true, false) => format!(" [{value}]"),
        (false, false, true) => format!("={value}"),
        (false, false, false) => format!(" {value}"),
    }
}

/// The examples, exit codes and remarks below the flags.
fn notes(text: &StyledStr, page: &mut String) {
    for paragraph in text.to_string().split("\n\n") {
        match paragraph.split_once('\n') {
            Some(("Examples:", lines)) => {
                *page += "```sh\n";
                for line in lines.lines() {
                    let line = line.trim();
                    *page += &match line.split_once("   ") {
                        Some((command, remark)) => format!("{command}   # {}\n", remark.trim()),
                        None => format!("{line}\n"),
                    };
                }
                *page += "```\n\n";
            }
            Some(("Exit codes:", lines)) => {
                let rows: Vec<_> = lines
                    .lines()
                    .filter_map(|line| line.trim().split_once(' '))
                    .map(|(code, meaning)| [code.to_owned(), cell(meaning)])
                    .collect();
                *page += &table(["exit code", "meaning"], &rows);
            }
            _ => *page += &format!("{}\n\n", cell(paragraph)),
        }
    }
}
